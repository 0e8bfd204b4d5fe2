"""Starts the processes of the box, watches them and stops them. Stays small: no model, no web framework, no broker."""

from __future__ import annotations

from appliance.supervisor.run import Notice, Running, run

__all__ = ["Notice", "Running", "run"]
