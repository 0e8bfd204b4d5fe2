"""Versions of models, for administrators."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.schemas.models import CanaryOrder, IndexOut, ModelVersionOut

Indexes = list[IndexOut]  # inside the class `list` is a method


class ModelsController(Controller):
    @get(
        "/admin/models",
        opt=declares(Action.MODEL_LIST, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def models_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_models.html")

    @get("/api/models", opt=declares(Action.MODEL_LIST, EventName.MODEL_LISTED), sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller) -> list[ModelVersionOut]:
        unloadable = appliance.model_administration.unloadable(principal)
        versions = appliance.model_administration.list(principal)
        return [ModelVersionOut.of(version, unloadable.get(version.id, "")) for version in versions]

    @get(
        "/api/models/indexes",
        opt=declares(Action.MODEL_LIST, unaudited="how far work is whose beginning is on record; asked again every few seconds"),
        sync_to_thread=True,
    )
    def indexes(self, appliance: Box, principal: Caller) -> Indexes:
        return [IndexOut.of(index) for index in appliance.model_administration.indexes(principal)]

    @post(
        "/api/models/{version_id:str}/abandon",
        opt=declares(Action.MODEL_ACTIVATE, EventName.EMBEDDING_ABANDONED),
        status_code=200,
        sync_to_thread=True,
    )
    def abandon(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> ModelVersionOut:
        return ModelVersionOut.of(appliance.model_administration.abandon(principal, version_id))

    @post(
        "/api/models/{version_id:str}/activate",
        opt=declares(Action.MODEL_ACTIVATE, EventName.MODEL_ACTIVATED),
        status_code=200,
        sync_to_thread=True,
    )
    def activate(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> ModelVersionOut:
        return ModelVersionOut.of(appliance.model_administration.activate(principal, version_id))

    @post(
        "/api/models/{name:str}/rollback",
        opt=declares(Action.MODEL_ACTIVATE, EventName.MODEL_RESTORED),
        status_code=200,
        sync_to_thread=True,
    )
    def rollback(self, appliance: Box, principal: Caller, name: FromPath[str]) -> ModelVersionOut:
        return ModelVersionOut.of(appliance.model_administration.rollback(principal, name))

    @post(
        "/api/models/{version_id:str}/canary",
        opt=declares(Action.MODEL_CANARY, EventName.MODEL_TRIALLED),
        status_code=200,
        sync_to_thread=True,
    )
    def canary(
        self, appliance: Box, principal: Caller, version_id: FromPath[str], data: JSONBody[CanaryOrder]
    ) -> ModelVersionOut:
        version = appliance.model_administration.canary(
            principal, version_id, percent=data.percent, group=data.group, despite=data.reason.strip()
        )
        return ModelVersionOut.of(version)

    @post(
        "/api/models/{version_id:str}/retire",
        opt=declares(Action.MODEL_RETIRE, EventName.MODEL_RETIRED),
        status_code=200,
        sync_to_thread=True,
    )
    def retire(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> ModelVersionOut:
        return ModelVersionOut.of(appliance.model_administration.retire(principal, version_id))

    @post(
        "/api/models/{version_id:str}/retry",
        opt=declares(Action.MODEL_RETRY, EventName.MODEL_RETRIED),
        status_code=200,
        sync_to_thread=True,
    )
    def retry(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> ModelVersionOut:
        return ModelVersionOut.of(appliance.model_administration.retry(principal, version_id))

    @delete("/api/models/{version_id:str}", opt=declares(Action.MODEL_DELETE, EventName.MODEL_DELETED), sync_to_thread=True)
    def delete(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> None:
        appliance.model_administration.delete(principal, version_id)
