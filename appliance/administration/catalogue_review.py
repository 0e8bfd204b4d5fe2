"""The catalogue of known models as administrators see it: held against this box and what is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.identity.models import Principal
from appliance.inference.hardware.models import Hardware
from appliance.inference.known_models import KnownModel, known_models
from appliance.inference.registry import RuntimeSpec
from appliance.inference.selection.policy import RoutingPolicy
from appliance.inference.store import records
from appliance.inference.store.catalogue import Catalogue
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database


class CatalogueReview:
    """Each look is audited before anything is shown, as the list of versions is."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        catalogue: Catalogue,
        policy: RoutingPolicy,
        hardware: Callable[[], Hardware],
        runtimes: Callable[[], Mapping[str, RuntimeSpec]],
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._catalogue = catalogue
        self._policy = policy
        self._hardware = hardware
        self._runtimes = runtimes

    def known(self, principal: Principal) -> list[KnownModel]:
        """Every entry of the catalogue. Raises `Denied` where policy refuses, `SetupError` where the catalogue is not valid."""
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._database.write() as connection:
            event = AuditEvent(EventName.MODEL_LISTED, principal, facts={"shown": "catalogue"})
            self._audit.append(connection, event)
            versions = records.load_versions(connection)
        return known_models(self._catalogue.entries.values(), versions, self._runtimes(), self._hardware(), self._policy)
