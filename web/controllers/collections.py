"""Collections: those one may read, and for administrators who each is opened to."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.schemas.administration import CollectionChange, CollectionCreated, CollectionDeletion, CollectionDetailOut, NewCollection
from web.schemas.documents import CollectionOut


class CollectionsController(Controller):
    @get(
        "/api/collections",
        opt=declares(Action.DOCUMENT_LIST, unaudited="names of what one may read anyway; opening one is audited"),
        sync_to_thread=True,
    )
    def readable(self, appliance: Box, principal: Caller) -> list[CollectionOut]:
        return [CollectionOut.of(summary, principal) for summary in appliance.collections.readable(principal)]

    @get(
        "/admin/collections",
        opt=declares(Action.COLLECTION_LIST, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def collections_page(self, request: Request[Any, Any, Any], appliance: Box) -> Template:
        return page(request, "admin_collections.html", classifications=appliance.collections.classifications)

    @get("/api/admin/collections", opt=declares(Action.COLLECTION_LIST, EventName.COLLECTION_LISTED), sync_to_thread=True)
    def list_all(self, appliance: Box, principal: Caller) -> list[CollectionDetailOut]:
        names = {account.principal.id: account.principal.name for account in appliance.people.list(principal)}
        return [CollectionDetailOut.of(detail, names) for detail in appliance.collections.list_all(principal)]

    @post("/api/admin/collections", opt=declares(Action.COLLECTION_CREATE, EventName.COLLECTION_CREATED), sync_to_thread=True)
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewCollection]) -> CollectionCreated:
        made = appliance.collections.create(
            principal,
            data.name,
            readers=data.readers,
            contributors=data.contributors,
            classification=data.classification,
        )
        return CollectionCreated(made)

    @patch(
        "/api/admin/collections/{collection_id:str}",
        opt=declares(Action.COLLECTION_UPDATE, EventName.COLLECTION_UPDATED),
        status_code=204,
        sync_to_thread=True,
    )
    def update(self, appliance: Box, principal: Caller, collection_id: FromPath[str], data: JSONBody[CollectionChange]) -> None:
        appliance.collections.update(
            principal,
            collection_id,
            name=data.name,
            readers=data.readers,
            contributors=data.contributors,
            classification=data.classification,
        )

    @delete(
        "/api/admin/collections/{collection_id:str}",
        opt=declares(Action.COLLECTION_DELETE, EventName.COLLECTION_DELETED),
        sync_to_thread=True,
    )
    def delete(self, appliance: Box, principal: Caller, collection_id: FromPath[str], data: JSONBody[CollectionDeletion]) -> None:
        appliance.collections.delete(principal, collection_id, name=data.name, documents=data.documents)
