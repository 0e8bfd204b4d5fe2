"""Which model would answer what on this box, for administrators."""

from __future__ import annotations

from litestar import Controller, get

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.routing import RoutingOut


class RoutingController(Controller):
    @get("/api/models/routing", opt=declares(Action.MODEL_LIST, EventName.MODEL_LISTED), sync_to_thread=True)
    def explain(self, appliance: Box, principal: Caller) -> RoutingOut:
        return RoutingOut.of(appliance.routing_review.explain(principal))
