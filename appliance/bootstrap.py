"""Wire the parts together; the only place that does.

What costs memory or time (models, the language model's runtime) is built when it is first asked for, so that each process
carries only what it uses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.administration.answer_records import AnswerRecords
from appliance.administration.audit_review import AuditReview
from appliance.administration.box import BoxReview
from appliance.administration.catalogue_review import CatalogueReview
from appliance.administration.collections import Collections
from appliance.administration.egress_review import EgressReview
from appliance.administration.embedding import settle_indexes
from appliance.administration.golden.conditions import Conditions
from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.index_gate import IndexGate
from appliance.administration.golden.index_review import IndexReview
from appliance.administration.golden.margin import load_margin
from appliance.administration.golden.service import GoldenSets
from appliance.administration.groups import Groups
from appliance.administration.people import People
from appliance.administration.placements import Placements
from appliance.administration.routing_review import RoutingReview
from appliance.administration.setup import Setup
from appliance.administration.skipped_models import SkippedModels
from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.chat.feedback import FeedbackService
from appliance.chat.policy import load_answers_policy
from appliance.egress.seal.layers import Strength
from appliance.egress.seal.reports import own_strength
from appliance.errors import SetupError
from appliance.identity.models import SYSTEM
from appliance.identity.sessions import Sessions
from appliance.inference.cores import answers_at_once, available_cores
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.load_failures import LoadFailures
from appliance.inference.load_marks import Load, LoadMarks
from appliance.inference.loaded_report import read_loaded
from appliance.inference.registry import RuntimeSpec, runtime_names, runtime_spec, runtime_specs
from appliance.inference.selection.embedding import require_allowed
from appliance.inference.selection.models import Offer
from appliance.inference.selection.offers import offers_of
from appliance.inference.selection.policy import load_policy
from appliance.inference.store import ModelStore
from appliance.inference.store.adoption import adopt_prepared
from appliance.inference.store.catalogue import Catalogue
from appliance.policy.access import Access
from appliance.policy.engine import Policies
from appliance.policy.store import known_classifications
from appliance.quality.policy import load_drift
from appliance.quality.review import QualityReview
from appliance.quality.voices import VoicesReview
from appliance.retrieval.indexes import serving
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore
from appliance.storage.data_directory import refuse_foreign
from appliance.storage.database import Database
from appliance.storage.keys import derive_keys, load_or_create_root_key
from appliance.storage.migrations import migrate

if TYPE_CHECKING:
    from appliance.administration.model_conversion import ModelConversion
    from appliance.administration.model_fetching import ModelFetching
    from appliance.administration.model_measuring import ModelMeasuring
    from appliance.administration.model_optimizing import ModelOptimizing
    from appliance.administration.model_signers import ModelSigners
    from appliance.administration.models import ModelAdministration
    from appliance.administration.ollama_models import OllamaModels
    from appliance.chat.rehearsal import Rehearsal
    from appliance.chat.service import ChatService
    from appliance.documents.clearing import Clearing
    from appliance.documents.reembedding import Reembedding
    from appliance.documents.service import DocumentService
    from appliance.egress.gate import Gate
    from appliance.inference.embedders import Embedders
    from appliance.inference.routing import Router
    from appliance.inference.runtime import TextEmbedder
    from appliance.inference.store.versions import ModelVersion
    from appliance.retrieval.search import Search

POLICIES_DIR = Path(__file__).resolve().parent.parent / "policies"
_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Appliance:
    """All parts of one data directory, in one process."""

    def __init__(self, settings: Settings, root_key: bytes, page_cache_mb: int) -> None:
        self.settings = settings
        self.gate_place: Callable[[], Path] = lambda: settings.gate_path
        """Where the gate listens; a command without a running box sets another (supervisor/own_gate.py)."""
        self.keys = derive_keys(root_key)
        self.database = Database(settings.database_path, self.keys.database, page_cache_mb=page_cache_mb)
        self.blobs = BlobStore(settings.blobs_dir, self.keys.blobs, self.keys.blob_names)
        self.policies = Policies(POLICIES_DIR)
        answers = load_answers_policy(POLICIES_DIR / "answers.toml")
        self.silence, self.measured_silence = answers.silence, answers.measured
        self.routing = load_policy(POLICIES_DIR / "routing.toml", runtimes=runtime_names())
        self.audit = AuditLog(self.keys.audit_sealing, _boot_id(), self.policies.sha256)
        self.access = Access(self.policies, self.database, self.audit)
        self.sessions = Sessions(
            self.database, self.audit, self.keys.sessions, idle_min=settings.session_idle_min, max_h=settings.session_max_h
        )
        self.people = People(self.database, self.access, self.audit, self.sessions)
        conditions = Conditions(settings, self.silence, self.routing.sha256)
        margin = load_margin(POLICIES_DIR / "evaluation.toml")
        self.golden_gate = GoldenGate(margin, conditions, IndexGate(margin, settings.passages_limit))
        self.golden = GoldenSets(self.database, self.access, self.audit, self.golden_gate)
        self.index_review = IndexReview(self.database, self.access, self.audit)
        self.collections = Collections(self.database, self.access, self.audit, self.routing.classifications)
        self.groups = Groups(self.database, self.access, self.audit)
        self.setup = Setup(self.database, self.access, self.audit)
        self.audit_review = AuditReview(self.database, self.access, self.audit)
        self.answer_records = AnswerRecords(self.database, self.access, self.audit)
        self.models = ModelStore(
            settings.models_dir,
            self.database,
            BlobStore(settings.models_dir / "encrypted", self.keys.blobs, self.keys.blob_names),
        )
        self.load_marks = LoadMarks(settings.data_dir / "loading")
        self.load_failures = LoadFailures(settings.data_dir / "loading")
        self.skipped_models = SkippedModels(self.database, self.audit, self.load_failures)
        self.placements = Placements(self.database, self.audit)
        self.box = BoxReview(database=self.database, access=self.access, audit=self.audit, settings=settings)
        self.feedback = FeedbackService(self.database, self.access, self.audit)
        self.quality = QualityReview(self.database, self.access, self.audit, load_drift(POLICIES_DIR / "drift.toml"))
        self.voices = VoicesReview(self.database, self.access, self.audit)
        self.egress = EgressReview(self.database, self.access, self.audit, settings, POLICIES_DIR / "destinations.toml")
        self.routing_review = RoutingReview(
            database=self.database,
            access=self.access,
            audit=self.audit,
            policy=self.routing,
            hardware=probe_hardware,
            offers=self.offers,
            seal=self.seal,
            loaded=lambda: read_loaded(settings.run_dir),
        )
        self.catalogue = Catalogue(POLICIES_DIR / "models.toml")
        self.catalogue_review = CatalogueReview(
            database=self.database,
            access=self.access,
            audit=self.audit,
            catalogue=self.catalogue,
            policy=self.routing,
            hardware=probe_hardware,
            runtimes=self.runtimes,
        )

    @cached_property
    def model_administration(self) -> ModelAdministration:
        from appliance.administration.models import ModelAdministration

        return ModelAdministration(
            self.database,
            self.access,
            self.audit,
            self.models,
            self.catalogue,
            golden=self.golden_gate,
            marks=self.load_marks,
            failures=self.load_failures,
            may_embed=lambda version: self._require_may_embed(version, Strength.NAMESPACE),
            ollama_address=self.ollama_address,
        )

    @cached_property
    def model_fetching(self) -> ModelFetching:
        from appliance.administration.model_fetching import ModelFetching

        return ModelFetching(self.database, self.access, self.audit, self.models, self.model_administration)

    @cached_property
    def model_measuring(self) -> ModelMeasuring:
        from appliance.administration.model_measuring import ModelMeasuring

        lock = self.settings.run_dir / "measuring.lock"
        return ModelMeasuring(self.database, self.access, self.audit, self.models, lock)

    @cached_property
    def model_optimizing(self) -> ModelOptimizing:
        from appliance.administration.model_optimizing import ModelOptimizing

        models, headroom_mb = self.model_administration, self.routing.memory_headroom_mb
        return ModelOptimizing(self.access, self.models, models, self.model_measuring, headroom_mb=headroom_mb)

    @cached_property
    def model_conversion(self) -> ModelConversion:
        from appliance.administration.model_conversion import ModelConversion

        return ModelConversion(self.database, self.access, self.models, self.model_administration)

    @cached_property
    def model_signers(self) -> ModelSigners:
        from appliance.administration.model_signers import ModelSigners

        return ModelSigners(self.database, self.access, self.audit)

    @cached_property
    def ollama_models(self) -> OllamaModels:
        from appliance.administration.ollama_models import OllamaModels
        from appliance.egress.windows import load_windows

        file = POLICIES_DIR / "destinations.toml"
        return OllamaModels(
            self.database, self.access, self.audit, address=self.ollama_address, windows=lambda: load_windows(file)
        )

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

    @property
    def embedder(self) -> TextEmbedder:
        """The embedder whose vectors the index holds now."""
        return self.embedders.serving()

    @cached_property
    def reembedding(self) -> Reembedding:
        from appliance.administration.golden.index_trial import IndexTrial
        from appliance.documents.reembedding import Reembedding

        trial = IndexTrial(self.database, self.access, self.audit, self.golden_gate.indexes)
        return Reembedding(self.database, self.audit, lambda: self.embedders, trial)

    @cached_property
    def gate(self) -> Gate:
        from appliance.egress.destinations import load_destinations
        from appliance.egress.gate import Gate

        return Gate(load_destinations(POLICIES_DIR / "destinations.toml"), self.gate_place, self.database, self.audit)

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

    @cached_property
    def search(self) -> Search:
        from appliance.retrieval.search import Search

        return Search(self.database, self.access, lambda: self.embedder)

    @cached_property
    def documents(self) -> DocumentService:
        from appliance.documents.service import DocumentService
        from appliance.retrieval.index import SearchIndex

        return DocumentService(
            database=self.database,
            blobs=self.blobs,
            audit=self.audit,
            access=self.access,
            settings=self.settings,
            embedder_factory=lambda: self.embedder,
            index=SearchIndex(),
        )

    @cached_property
    def clearing(self) -> Clearing:
        from appliance.documents.clearing import Clearing
        from appliance.retrieval.index import SearchIndex

        return Clearing(self.database, self.blobs, self.audit, SearchIndex())

    @cached_property
    def chat(self) -> ChatService:
        from appliance.chat.service import ChatService

        return ChatService(
            database=self.database,
            access=self.access,
            audit=self.audit,
            search=self.search,
            router=self.router,
            settings=self.settings,
            silence=self.silence,
            embedder_factory=lambda: self.embedder,
        )

    def rehearsal(self, router: Router) -> Rehearsal:
        """What answers the questions of golden sets, by what `router` has loaded."""
        from appliance.chat.meaning import similarity_of
        from appliance.chat.rehearsal import Rehearsal

        return Rehearsal(
            database=self.database,
            access=self.access,
            audit=self.audit,
            search=self.search,
            router=router,
            settings=self.settings,
            silence=self.silence,
            similarity=similarity_of(lambda: self.embedder),
        )

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

    def seal(self) -> Strength:
        """What keeps this process from reaching others, as the kernel shows it now."""
        return own_strength(self.settings.run_dir)

    @property
    def threads(self) -> int:
        """Cores this process may use, unless the settings say otherwise."""
        return self.settings.threads or available_cores()

    @property
    def answers_at_once(self) -> int:
        """How many questions the worker answers at the same time."""
        return answers_at_once(self.settings.answers_at_once)

    def close(self) -> None:
        """Give back what was opened."""
        if "router" in self.__dict__:
            self.router.close()
        self.database.close()


def open_appliance(settings: Settings, *, create: bool = False, page_cache_mb: int = 64) -> Appliance:
    """The appliance on `settings.data_dir`, its database at the schema of this version.

    `create` makes the directory and the keys where there are none; `page_cache_mb` is per reading connection, much for the
    process that searches, little for the others. Raises `SetupError` for everything that keeps it from starting; nothing is
    served on a database that could not be migrated.
    """
    make_directories(settings, create=create)
    # a new key beside an existing database would make that database unreadable for good
    fresh = create and not settings.database_path.exists()
    appliance = Appliance(settings, load_or_create_root_key(settings.root_key_path, create=fresh), page_cache_mb)
    appliance.database.assert_encrypted()
    applied = migrate(appliance.database)
    settings.database_path.chmod(0o600)
    if applied:
        with appliance.database.write() as connection:
            for revision in applied:
                event = AuditEvent(EventName.MIGRATION_APPLIED, SYSTEM, facts={"revision": revision})
                appliance.audit.append(connection, event)
    appliance.adopt_models()
    return appliance


def make_directories(settings: Settings, *, create: bool) -> None:
    """The data directory and its parts, for the owner's eyes only. Raises `SetupError` where that is impossible."""
    refuse_foreign(settings)
    if not create and not settings.data_dir.is_dir():
        raise SetupError(
            f"There is no data directory at {settings.data_dir}; `cloister up` or `cloister init` makes one.",
            code="setup.no_data_directory",
        )
    try:
        for directory in (
            settings.data_dir,
            settings.root_key_path.parent,
            settings.blobs_dir,
            settings.models_dir,
            settings.run_dir,
        ):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.data_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"The data directory {settings.data_dir} cannot be written to ({error.strerror}).", code="setup.unwritable"
        ) from error
    mode = settings.data_dir.stat().st_mode & 0o777
    if mode & 0o077:
        settings.data_dir.chmod(0o700)


def _boot_id() -> str:
    return _KERNEL_BOOT_ID.read_text().strip() if _KERNEL_BOOT_ID.exists() else secrets.token_hex(16)
