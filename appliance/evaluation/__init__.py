"""How good retrieval and answers are, on a question set, through the code that serves people."""

from __future__ import annotations

from appliance.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
