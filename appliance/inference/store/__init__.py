"""The model store: content-addressed files, and versions of models with states."""

from __future__ import annotations

from appliance.inference.store.store import TOKENIZER, ModelStore

__all__ = ["TOKENIZER", "ModelStore"]
