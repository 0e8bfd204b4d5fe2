"""What keeps data on this box and what has left it, for administrators and officers."""

from __future__ import annotations

from litestar import Controller, get

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.egress import EgressOut


class EgressController(Controller):
    @get("/api/egress", opt=declares(Action.EGRESS_READ, EventName.EGRESS_READ), sync_to_thread=True)
    def read(self, appliance: Box, principal: Caller) -> EgressOut:
        return EgressOut.of(appliance.egress.status(principal))
