"""One question answered: search, prompt, stream, check, store. Runs where the language model is."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import structlog

from appliance.audit.log import AuditLog
from appliance.chat.answerability import confident
from appliance.chat.budget import Fitted, fit_prompt
from appliance.chat.citations import CheckedAnswer, check_answer, quoted_answer
from appliance.chat.claims import Claim, Ending, earlier_messages, finish
from appliance.chat.followup import standalone_query
from appliance.chat.models import Message, MessageStatus
from appliance.chat.prompt import Turn
from appliance.chat.quotes import best_quotes
from appliance.chat.records import answer_ended, answer_started
from appliance.chat.sink import DeltaSink, ToleratingSink
from appliance.chat.watch import ClaimWatch
from appliance.errors import ApplianceError
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.models import CompletionRequest, FinishReason, Model, Usage
from appliance.inference.runtime import Runtime
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import conversation as conversation_resource
from appliance.retrieval.models import Hit
from appliance.settings import Settings
from appliance.storage.database import Database

NO_ANSWER = "The documents you may read do not contain the answer to this question."
_PASSAGES_SHOWN = 4
_QUOTES = 2


class Searcher(Protocol):
    """What answering needs of `retrieval.search.Search`."""

    def search(self, principal: Principal, query: str, limit: int, *, collection_id: str | None = None) -> list[Hit]: ...


class Answering:
    """Turns a claimed question into a stored answer."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        search: Searcher,
        runtime_factory: Callable[[], Runtime],
        settings: Settings,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._search = search
        self._runtime_factory = runtime_factory
        self._settings = settings

    def answer(self, claim: Claim, sink: DeltaSink) -> None:
        """Work on the claim until it is stored as DONE, STOPPED or FAILED. Unexpected errors are stored, then raised."""
        shown = ToleratingSink(sink, claim.message_id)
        with self._database.read() as connection:
            principal = load_principal(connection, claim.principal_id)
        work = _Work(claim)
        shown.reset(claim.attempt)
        with ClaimWatch(self._database, claim) as watch:
            try:
                ending = self._work(work, principal, shown, watch)
            except ApplianceError as error:
                ending = work.failed(error.stable_code, error.sentence)
            except Exception:
                ending = work.failed("answer.internal", "Something went wrong while answering. Please ask again.")
                self._store(work, principal, ending)
                shown.finished(claim.message_id)
                raise
        if watch.lost:
            structlog.get_logger().warning("claim_lost", message_id=claim.message_id, attempt=claim.attempt)
            return
        self._store(work, principal, ending)
        shown.finished(claim.message_id)

    def _work(self, work: _Work, principal: Principal | None, sink: ToleratingSink, watch: ClaimWatch) -> Ending:
        claim = work.claim
        if principal is None:
            return work.failed("answer.denied", "The account that asked this question may not ask any more.")
        self._access.require(principal, Action.MESSAGE_ASK, conversation_resource(claim.conversation_id, claim.principal_id))
        sink.stage("searching")
        runtime = self._runtime_factory()
        work.model = runtime.model
        work.mark("ready_ms")
        with self._database.read() as connection:
            earlier = earlier_messages(connection, claim)
        query = standalone_query(claim.question, [turn.text for turn in earlier if turn.role == "user"])
        limit = self._settings.passages_limit
        work.found = self._search.search(principal, query, limit, collection_id=claim.collection_id)
        work.mark("search_ms")
        if watch.cancelled.is_set():
            return work.ended(MessageStatus.STOPPED, CheckedAnswer("", ()), FinishReason.CANCELLED)
        if not confident(query, work.found):
            return work.ended(MessageStatus.DONE, CheckedAnswer(NO_ANSWER, ()), "abstained")
        fitted = self._fit(claim, work.found, _turns(earlier), runtime)
        work.used = fitted.passages
        with self._database.write() as connection:
            self._audit.append(connection, answer_started(claim, principal, fitted.passages, runtime.model))
        sink.stage(f"reading {len(fitted.passages)}")
        text, reason = self._stream(work, fitted, runtime, sink, watch)
        sink.stage("checking")
        return self._check(work, query, text, reason)

    def _fit(self, claim: Claim, found: Sequence[Hit], turns: Sequence[Turn], runtime: Runtime) -> Fitted:
        return fit_prompt(
            claim.question,
            found[:_PASSAGES_SHOWN],
            turns,
            secrets.token_hex(3),
            room=runtime.context_tokens - self._settings.answer_tokens,
            count_tokens=runtime.count_tokens,
        )

    def _stream(
        self, work: _Work, fitted: Fitted, runtime: Runtime, sink: ToleratingSink, watch: ClaimWatch
    ) -> tuple[str, FinishReason]:
        request = CompletionRequest(fitted.messages, self._settings.answer_tokens, cancelled=watch.cancelled)
        text, reason = "", FinishReason.STOP
        for delta in runtime.complete(request):
            if delta.text:
                if not text:
                    work.mark("first_delta_ms")
                    sink.stage("writing")
                sink.delta(delta.text, len(text))
                text += delta.text
            reason = delta.finish_reason or reason
            work.usage = delta.usage or work.usage
            if watch.cancelled.is_set():
                reason = FinishReason.CANCELLED
                break
        work.mark("written_ms")
        return text, reason

    def _check(self, work: _Work, query: str, text: str, reason: FinishReason) -> Ending:
        if reason is FinishReason.CANCELLED:
            return work.ended(MessageStatus.STOPPED, check_answer(text, work.used, keep_unsupported=True), reason)
        checked = check_answer(text, work.used)
        if not checked.supported:
            quotes = best_quotes(query, work.used, _QUOTES)
            if not quotes:
                return work.ended(MessageStatus.DONE, CheckedAnswer(NO_ANSWER, ()), "abstained")
            checked = quoted_answer(quotes, work.used)
        return work.ended(MessageStatus.DONE, checked, reason)

    def _store(self, work: _Work, principal: Principal | None, ending: Ending) -> None:
        with self._database.write() as connection:
            if finish(connection, work.claim, ending):
                self._audit.append(connection, answer_ended(work.claim, principal, ending, work.model))


class _Work:
    """What is known about an answer so far, kept for its row whatever happens next."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.model: Model | None = None
        self.found: list[Hit] = []
        self.used: tuple[Hit, ...] = ()
        self.usage = Usage()
        self._started = time.monotonic()
        self.timing = {"wait_ms": max(0.0, time.time() * 1_000 - claim.asked_ms)}

    def mark(self, step: str) -> None:
        """Milliseconds from the claim to now."""
        self.timing[step] = round((time.monotonic() - self._started) * 1_000, 1)

    def ended(self, status: MessageStatus, checked: CheckedAnswer, reason: str) -> Ending:
        return self._ending(status, text=checked.text, spans=checked.spans, finish_reason=str(reason))

    def failed(self, code: str, sentence: str) -> Ending:
        return self._ending(MessageStatus.FAILED, finish_reason=FinishReason.ERROR.value, reason_code=code, reason=sentence)

    def _ending(self, status: MessageStatus, **values: object) -> Ending:
        self.mark("total_ms")
        return Ending(
            status,
            model=self.model.id if self.model else None,
            passages=self.used,
            passages_found=len(self.found),
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            timing=dict(self.timing),
            **values,  # type: ignore[arg-type]
        )


def _turns(earlier: Sequence[Message]) -> list[Turn]:
    """Finished exchanges, oldest first."""
    turns = []
    for question, answer in pairwise(earlier):
        if question.role == "user" and answer.role == "assistant" and answer.status is MessageStatus.DONE:
            turns.append(Turn(question.text, answer.text))
    return turns
