"""The installed models, for administrators."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.schemas.administration import ModelOut


class ModelsController(Controller):
    @get(
        "/admin/models",
        opt=declares(Action.MODEL_LIST, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def models_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_models.html")

    @get("/api/models", opt=declares(Action.MODEL_LIST, EventName.MODEL_LISTED), sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller) -> list[ModelOut]:
        return [ModelOut.of(model) for model in appliance.box.models(principal)]
