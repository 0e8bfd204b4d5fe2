"""What golden sets said of the index of an embedding model, question by question, for administrators."""

from __future__ import annotations

from appliance.administration.golden import comparisons, store
from appliance.administration.golden.models import GoldenSet
from appliance.administration.golden.places import IndexComparison
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.identity.models import Principal
from appliance.inference.store import records
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.retrieval import indexes
from appliance.retrieval.indexes import IndexState
from appliance.storage.database import Database

_PREFERRED = (IndexState.BUILDING, IndexState.SERVING, IndexState.LEAVING)


class IndexReview:
    """Shows questions, and so needs the right to read golden sets and each set's collection."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def compared(self, principal: Principal, version_id: str) -> list[tuple[GoldenSet, IndexComparison]]:
        """By set, those of collections that `principal` may read; empty where nothing was asked. Raises `NotFound`."""
        self._access.require(principal, Action.GOLDEN_READ, APPLIANCE)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.write() as connection:
            version = records.load_version(connection, version_id)
            # one that is leaving speaks only where there is no other, the latest first
            made = [item for item in indexes.all_indexes(connection) if item.model_id == version.id]
            index = min(made, key=lambda item: (_PREFERRED.index(item.state), -item.number), default=None)
            kept = comparisons.kept(connection, index.number) if index is not None else {}
            sets = [item for item in store.load_sets(connection, readable) if item.id in kept]
            about = (ResourceRef("model", version.id), *(ResourceRef("golden_set", item.id) for item in sets))
            facts = {"comparisons": len(sets)}
            self._audit.append(connection, AuditEvent(EventName.GOLDEN_READ, principal, resources=about, facts=facts))
        return [(item, kept[item.id].comparison) for item in sets]
