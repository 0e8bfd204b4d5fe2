"""Which models are installed, which is active, and whether their files are what was prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from appliance.errors import SetupError
from appliance.inference.store.manifest import read_manifest
from appliance.inference.models import Model
from appliance.inference.sources import verify

TOKENIZER = "tokenizer.json"


class ModelStore:
    """The models of one directory."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir

    def models(self) -> list[Model]:
        """Everything installed; empty where nothing was prepared yet."""
        manifest = read_manifest(self._models_dir)
        return [] if manifest is None else list(manifest.models)

    def active(self, kind: Literal["language", "embedding"]) -> Model:
        """The model in use. Raises `SetupError` (`setup.model_missing`)."""
        for model in self.models():
            if model.kind == kind and model.active:
                return model
        raise SetupError(
            f"No {kind} model is prepared in {self._models_dir}; start the appliance to prepare the default models.",
            code="setup.model_missing",
        )

    def verified_path(self, model: Model) -> Path:
        """The file of `model`, read once in full to check its digest. Raises `SetupError` (`setup.model_digest`)."""
        return self._verified(model.file, model.sha256)

    def verified_tokenizer(self) -> Path:
        """The tokenizer of the embedding model, its digest checked."""
        manifest = read_manifest(self._models_dir)
        return self._verified(TOKENIZER, "" if manifest is None else manifest.tokenizer_sha256)

    def _verified(self, name: str, sha256: str) -> Path:
        path = self._models_dir / name
        if not path.is_file():
            raise SetupError(f"The model file {path} is missing.", code="setup.model_missing")
        verify(path, sha256)
        return path
