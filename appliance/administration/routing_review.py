"""What this box computes with and which model would answer what, for those who run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.egress.seal.layers import Strength
from appliance.identity.models import Principal
from appliance.inference.hardware.models import Hardware
from appliance.inference.loaded_report import LoadedReport
from appliance.inference.selection.explain import Explanation, explain
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.selection.policy import RoutingPolicy
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database


class RoutingReview:
    """Explains decisions without taking any; each look is audited before anything is shown."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        policy: RoutingPolicy,
        hardware: Callable[[], Hardware],
        offers: Callable[[], Sequence[Offer]],
        seal: Callable[[], Strength],
        loaded: Callable[[], Sequence[LoadedReport]] = tuple,
    ) -> None:
        """`loaded` is what other processes say that they have loaded."""
        self._loaded = loaded
        self._database = database
        self._access = access
        self._audit = audit
        self._policy = policy
        self._hardware = hardware
        self._offers = offers
        self._seal = seal

    def explain(self, principal: Principal) -> Explanation:
        """One decision for each classification, for an employee who chose no model. Raises `Denied` where policy refuses.

        Another process holds the models; those in service count as loaded, since what is free now is free beside them.
        """
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._database.write() as connection:
            event = AuditEvent(EventName.MODEL_LISTED, principal, facts={"shown": "routing"})
            self._audit.append(connection, event)
        offers = self._offers()
        in_service = frozenset(offer.model_id for offer in offers if offer.state == "active")
        request = SelectionRequest("", seal=self._seal(), loaded=in_service)
        reports = self._loaded()
        # this process has no ONNX Runtime to ask, those that answer have
        providers = tuple(dict.fromkeys(name for report in reports for name in report.providers))
        hardware = replace(self._hardware(), providers=providers)
        explained = explain(hardware, offers, self._policy, request)
        return replace(explained, loaded=tuple(one for report in reports for one in report.runtimes))
