"""How well the box answers, and what people say about it, for administrators."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.numbers import QueryNumber
from web.pages import page
from web.schemas.golden import QuestionIn
from web.schemas.quality import QualityOut, VoicesOut

_SHELL = "an empty frame; what it shows comes by the JSON routes"


class QualityController(Controller):
    @get("/admin/quality", opt=declares(Action.QUALITY_READ, unaudited=_SHELL), sync_to_thread=True)
    def quality_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_quality.html")

    @get("/api/quality", opt=declares(Action.QUALITY_READ, EventName.QUALITY_READ), sync_to_thread=True)
    def figures(self, appliance: Box, principal: Caller, by: FromQuery[str] = "day", days: QueryNumber = 30) -> QualityOut:
        return QualityOut.of(appliance.quality.read(principal, by=by, days=days), appliance.silence, appliance.measured_silence)

    @get("/api/feedback", opt=declares(Action.FEEDBACK_LIST, EventName.FEEDBACK_LISTED), sync_to_thread=True)
    def voices(
        self,
        appliance: Box,
        principal: Caller,
        page: QueryNumber = 1,
    ) -> VoicesOut:
        return VoicesOut.of(appliance.voices.read(principal, page))

    @post(
        "/api/feedback/{message_id:str}/golden/{set_id:str}",
        opt=declares(Action.GOLDEN_UPDATE, EventName.GOLDEN_UPDATED),
        status_code=204,
        sync_to_thread=True,
    )
    def take(
        self,
        appliance: Box,
        principal: Caller,
        message_id: FromPath[str],
        set_id: FromPath[str],
        data: JSONBody[QuestionIn],
    ) -> None:
        appliance.voices.exchange(principal, message_id)  # a leave that was taken back meanwhile is none
        appliance.golden.add(principal, set_id, [data.expected()])
