"""The models that this product knows, held against this box, for administrators."""

from __future__ import annotations

from litestar import Controller, get

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.catalogue import KnownModelOut


class CatalogueController(Controller):
    @get("/api/models/catalogue", opt=declares(Action.MODEL_LIST, EventName.MODEL_LISTED), sync_to_thread=True)
    def known(self, appliance: Box, principal: Caller) -> list[KnownModelOut]:
        return [KnownModelOut.of(model) for model in appliance.catalogue_review.known(principal)]
