"""Wire the parts together; the only place that does.

Each file wires one layer on top of those before it: `Foundation`, `InferenceParts`, `AdministrationParts`, and here `Appliance`.
A part is made of parts of its own layer and of those below, of none above.

What costs memory or time (models, the language model's runtime) is built when it is first asked for, so that each process
carries only what it uses.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.bootstrap.administration import AdministrationParts
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.chat.feedback import FeedbackService
from appliance.identity.models import SYSTEM
from appliance.quality.policy import load_drift
from appliance.quality.review import QualityReview
from appliance.quality.voices import VoicesReview
from appliance.settings import Settings
from appliance.storage.data_directory import make_directories
from appliance.storage.keys import load_or_create_root_key
from appliance.storage.upgrading import Upgraded, Upgrading, bring_up_to_date

if TYPE_CHECKING:
    from appliance.chat.clearing import ConversationClearing
    from appliance.chat.expiring import ConversationExpiry
    from appliance.chat.rehearsal import Rehearsal
    from appliance.chat.service import ChatService
    from appliance.documents.clearing import Clearing
    from appliance.documents.expiring import DocumentExpiry
    from appliance.documents.reembedding import Reembedding
    from appliance.documents.service import DocumentService
    from appliance.inference.routing import Router
    from appliance.retrieval.search import Search


_USUAL_UPGRADE = Upgrading()


class Appliance(AdministrationParts):
    """All parts of one data directory, in one process: documents and answers on top of the rest."""

    def __init__(self, settings: Settings, root_key: bytes, page_cache_mb: int) -> None:
        super().__init__(settings, root_key, page_cache_mb)
        self.upgraded: Upgraded | None = None
        """What opening it had to do to the database."""
        self.feedback = FeedbackService(self.database, self.access, self.audit)
        self.quality = QualityReview(self.database, self.access, self.audit, load_drift(POLICIES_DIR / "drift.toml"))
        self.voices = VoicesReview(self.database, self.access, self.audit)

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
    def conversation_clearing(self) -> ConversationClearing:
        from appliance.chat.clearing import ConversationClearing

        return ConversationClearing(self.database, self.audit)

    @cached_property
    def document_expiry(self) -> DocumentExpiry:
        from appliance.documents.expiring import DocumentExpiry
        from appliance.retrieval.index import SearchIndex

        return DocumentExpiry(self.database, self.blobs, self.audit, SearchIndex())

    @cached_property
    def conversation_expiry(self) -> ConversationExpiry:
        from appliance.chat.expiring import ConversationExpiry

        return ConversationExpiry(self.database, self.audit)

    @cached_property
    def reembedding(self) -> Reembedding:
        from appliance.administration.golden.index_trial import IndexTrial
        from appliance.documents.reembedding import Reembedding

        trial = IndexTrial(self.database, self.access, self.audit, self.golden_gate.indexes)
        return Reembedding(self.database, self.audit, lambda: self.embedders, trial)

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


def open_appliance(
    settings: Settings, *, create: bool = False, page_cache_mb: int = 64, upgrading: Upgrading = _USUAL_UPGRADE
) -> Appliance:
    """The appliance on `settings.data_dir`, its database at the schema of this version.

    `create` makes the directory and the keys where there are none; `page_cache_mb` is per reading connection, much for the
    process that searches, little for the others; `upgrading` is for a box of an older version. Raises `SetupError` for
    everything that keeps it from starting; nothing is served on a database that could not be migrated.
    """
    make_directories(settings, create=create)
    # a new key beside an existing database would make that database unreadable for good
    fresh = create and not settings.database_path.exists()
    appliance = Appliance(settings, load_or_create_root_key(settings.root_key_path, create=fresh), page_cache_mb)
    try:
        appliance.database.assert_encrypted()
        record = partial(_record_upgrade, appliance.audit)
        appliance.upgraded = bring_up_to_date(appliance.database, settings, upgrading, record)
        settings.database_path.chmod(0o600)
        appliance.adopt_models()
    except BaseException:
        appliance.close()
        raise
    return appliance


def _record_upgrade(audit: AuditLog, connection: Connection, upgraded: Upgraded) -> None:
    kept = {"copy": upgraded.copy.path.name} if upgraded.copy else {}
    for revision in upgraded.applied:
        audit.append(connection, AuditEvent(EventName.MIGRATION_APPLIED, SYSTEM, facts={"revision": revision, **kept}))
