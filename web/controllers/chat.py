"""Conversations, questions and the stream of an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream, Template

from appliance.administration.samples import SUGGESTED_QUESTIONS
from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.answer_events import FROM_THE_START, answer_events
from web.dependencies import Box, Caller, Jobs
from web.guards import declares
from web.numbers import OptionalNumber
from web.pages import page
from web.schemas.chat import (
    Asked,
    ConversationOut,
    ConversationPage,
    ConversationWithMessages,
    MessageOut,
    NewConversation,
    NewQuestion,
)
from web.sse import event_stream

PAGE_CONVERSATIONS = 50
PAGE_MESSAGES = 40
"""Even, so that a page begins with a question."""

_SHELL = "an empty frame; what it shows comes by the JSON routes"


class ChatController(Controller):
    # not `sync_to_thread`: of a handler with two paths, Litestar (2.25) would wrap it once per path, one wrapper inside the other
    @get(["/chat", "/chat/{conversation_id:str}"], opt=declares(Action.CONVERSATION_LIST, unaudited=_SHELL))
    async def chat_page(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> Template:
        chooses = bool(principal.roles & appliance.routing.choosers)
        return await asyncio.to_thread(page, request, "chat.html", suggestions=SUGGESTED_QUESTIONS, chooses=chooses)

    @get("/api/conversations", opt=declares(Action.CONVERSATION_LIST, EventName.CONVERSATION_LISTED), sync_to_thread=True)
    def conversations(
        self,
        appliance: Box,
        principal: Caller,
        before_ms: OptionalNumber = None,
        before_id: FromQuery[str] = "",
    ) -> ConversationPage:
        before = None if before_ms is None else (before_ms, before_id)
        found = appliance.chat.conversations(principal, before=before, limit=PAGE_CONVERSATIONS + 1)
        stays = appliance.terms.now()
        page = [ConversationOut.of(conversation, stays) for conversation in found[:PAGE_CONVERSATIONS]]
        return ConversationPage(page, more=len(found) > PAGE_CONVERSATIONS)

    @get(
        "/api/model-choices",
        opt=declares(Action.CONVERSATION_CREATE, unaudited="names of models; what is chosen is told by conversation.created"),
        sync_to_thread=True,
    )
    def model_choices(self, appliance: Box, principal: Caller) -> dict[str, str]:
        return appliance.chat.model_choices(principal)

    @post(
        "/api/conversations",
        opt=declares(Action.CONVERSATION_CREATE, EventName.CONVERSATION_CREATED),
        sync_to_thread=True,
    )
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewConversation]) -> ConversationOut:
        made = appliance.chat.create_conversation(principal, data.collection_id, data.model)
        return ConversationOut.of(made, appliance.terms.now())

    @get(
        "/api/conversations/{conversation_id:str}",
        opt=declares(Action.CONVERSATION_READ, EventName.CONVERSATION_READ),
        sync_to_thread=True,
    )
    def conversation(
        self, appliance: Box, principal: Caller, conversation_id: FromPath[str], before: OptionalNumber = None
    ) -> ConversationWithMessages:
        conversation, found = appliance.chat.conversation(principal, conversation_id, before=before, latest=PAGE_MESSAGES + 1)
        page = [MessageOut.of(message) for message in found[-PAGE_MESSAGES:]]
        shown = ConversationOut.of(conversation, appliance.terms.now())
        return ConversationWithMessages(shown, page, earlier=len(found) > PAGE_MESSAGES)

    @delete(
        "/api/conversations/{conversation_id:str}",
        opt=declares(Action.CONVERSATION_DELETE, EventName.CONVERSATION_DELETED),
        sync_to_thread=True,
    )
    def delete(self, appliance: Box, principal: Caller, conversation_id: FromPath[str]) -> None:
        appliance.chat.delete_conversation(principal, conversation_id)

    @post(
        "/api/conversations/{conversation_id:str}/messages",
        opt=declares(Action.MESSAGE_ASK, EventName.QUESTION_ASKED),
        sync_to_thread=True,
    )
    def ask(
        self, appliance: Box, principal: Caller, queue: Jobs, conversation_id: FromPath[str], data: JSONBody[NewQuestion]
    ) -> Asked:
        question, answer = appliance.chat.ask(principal, conversation_id, data.text)
        queue.enqueue_answer(answer.id)
        return Asked(MessageOut.of(question), MessageOut.of(answer))

    @get("/api/messages/{message_id:str}/events", opt=declares(Action.CONVERSATION_READ, EventName.CONVERSATION_READ))
    async def events(
        self, request: Request[Any, Any, Any], appliance: Box, principal: Caller, message_id: FromPath[str]
    ) -> Stream:
        message = await asyncio.to_thread(appliance.chat.message, principal, message_id)
        last_id = request.headers.get("last-event-id", FROM_THE_START)
        return event_stream(request, answer_events(appliance, request.app.state.redis, principal, message, last_id))

    @post(
        "/api/messages/{message_id:str}/stop",
        opt=declares(Action.MESSAGE_STOP, EventName.STOP_REQUESTED),
        sync_to_thread=True,
        status_code=202,
    )
    def stop(self, appliance: Box, principal: Caller, message_id: FromPath[str]) -> dict[str, bool]:
        appliance.chat.stop(principal, message_id)
        return {"stopping": True}
