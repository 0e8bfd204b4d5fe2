"""Who must stay, and what is erased of those who left: a card on the officer's page."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.holds import ErasedOut, HoldingsOut, Reasoned, ReasonedFor


class HoldsController(Controller):
    @get("/api/holds", opt=declares(Action.HOLD_LIST, EventName.HOLD_LISTED), sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller) -> HoldingsOut:
        return HoldingsOut.of(appliance.holds.list(principal))

    @post("/api/holds", opt=declares(Action.HOLD_PLACE, EventName.HOLD_PLACED), status_code=204, sync_to_thread=True)
    def place(self, appliance: Box, principal: Caller, data: JSONBody[ReasonedFor]) -> None:
        appliance.holds.place(principal, data.person, data.reason)

    @post(
        "/api/holds/{person:str}/lift",
        opt=declares(Action.HOLD_LIFT, EventName.HOLD_LIFTED),
        status_code=204,
        sync_to_thread=True,
    )
    def lift(self, appliance: Box, principal: Caller, person: FromPath[str], data: JSONBody[Reasoned]) -> None:
        appliance.holds.lift(principal, person, data.reason)

    @post("/api/audit/erase", opt=declares(Action.AUDIT_ERASE, EventName.AUDIT_ERASED), status_code=200, sync_to_thread=True)
    def erase(self, appliance: Box, principal: Caller, data: JSONBody[ReasonedFor]) -> ErasedOut:
        return ErasedOut.of(appliance.erasure.erase(principal, data.person, data.reason))
