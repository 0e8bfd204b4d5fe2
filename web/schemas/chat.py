"""Conversations, messages and citations."""

from __future__ import annotations

import msgspec

from appliance.chat.models import Conversation, Feedback, FeedbackKind, Message
from appliance.retention.terms import Stays


class NewConversation(msgspec.Struct, forbid_unknown_fields=True):
    """`collection_id` narrows all its answers to one collection; None means all the person may read.

    `model` is one chosen by hand, a name or the id of a version; empty leaves it to the routing policy.
    """

    collection_id: str | None = None
    model: str = ""


class NewQuestion(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class ConversationOut(msgspec.Struct):
    """`end_ms` is when it goes by its age unless somebody writes in it; None where that is not near."""

    id: str
    title: str
    collection_id: str | None
    created_ms: int
    updated_ms: int
    chosen_model: str
    end_ms: int | None = None

    @classmethod
    def of(cls, conversation: Conversation, stays: Stays) -> ConversationOut:
        made = msgspec.convert(conversation, cls, from_attributes=True)
        made.end_ms = stays.conversation_end_ms(conversation.updated_ms)
        return made


class ConversationPage(msgspec.Struct):
    """Newest first; where there are `more`, they follow the last one's `updated_ms` and `id`."""

    conversations: list[ConversationOut]
    more: bool


class CitationOut(msgspec.Struct):
    """Offsets count characters (code points): `answer_*` in the answer, `start` and `end` in the document's text.

    `document_id` is None when the document was deleted, or closed to the person, since.
    """

    number: int
    answer_start: int
    answer_end: int
    document_id: str | None
    document_name: str
    page: int
    start: int
    end: int
    text: str


class NearestOut(msgspec.Struct):
    """A passage near the question that does not answer it; offsets as in a citation."""

    document_id: str
    document_name: str
    page: int
    start: int
    end: int
    text: str


class FeedbackIn(msgspec.Struct, forbid_unknown_fields=True):
    """A judgement as a whole; what is left out takes back what was said before."""

    helpful: bool
    kind: FeedbackKind = FeedbackKind.NONE
    comment: str = ""
    shared: bool = False

    def given(self) -> Feedback:
        return Feedback(self.helpful, self.kind, self.comment, self.shared)


class FeedbackOut(msgspec.Struct):
    """What a person said about an answer, as it is kept."""

    helpful: bool
    kind: str
    comment: str
    shared: bool

    @classmethod
    def of(cls, feedback: Feedback) -> FeedbackOut:
        return cls(feedback.helpful, feedback.kind.value, feedback.comment, feedback.shared)


class MessageOut(msgspec.Struct):
    """A question or an answer; `timing` is milliseconds per step.

    `model` through `runtime` on `device` answered, in the place of those in `instead_of`, which could not be loaded. Of the
    tokens of the prompt, `cached_tokens` had not to be read again.
    """

    id: str
    conversation_id: str
    ordinal: int
    role: str
    text: str
    status: str
    created_ms: int
    finished_ms: int | None
    finish_reason: str | None
    reason_code: str | None
    reason: str | None
    model: str | None
    runtime: str
    device: str
    instead_of: list[str]
    passages_found: int
    passages_used: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    timing: dict[str, float]
    citations: list[CitationOut]
    nearest: list[NearestOut]
    feedback: FeedbackOut | None

    @classmethod
    def of(cls, message: Message) -> MessageOut:
        return msgspec.convert(message, cls, from_attributes=True)


class ConversationWithMessages(msgspec.Struct):
    """Its latest messages, or the latest below an ordinal; whether there are `earlier` ones."""

    conversation: ConversationOut
    messages: list[MessageOut]
    earlier: bool


class Asked(msgspec.Struct):
    """The stored question and its pending answer; the answer's `events` tell the rest."""

    question: MessageOut
    answer: MessageOut
