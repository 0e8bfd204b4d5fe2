"""What is known about an answer in the making, kept for its row whatever happens next."""

from __future__ import annotations

import time
from dataclasses import replace

from appliance.chat.citations import CheckedAnswer
from appliance.chat.claims import Claim, Ending
from appliance.chat.models import MessageStatus
from appliance.chat.prompt import Exchange
from appliance.inference.models import FinishReason, Model, Usage
from appliance.inference.selection.records import SelectionRecord
from appliance.retrieval.models import Hit
from appliance.storage.clock import now_ms


class Work:
    """Filled in by the steps of `Answering`; every end of an answer is made from it."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.model: Model | None = None
        self.selection: SelectionRecord | None = None
        self.micro = False
        """Whether the model is of the micro class, which repeats better than it reasons: quotations come first."""
        self.query = ""
        self.queries: tuple[str, ...] = ()
        """What was searched for, of each part of the question that can be answered."""
        self.missing: tuple[str, ...] = ()
        """The parts that cannot, as they were asked, where another one can."""
        self.exchanges: list[Exchange] = []
        self.found: list[Hit] = []
        self.used: tuple[Hit, ...] = ()
        self.usage = Usage()
        self.sentences = (0, 0)
        """Of the model's own: how many a passage holds, and how many none does."""
        self._started = time.monotonic()
        self._timing = {"wait_ms": float(max(0, now_ms() - claim.asked_ms))}

    def mark(self, step: str) -> None:
        """Milliseconds from the claim to the first time this is called for `step`."""
        self._timing.setdefault(step, round((time.monotonic() - self._started) * 1_000, 1))

    def seconds(self) -> float:
        """Since the claim."""
        return time.monotonic() - self._started

    def ended(self, status: MessageStatus, checked: CheckedAnswer, reason: str) -> Ending:
        """How the work ended, with what is released."""
        self.mark("total_ms")
        return Ending(
            status,
            text=checked.text,
            spans=checked.spans,
            finish_reason=str(reason),
            model=self.model.id if self.model else None,
            passages=self.used,
            passages_found=len(self.found),
            prompt_tokens=self.usage.prompt_tokens,
            cached_tokens=self.usage.cached_tokens,
            completion_tokens=self.usage.completion_tokens,
            timing=dict(self._timing),
            selection=self.selection,
            best_score=max((hit.score for hit in self.found), default=None),
            supported=self.sentences[0],
            withheld=self.sentences[1],
        )

    def failed(self, code: str, sentence: str) -> Ending:
        """FAILED, with a reason for people; nothing that was written is kept."""
        ended = self.ended(MessageStatus.FAILED, CheckedAnswer(""), FinishReason.ERROR)
        return replace(ended, reason_code=code, reason=sentence)
