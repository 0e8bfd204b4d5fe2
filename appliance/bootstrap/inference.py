"""Which models there are, and what runs them in this process."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from appliance.administration.embedding import settle_indexes
from appliance.administration.placements import Placements
from appliance.administration.skipped_models import SkippedModels
from appliance.bootstrap.foundation import POLICIES_DIR, Foundation
from appliance.egress.seal.layers import Strength
from appliance.inference.cores import answers_at_once, available_cores
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.load_failures import LoadFailures
from appliance.inference.load_marks import Load, LoadMarks
from appliance.inference.registry import RuntimeSpec, runtime_names, runtime_spec, runtime_specs
from appliance.inference.selection.embedding import require_allowed
from appliance.inference.selection.models import Offer
from appliance.inference.selection.offers import offers_of
from appliance.inference.selection.policy import load_policy
from appliance.inference.store import ModelStore
from appliance.inference.store.adoption import adopt_prepared
from appliance.inference.store.catalogue import Catalogue
from appliance.policy.store import known_classifications
from appliance.retrieval.indexes import serving
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore

if TYPE_CHECKING:
    from appliance.inference.embedders import Embedders
    from appliance.inference.routing import Router
    from appliance.inference.runtime import TextEmbedder
    from appliance.inference.store.versions import ModelVersion


class InferenceParts(Foundation):
    """Versions of models, the policy that chooses among them, and the runtimes and embedders that are loaded here."""

    def __init__(self, settings: Settings, root_key: bytes, page_cache_mb: int) -> None:
        super().__init__(settings, root_key, page_cache_mb)
        self.routing = load_policy(POLICIES_DIR / "routing.toml", runtimes=runtime_names())
        self.catalogue = Catalogue(POLICIES_DIR / "models.toml")
        self.models = ModelStore(
            settings.models_dir,
            self.database,
            BlobStore(settings.models_dir / "encrypted", self.keys.blobs, self.keys.blob_names),
        )
        self.load_marks = LoadMarks(settings.data_dir / "loading")
        self.load_failures = LoadFailures(settings.data_dir / "loading")
        self.skipped_models = SkippedModels(self.database, self.audit, self.load_failures)
        self.placements = Placements(self.database, self.audit)

    def offers(self) -> list[Offer]:
        """What may be selected from: installed models through the runtimes of this box."""
        crashed, failed = self.load_marks.crashed(), self.load_failures.standing()
        return offers_of(self.models.versions(), self.runtimes(), self.settings.context_tokens, crashed, failed)

    def runtimes(self) -> dict[str, RuntimeSpec]:
        """Every installed runtime by name; Ollama's is that of the Ollama which the box starts itself, where it does."""
        specs = dict(runtime_specs())
        if self.ollama_address and "ollama" in specs:
            from appliance.inference.ollama import ollama_at

            specs["ollama"] = ollama_at(self.ollama_address)
        return specs

    @property
    def ollama_address(self) -> str:
        """Where the Ollama answers that the box starts itself; empty where it starts none."""
        return f"unix:{self.settings.ollama_socket}" if self.settings.ollama_program else ""

    @property
    def threads(self) -> int:
        """Cores this process may use, unless the settings say otherwise."""
        return self.settings.threads or available_cores()

    @property
    def answers_at_once(self) -> int:
        """How many questions the worker answers at the same time."""
        return answers_at_once(self.settings.answers_at_once)

    @cached_property
    def router(self) -> Router:
        return self.new_router()

    def new_router(self) -> Router:
        """A router with nothing loaded, for whoever gives it back when the work is done."""
        from appliance.inference.loading import Loader
        from appliance.inference.pool import RuntimePool
        from appliance.inference.routing import Router

        loader = Loader(
            self.models,
            lambda: self.gate,
            context_tokens=self.settings.context_tokens,
            threads=self.threads,
            slots=self.answers_at_once,
            spec_of=lambda name: runtime_spec(name, self.runtimes()),
            marks=self.load_marks,
        )
        pool = RuntimePool(loader)
        return Router(
            hardware=probe_hardware,
            offers=self.offers,
            policy=self.routing,
            seal=self.seal,
            pool=pool,
            placed=self.placements.note,
            failures=self.skipped_models,
        )

    @property
    def embedder(self) -> TextEmbedder:
        """The embedder whose vectors the index holds now."""
        return self.embedders.serving()

    @cached_property
    def embedders(self) -> Embedders:
        from appliance.inference.embedder import load_embedder
        from appliance.inference.embedders import Embedders

        def of(model_id: str) -> TextEmbedder:
            model = self.models.model(model_id)
            library = "llamacpp" if model.format.startswith("GGUF") else "onnxruntime"
            with self.load_marks.around(Load(model.sha256, library), model_id):
                return load_embedder(self.models, threads=self.threads, model_id=model_id, served=self._served_embedder)

        return Embedders(of, self._serving_model)

    def _served_embedder(self, version: ModelVersion) -> TextEmbedder:
        from appliance.chat.classification import answered_as
        from appliance.inference.ollama import load_embedder

        with self.database.read() as connection:  # answers to come are classified by collections, which are looked at each time
            require_allowed(version, self.routing, self.seal(), answered_as(connection))
        return load_embedder(version, self.ollama_address, lambda: self._require_may_embed(version, self.seal()))

    def _require_may_embed(self, version: ModelVersion, seal: Strength) -> None:
        """Raises `Denied` (`inference.embedding_forbidden`). An activation supposes the strongest seal: a shell has none."""
        with self.database.read() as connection:
            found = known_classifications(connection)
        require_allowed(version, self.routing, seal, found)

    def _serving_model(self) -> str:
        with self.database.read() as connection:
            recorded = serving(connection).model_id
        if recorded:
            return recorded
        self.adopt_models()  # prepared since this process opened the box
        with self.database.read() as connection:
            return serving(connection).model_id

    def adopt_models(self) -> None:
        """Record prepared models as versions, and the model of the index."""
        adopted = adopt_prepared(self.database, self.audit, self.settings.models_dir)
        settle_indexes(self.database, self.audit, adopted)

    def close(self) -> None:
        """Give back what was opened, and what was loaded."""
        if "router" in self.__dict__:
            self.router.close()
        super().close()
