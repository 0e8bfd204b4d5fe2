"""Conversations: what a person does with them, and the way from a question to its answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.chat import claims, store, turns
from appliance.chat.answering import Answering, Searcher
from appliance.chat.budget import question_limit_bytes
from appliance.chat.claims import Claim, Ending
from appliance.chat.meaning import similarity_of
from appliance.chat.models import Conversation, Message, MessageStatus
from appliance.chat.policy import Silence
from appliance.chat.records import answer_ended
from appliance.chat.room import require_room
from appliance.chat.sink import DeltaSink, SilentSink
from appliance.errors import InvalidInput, NotFound, NotSignedIn
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.models import FinishReason
from appliance.inference.routing import Router
from appliance.inference.runtime import Embeds
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.resources import conversation as conversation_resource
from appliance.settings import Settings
from appliance.storage.database import Database

_TRIES = 2
"""A question whose worker died is tried once more, alone; then it is given up: it may be what kills them."""


class ChatService:
    """Every act is authorised for the principal it is given and leaves its audit event in the same transaction."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        search: Searcher,
        router: Router,
        settings: Settings,
        silence: Silence,
        embedder_factory: Callable[[], Embeds] | None = None,
    ) -> None:
        """`embedder_factory`, where given, lets sentences be chosen by meaning as well as by words."""
        self._database = database
        self._access = access
        self._audit = audit
        self._settings = settings
        self._router = router
        self._company = turns.Company()
        self._answering = Answering(
            database=database,
            access=access,
            audit=audit,
            search=search,
            router=router,
            settings=settings,
            silence=silence,
            similarity=None if embedder_factory is None else similarity_of(embedder_factory),
        )

    def create_conversation(self, principal: Principal, collection_id: str | None = None, chosen_model: str = "") -> Conversation:
        """A new conversation, narrowed to one collection where given, and to one model where its person may choose.

        Raises `NotFound` for a collection out of reach, `Denied` (`inference.choice_denied`) and `InvalidInput`
        (`inference.no_model`) for a choice that cannot be; whether the model may answer is decided with each answer.
        """
        self._access.require(principal, Action.CONVERSATION_CREATE, APPLIANCE)
        if chosen_model:
            self._router.check_choice(principal.roles, chosen_model)
        if collection_id is not None:
            self._access.require_collection(principal, Action.DOCUMENT_READ, collection_id)
        with self._database.write() as connection:
            if load_principal(connection, principal.id) is None:  # closed since policy was asked
                raise NotSignedIn("This account was closed.")
            conversation = store.insert_conversation(connection, principal.id, collection_id, chosen_model)
            facts = {"chosen_model": chosen_model} if chosen_model else {}
            self._record(connection, EventName.CONVERSATION_CREATED, principal, conversation, facts=facts)
        return conversation

    def model_choices(self, principal: Principal) -> dict[str, str]:
        """Ids of the models this person may choose from by hand, with their states. Raises `Denied` for whoever may not."""
        self._access.require(principal, Action.CONVERSATION_CREATE, APPLIANCE)
        return {offer.model_id: offer.state for offer in self._router.choices(principal.roles)}

    def conversations(
        self, principal: Principal, *, before: tuple[int, str] | None = None, limit: int | None = None
    ) -> list[Conversation]:
        """The principal's own, newest first; a page of them is the first `limit` after that time of change and id."""
        self._access.require(principal, Action.CONVERSATION_LIST, APPLIANCE)
        with self._database.write() as connection:
            found = store.list_conversations(connection, principal.id, before=before, limit=limit)
            event = AuditEvent(name=EventName.CONVERSATION_LISTED, principal=principal, facts={"count": len(found)})
            self._audit.append(connection, event)
        return found

    def conversation(
        self, principal: Principal, conversation_id: str, *, before: int | None = None, latest: int | None = None
    ) -> tuple[Conversation, list[Message]]:
        """A conversation with its messages: all, or the `latest`, of those with an ordinal below `before` where it is given.

        Raises `NotFound` for what is not the principal's.
        """
        conversation = self._require(principal, Action.CONVERSATION_READ, conversation_id)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.write() as connection:
            messages = store.load_messages(connection, conversation_id, readable, before=before, latest=latest)
            self._record(connection, EventName.CONVERSATION_READ, principal, conversation)
        return conversation, messages

    def message(self, principal: Principal, message_id: str) -> Message:
        """One message of one of the principal's conversations. Raises `NotFound` otherwise."""
        conversation = self._require_message(principal, Action.CONVERSATION_READ, message_id)
        # whoever follows an answer asks again once it is written: their groups may have changed
        readable = self._access.scope_now(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.write() as connection:
            message = store.load_message(connection, message_id, readable)
            if message is None:
                raise NotFound("There is no such message.", code="message.unknown")
            self._record(connection, EventName.CONVERSATION_READ, principal, conversation, message_id)
        return message

    def delete_conversation(self, principal: Principal, conversation_id: str) -> None:
        """Remove the conversation with everything in it; an answer in the works ends unseen."""
        conversation = self._require(principal, Action.CONVERSATION_DELETE, conversation_id)
        with self._database.write() as connection:
            if not store.delete_conversation(connection, conversation_id):
                raise NotFound("There is no such conversation.", code="conversation.unknown")
            self._record(connection, EventName.CONVERSATION_DELETED, principal, conversation)

    def ask(self, principal: Principal, conversation_id: str, text: str) -> tuple[Message, Message]:
        """Store the question and its PENDING answer; the caller then nudges a worker.

        Raises `InvalidInput` for an empty question and for one longer than the language model can read, `Throttled` while
        too many of the person's questions wait, `Unavailable` (`chat.busy`) while too many of everybody's do.
        """
        asked, pending, _ = self._ask(principal, conversation_id, text)
        return asked, pending

    def answer_now(
        self, principal: Principal, question: str, collection_id: str | None = None, chosen_model: str = ""
    ) -> Message:
        """Ask in a new conversation and answer in this process; no other worker can take the question meanwhile."""
        conversation = self.create_conversation(principal, collection_id, chosen_model)
        _, pending, claim = self._ask(principal, conversation.id, question, worker_id=f"here-{secrets.token_hex(8)}")
        assert claim is not None
        self._answering.answer(claim, SilentSink())
        return self.message(principal, pending.id)

    def stop(self, principal: Principal, message_id: str) -> None:
        """End the answer within a second, keeping what is written; an answer nobody works on ends at once."""
        conversation = self._require_message(principal, Action.MESSAGE_STOP, message_id)
        with self._database.write() as connection:
            self._record(connection, EventName.STOP_REQUESTED, principal, conversation, message_id)
            if claims.request_stop(connection, message_id):
                claim = claims.claim_answer(connection, message_id, "stop")
                if claim is not None:
                    ending = Ending(MessageStatus.STOPPED, finish_reason=FinishReason.CANCELLED.value)
                    claims.finish(connection, claim, ending)
                    self._audit.append(connection, answer_ended(claim, principal, ending, None))

    def answer(self, message_id: str, sink: DeltaSink, worker_id: str, overdue: tuple[type[BaseException], ...] = ()) -> bool:
        """Answer the question if nobody else does; False where somebody does, or has. After two crashes it has failed.

        `overdue` as for `Answering.answer`.
        """
        with self._database.write() as connection:
            claim = claims.claim_answer(connection, message_id, worker_id)
            if claim is None:
                return False
            crashed = claim.attempt > _TRIES
            if crashed:
                self._give_up(connection, claim)
        if crashed:
            sink.finished(message_id)
        else:
            self._answering.answer(claim, sink, overdue)
        return True

    def answer_next(
        self, sink_of: Callable[[str], DeltaSink], worker_id: str, overdue: tuple[type[BaseException], ...] = ()
    ) -> None:
        """Answer the question whose turn it is, if one waits; `sink_of` gives the sink for its answer's id."""
        while waiting := self._waiting():
            first = waiting[0]
            with self._company.entered(alone=first.tried):
                if self.answer(first.message_id, sink_of(first.message_id), worker_id, overdue):
                    return

    def ahead_of(self, message_id: str) -> int | None:
        """How many questions will be taken up before this one; None where somebody works on it, or has."""
        order = [waiting.message_id for waiting in self._waiting()]
        return order.index(message_id) if message_id in order else None

    def settled(self, message_id: str) -> bool:
        """Whether there is nothing more to wait for: the answer is stored, or gone. This leaves no audit event, reading does."""
        with self._database.read() as connection:
            message = store.load_message(connection, message_id, ())
        return message is None or message.status.finished

    def pending_ids(self) -> list[str]:
        """Answers nobody works on: not begun, or their worker's lease ran out."""
        with self._database.read() as connection:
            return claims.pending_ids(connection)

    def _waiting(self) -> list[turns.Waiting]:
        with self._database.read() as connection:
            return turns.waiting_in_turn(connection)

    def _give_up(self, connection: Connection, claim: Claim) -> None:
        ending = Ending(
            MessageStatus.FAILED,
            finish_reason=FinishReason.ERROR.value,
            reason_code="answer.crashed",
            reason="The process that answers ended twice while it worked on this question. Please ask it differently.",
        )
        claims.finish(connection, claim, ending)
        person = load_principal(connection, claim.principal_id, key_id=claim.key_id)
        self._audit.append(connection, answer_ended(claim, person, ending, None))

    def _ask(
        self, principal: Principal, conversation_id: str, text: str, *, worker_id: str | None = None
    ) -> tuple[Message, Message, Claim | None]:
        """The question, its PENDING answer, and where `worker_id` is given the claim to that answer, all in one transaction."""
        conversation = self._require(principal, Action.MESSAGE_ASK, conversation_id)
        question = text.strip()
        limit = question_limit_bytes(self._settings.context_tokens, self._settings.answer_tokens)
        if not question:
            raise InvalidInput("Please type a question.", code="chat.question_empty")
        size = len(question.encode())
        if size > limit:
            raise InvalidInput(
                f"The question is too long: {size} bytes, and at most {limit} are possible here.",
                code="chat.question_too_long",
                limit_bytes=limit,
            )
        with self._database.write() as connection:
            if store.load_conversation(connection, conversation_id) is None or load_principal(connection, principal.id) is None:
                raise NotFound("There is no such conversation.", code="conversation.unknown")
            require_room(connection, principal.id, self._settings.questions_limit, here=worker_id is not None)
            question_id, answer_id = store.insert_exchange(connection, conversation, question, principal.key_id)
            event = AuditEvent(
                EventName.QUESTION_ASKED,
                principal,
                resources=(
                    ResourceRef("conversation", conversation_id),
                    ResourceRef("message", question_id),
                    ResourceRef("message", answer_id),
                ),
                correlation_id=answer_id,
                facts={"question_bytes": size},
                sealed={"question": question},
            )
            self._audit.append(connection, event)
            asked, pending = (store.load_message(connection, message_id, ()) for message_id in (question_id, answer_id))
            claim = claims.claim_answer(connection, answer_id, worker_id) if worker_id else None
        assert asked is not None
        assert pending is not None
        return asked, pending, claim

    def _require(self, principal: Principal, action: Action, conversation_id: str) -> Conversation:
        with self._database.read() as connection:
            found = store.load_conversation(connection, conversation_id)
        return self._authorised(principal, action, found)

    def _require_message(self, principal: Principal, action: Action, message_id: str) -> Conversation:
        with self._database.read() as connection:
            found = store.conversation_of(connection, message_id)
        return self._authorised(principal, action, found)

    def _authorised(self, principal: Principal, action: Action, found: Conversation | None) -> Conversation:
        resource = None if found is None else conversation_resource(found.id, found.principal_id)
        self._access.require(principal, action, resource)
        if found is None:
            raise NotFound("There is no such conversation.", code="conversation.unknown")
        return found

    def _record(
        self,
        connection: Connection,
        name: EventName,
        principal: Principal,
        conversation: Conversation,
        message_id: str | None = None,
        *,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        resources = [ResourceRef("conversation", conversation.id)]
        if message_id is not None:
            resources.append(ResourceRef("message", message_id))
        self._audit.append(connection, AuditEvent(name, principal, resources=tuple(resources), facts=facts or {}))
