"""Which models are installed, which are active, and whether their files are what was imported or prepared."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from appliance.errors import SetupError
from appliance.inference.models import Model
from appliance.inference.sources import verify
from appliance.inference.store.content import ContentStore, OpenedContent
from appliance.inference.store.manifest import read_manifest
from appliance.inference.store.records import load_version, load_versions
from appliance.inference.store.versions import Kind, ModelVersion, VersionState
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.storage.digests import Watch

TOKENIZER = "tokenizer.json"
_IN_PROCESS = frozenset({"gguf", "onnx"})


class ModelStore:
    """The models of one directory, and their versions in the database.

    Without a database (tools and tests that have none), or before anything was recorded there, the models that were prepared for
    this machine are all there is, and they are active.
    """

    def __init__(self, models_dir: Path, database: Database | None = None, sealed: BlobStore | None = None) -> None:
        self.content = ContentStore(models_dir, sealed, used=self._recorded)
        self._models_dir = models_dir
        self._database = database
        self._held: list[OpenedContent] = []  # decrypted, for callers that know no end of it

    def _recorded(self, sha256: str) -> bool:
        """Whether a version rests on this content; where nobody can tell, it is taken to."""
        if self._database is None:
            return True
        return any(sha256 in _contents(version) for version in self.versions())

    def versions(self) -> list[ModelVersion]:
        """Every version in every state, by name, newest first; always as it is in the database now."""
        if self._database is None:
            return []
        with self._database.read() as connection:
            return load_versions(connection)

    def open_version(self, version_id: str, watch: Watch | None = None) -> OpenedContent:
        """The verified content of a version: read in full once, decrypted into sealed memory where it is encrypted at rest.

        Close it when the runtime is closed. Raises `NotFound`, `SetupError` (`setup.model_missing`, `setup.model_digest`).
        """
        if self._database is None:
            raise SetupError("The list of models is not open.", code="setup.model_missing")
        with self._database.read() as connection:
            version = load_version(connection, version_id)
        if version.format == "served":
            raise SetupError(f"The model {version_id} lives in a server and has no file here.", code="setup.model_missing")
        return self.content.open(version, watch)

    def models(self) -> list[Model]:
        """Everything installed; empty where nothing was prepared yet."""
        versions = self.versions()
        if versions:
            return [version.as_model() for version in versions]
        manifest = read_manifest(self._models_dir)
        return [] if manifest is None else list(manifest.models)

    def model(self, model_id: str) -> Model:
        """One version by its id. Raises `SetupError` (`setup.model_missing`)."""
        found = next((version for version in self.versions() if version.id == model_id), None)
        if found is None:
            raise SetupError(f"The model {model_id} is not installed any longer.", code="setup.model_missing")
        return found.as_model()

    def active(self, kind: Kind, formats: Collection[str] = _IN_PROCESS) -> Model:
        """The model in use, the one activated last where several are. Raises `SetupError` (`setup.model_missing`)."""
        versions = [version for version in self.versions() if version.kind == kind]
        active = [version for version in versions if version.state is VersionState.ACTIVE and version.format in formats]
        if active:
            return max(active, key=lambda version: version.changed_ms).as_model()
        manifest = None if versions else read_manifest(self._models_dir)
        for model in manifest.models if manifest else ():
            if model.kind == kind and model.active:
                return model
        raise SetupError(
            f"No {kind} model is active in {self._models_dir}; `cloister models list` shows which could be."
            if versions
            else f"No {kind} model is prepared in {self._models_dir}; start the appliance to prepare the default models.",
            code="setup.model_missing",
        )

    def verified_path(self, model: Model) -> Path:
        """The file of `model`, read once in full to check its digest. Raises `SetupError` (`setup.model_digest`).

        Of an encrypted model the path is valid in this process, until the process ends: use `open_version` to end it sooner.
        """
        for version in self.versions():
            if version.id == model.id:
                opened = self.content.open(version)
                self._held.append(opened)
                return opened.path
        return self._verified(self._models_dir / model.file, model.sha256)

    def verified_tokenizer(self) -> Path:
        """The tokenizer of the embedding model, its digest checked."""
        manifest = read_manifest(self._models_dir)
        sha256 = "" if manifest is None else manifest.tokenizer_sha256
        return self._verified(self.content.file_path(sha256), sha256)

    def _verified(self, path: Path, sha256: str) -> Path:
        if not path.is_file():
            raise SetupError(f"The model file {path} is missing.", code="setup.model_missing")
        verify(path, sha256)
        return path


def _contents(version: ModelVersion) -> set[str]:
    """Digests of all that a version rests on, a folder's own name included."""
    return {version.sha256, *version.sealed, *(adapter.sha256 for adapter in version.adapters)}
