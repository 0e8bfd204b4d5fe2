"""One question answered: search, prompt, stream, check, store. Runs where the language model is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import structlog

from appliance.audit.log import AuditLog
from appliance.chat.answerability import answerable
from appliance.chat.budget import Fitted, fit_prompt
from appliance.chat.citations import AnswerDraft, CheckedAnswer
from appliance.chat.claims import Claim, Ending, earlier_messages, finish
from appliance.chat.followup import standalone_query
from appliance.chat.models import ABSTAINED, QUOTED, Message, MessageStatus
from appliance.chat.prompt import Turn
from appliance.chat.quotes import Quote, Similarity, best_quotes
from appliance.chat.records import answer_ended, answer_started
from appliance.chat.sentences import Sentence, repeats_itself, split_sentences
from appliance.chat.sink import DeltaSink, ToleratingSink
from appliance.chat.watch import ClaimWatch
from appliance.chat.work import Work
from appliance.errors import ApplianceError
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.models import CompletionRequest, FinishReason
from appliance.inference.runtime import Runtime
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import conversation as conversation_resource
from appliance.retrieval.models import Hit
from appliance.settings import Settings
from appliance.storage.database import Database

NO_ANSWER = "The documents you may read do not contain the answer to this question."
MICRO_BYTES = 600_000_000
"""A language model smaller than this repeats better than it reasons: passages' own sentences come first, its wording after."""

_QUOTES = 2
_PASSAGES_SHOWN = 4
_MICRO_PASSAGES_SHOWN = 3
_MICRO_ANSWER_TOKENS = 96
_DELTAS_AFTER_CANCEL = 4


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
        similarity: Similarity | None = None,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._search = search
        self._runtime_factory = runtime_factory
        self._settings = settings
        self._similarity = similarity

    def answer(self, claim: Claim, sink: DeltaSink) -> None:
        """Work on the claim until it is stored as DONE, STOPPED or FAILED. Unexpected errors are stored, then raised."""
        shown = ToleratingSink(sink, claim.message_id)
        with self._database.read() as connection:
            principal = load_principal(connection, claim.principal_id)
        work = Work(claim)
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

    def _work(self, work: Work, principal: Principal | None, sink: ToleratingSink, watch: ClaimWatch) -> Ending:
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
        work.found = self._search.search(principal, query, self._settings.passages_limit, collection_id=claim.collection_id)
        work.mark("search_ms")
        if watch.cancelled.is_set():
            return work.ended(MessageStatus.STOPPED, CheckedAnswer(""), FinishReason.CANCELLED)
        if not answerable(claim.question, query, work.found):
            return work.ended(MessageStatus.DONE, CheckedAnswer(NO_ANSWER), ABSTAINED)
        micro = 0 < runtime.model.size_bytes < MICRO_BYTES
        fitted = self._fit(claim, work.found, _turns(earlier), runtime, _MICRO_PASSAGES_SHOWN if micro else _PASSAGES_SHOWN)
        work.used = fitted.passages
        with self._database.write() as connection:
            self._audit.append(connection, answer_started(claim, principal, fitted.passages, runtime.model))
        sink.stage(f"reading {len(fitted.passages)}")
        quotes = best_quotes(query, work.used, _QUOTES, self._similarity)
        draft = AnswerDraft(work.used, question=claim.question, strict=micro)
        longest = min(self._settings.answer_tokens, _MICRO_ANSWER_TOKENS) if micro else self._settings.answer_tokens
        request = CompletionRequest(
            fitted.messages,
            longest,
            cancelled=watch.cancelled,
            person=claim.principal_id,
            conversation=claim.conversation_id,
        )
        if micro:
            draft.add_quotes(quotes)
            reason = _stream_checked(work, request, runtime, sink, draft)
        else:
            reason = _stream_live(work, request, runtime, sink, draft)
        sink.stage("checking")
        if not self._readable(principal, work.used):
            return work.failed(
                "answer.denied", "A document of this answer was closed to you while it was written. Please ask again."
            )
        return _released(work, draft, quotes, reason)

    def _readable(self, principal: Principal, passages: Sequence[Hit]) -> bool:
        """Whether the person still may read what the answer is made of: rights may have changed while it was written."""
        scope = self._access.scope(principal, Action.DOCUMENT_READ)
        return all(hit.collection_id in scope.collection_ids for hit in passages)

    def _fit(self, claim: Claim, found: Sequence[Hit], turns: Sequence[Turn], runtime: Runtime, shown: int) -> Fitted:
        return fit_prompt(
            claim.question,
            found[:shown],
            turns,
            secrets.token_hex(3),
            room=runtime.context_tokens - self._settings.answer_tokens,
            count_tokens=runtime.count_tokens,
        )

    def _store(self, work: Work, principal: Principal | None, ending: Ending) -> None:
        with self._database.write() as connection:
            if finish(connection, work.claim, ending):
                self._audit.append(connection, answer_ended(work.claim, principal, ending, work.model))


def _stream_live(
    work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink, draft: AnswerDraft
) -> FinishReason:
    """Show the model's text as it comes, and check it when it has ended; why it ended."""
    text, repeated = "", False
    pieces = _Pieces(work, request, runtime, sink)
    for piece in pieces:
        sink.delta(piece, len(text))
        text += piece
        if repeats_itself(text):
            repeated = True
            request.cancelled.set()
    draft.add_checked(text)
    return FinishReason.STOP if repeated else pieces.reason


def _stream_checked(
    work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink, draft: AnswerDraft
) -> FinishReason:
    """Show the quotations at once, then each of the model's sentences once it is finished and supported.

    The first sentence that is not supported ends the answer: a small model that has begun to invent goes on inventing.
    """
    shown = _show_new(sink, draft, 0)
    if shown:
        work.mark("first_delta_ms")
    text, waiting, trusted = "", "", True
    pieces = _Pieces(work, request, runtime, sink)
    for piece in pieces:
        text, waiting = text + piece, waiting + piece
        *finished, last = split_sentences(waiting) or [Sentence("", 0, 0)]
        for sentence in finished:
            trusted = trusted and draft.add_checked(sentence.text)
        waiting = waiting[last.start :]
        shown = _show_new(sink, draft, shown)
        if not trusted or repeats_itself(text):
            trusted = False
            request.cancelled.set()
    if trusted and pieces.reason is FinishReason.STOP:
        draft.add_checked(waiting)
        _show_new(sink, draft, shown)
    return pieces.reason if trusted and pieces.reason is FinishReason.CANCELLED else FinishReason.STOP


def _show_new(sink: ToleratingSink, draft: AnswerDraft, shown: int) -> int:
    text = draft.checked().text
    if len(text) > shown:
        sink.delta(text[shown:], shown)
    return len(text)


class _Pieces:
    """The model's text piece by piece; afterwards `reason` tells why it ended."""

    def __init__(self, work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink) -> None:
        self._work, self._request, self._runtime, self._sink = work, request, runtime, sink
        self.reason = FinishReason.STOP

    def __iter__(self) -> Iterator[str]:
        written, ignored = False, 0
        for delta in self._runtime.complete(self._request):
            self.reason = delta.finish_reason or self.reason
            self._work.usage = delta.usage or self._work.usage
            if self._request.cancelled.is_set():
                self.reason = FinishReason.CANCELLED
                ignored += 1
                if ignored > _DELTAS_AFTER_CANCEL:
                    break
            elif delta.text:
                if not written:
                    self._work.mark("first_delta_ms")
                    self._work.mark("first_token_ms")
                    self._sink.stage("writing")
                written = True
                yield delta.text
        self._work.mark("written_ms")


def _released(work: Work, draft: AnswerDraft, quotes: Sequence[Quote], reason: FinishReason) -> Ending:
    """What may be told of what was written: supported sentences, the passages' own words, or that there is no answer."""
    own = draft.written
    if reason is not FinishReason.CANCELLED and not draft.checked().supported:
        draft.add_quotes(quotes)
    work.used = draft.passages()
    if reason is FinishReason.CANCELLED:
        return work.ended(MessageStatus.STOPPED, draft.checked(), reason)
    if not draft.checked().supported:
        return work.ended(MessageStatus.DONE, CheckedAnswer(NO_ANSWER), ABSTAINED)
    # why the model stopped says nothing about an answer without a sentence of its own
    return work.ended(MessageStatus.DONE, draft.checked(), reason if own else QUOTED)


def _turns(earlier: Sequence[Message]) -> list[Turn]:
    """Finished exchanges, oldest first."""
    turns = []
    for question, answer in pairwise(earlier):
        if question.role == "user" and answer.role == "assistant" and answer.status is MessageStatus.DONE:
            turns.append(Turn(question.text, answer.text))
    return turns
