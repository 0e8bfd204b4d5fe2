"""Conversations, messages and what an answer cites."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.inference.selection.records import SelectionRecord


class MessageStatus(StrEnum):
    """PENDING and ANSWERING are work in progress; the row is the job. Questions are DONE from the start."""

    PENDING = "PENDING"
    ANSWERING = "ANSWERING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        return self not in {MessageStatus.PENDING, MessageStatus.ANSWERING}


ABSTAINED = "abstained"
"""The finish reason of a DONE answer that says that the documents do not hold one."""
QUOTED = "quoted"
"""The finish reason of a DONE answer in the passages' own words alone: nothing that the model wrote is in it.

All other finish reasons are those of the runtime, `FinishReason`.
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread of questions and answers of one person; `chosen_model` is the one chosen by hand, empty where none was."""

    id: str
    principal_id: str
    title: str
    collection_id: str | None
    created_ms: int
    updated_ms: int
    chosen_model: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A mark `[number]` in an answer and the span of the document that supports the sentence before it.

    `document_id` is None when the document was deleted since. `text` is the supporting span.
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


class FeedbackKind(StrEnum):
    """What a person says is the matter with an answer; NONE where they do not say."""

    NONE = ""
    CITATION = "citation"
    """A source does not hold what the answer says."""
    MISSED = "missed"
    """Not answered, although the documents say it."""
    WRONG = "wrong"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person says about an answer of theirs; `shared`: administrators may see the question and the answer with it."""

    helpful: bool
    kind: FeedbackKind = FeedbackKind.NONE
    comment: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Nearest:
    """A passage that was offered where the documents hold no answer; `text` is its beginning. Nothing rests on it."""

    document_id: str
    document_name: str
    page: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One question or one answer."""

    id: str
    conversation_id: str
    ordinal: int
    role: str
    text: str
    status: MessageStatus
    created_ms: int
    finished_ms: int | None = None
    finish_reason: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    model: str | None = None
    passages_found: int = 0
    passages_used: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those that the runtime still held from before and had not to read again."""
    completion_tokens: int = 0
    timing: dict[str, float] = field(default_factory=dict)
    selection: SelectionRecord | None = None
    citations: tuple[Citation, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    """Of an answer that says that there is none; those that were deleted or closed to the person since are left out."""
    feedback: Feedback | None = None

    @property
    def runtime(self) -> str:
        """What ran the model; empty where none was chosen."""
        return self.selection.runtime if self.selection else ""

    @property
    def instead_of(self) -> list[str]:
        """Models that would have answered but could not be loaded."""
        return sorted({named.partition(" ")[0] for named in self.selection.instead_of}) if self.selection else []

    @property
    def device(self) -> str:
        """What it computed on, or was to where the runtime did not say; empty where no model was chosen."""
        return self.selection.used or self.selection.device if self.selection else ""
