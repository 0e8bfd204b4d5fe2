"""How long conversations stay, and the documents of a shared collection: what a number would come to, and setting it."""

from __future__ import annotations

from litestar import Controller, get, patch
from litestar.params import FromPath, JSONBody

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.numbers import QueryNumber
from web.schemas.retention import OutlookOut, RetentionChange

_OF_COLLECTION = "/api/admin/collections/{collection_id:str}/retention"


class RetentionController(Controller):
    @get("/api/retention", opt=declares(Action.RETENTION_UPDATE, EventName.RETENTION_READ), sync_to_thread=True)
    def read(self, appliance: Box, principal: Caller) -> OutlookOut:
        return OutlookOut.of(appliance.retention.read(principal))

    @get("/api/retention/outlook", opt=declares(Action.RETENTION_UPDATE, EventName.RETENTION_READ), sync_to_thread=True)
    def outlook(self, appliance: Box, principal: Caller, days: QueryNumber) -> OutlookOut:
        return OutlookOut.of(appliance.retention.outlook(principal, days))

    @patch("/api/retention", opt=declares(Action.RETENTION_UPDATE, EventName.RETENTION_CHANGED), sync_to_thread=True)
    def change(self, appliance: Box, principal: Caller, data: JSONBody[RetentionChange]) -> OutlookOut:
        return OutlookOut.of(appliance.retention.change(principal, data.days, going=data.going))

    @get(
        f"{_OF_COLLECTION}/outlook",
        opt=declares(Action.COLLECTION_UPDATE, EventName.RETENTION_READ),
        sync_to_thread=True,
    )
    def outlook_of_collection(
        self, appliance: Box, principal: Caller, collection_id: FromPath[str], days: QueryNumber
    ) -> OutlookOut:
        return OutlookOut.of(appliance.retention.outlook(principal, days, collection_id))

    @patch(_OF_COLLECTION, opt=declares(Action.COLLECTION_UPDATE, EventName.RETENTION_CHANGED), sync_to_thread=True)
    def change_of_collection(
        self, appliance: Box, principal: Caller, collection_id: FromPath[str], data: JSONBody[RetentionChange]
    ) -> OutlookOut:
        found = appliance.retention.change(principal, data.days, going=data.going, collection_id=collection_id)
        return OutlookOut.of(found)
