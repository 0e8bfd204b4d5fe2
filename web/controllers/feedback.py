"""What people say about answers of their own."""

from __future__ import annotations

from litestar import Controller, delete, put
from litestar.params import FromPath, JSONBody

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.chat import FeedbackIn, FeedbackOut


class FeedbackController(Controller):
    path = "/api/messages/{message_id:str}/feedback"

    @put(opt=declares(Action.FEEDBACK_GIVE, EventName.FEEDBACK_GIVEN), sync_to_thread=True)
    def give(self, appliance: Box, principal: Caller, message_id: FromPath[str], data: JSONBody[FeedbackIn]) -> FeedbackOut:
        return FeedbackOut.of(appliance.feedback.give(principal, message_id, data.given()))

    @delete(opt=declares(Action.FEEDBACK_GIVE, EventName.FEEDBACK_WITHDRAWN), sync_to_thread=True)
    def withdraw(self, appliance: Box, principal: Caller, message_id: FromPath[str]) -> None:
        appliance.feedback.withdraw(principal, message_id)
