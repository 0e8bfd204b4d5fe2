"""One question answered: search, prompt, stream, check, store. Runs where the language model is."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import structlog

from appliance.audit.log import AuditLog
from appliance.chat.budget import Fitted, fit_prompt
from appliance.chat.citations import AnswerDraft, CheckedAnswer
from appliance.chat.claims import Claim, Ending, earlier_messages, finish, reading_goes_on
from appliance.chat.classification import answer_classification
from appliance.chat.finding import find
from appliance.chat.followup import standalone_query
from appliance.chat.missing import nothing_found
from appliance.chat.models import ABSTAINED, QUOTED, Message, MessageStatus
from appliance.chat.nearest import nearest_passages
from appliance.chat.policy import Silence
from appliance.chat.prompt import CLOSELY, RULES, Exchange
from appliance.chat.quotes import Quote, Similarity, quotes_of
from appliance.chat.records import answer_ended, answer_started
from appliance.chat.release import secrets_of
from appliance.chat.sink import DeltaSink, ToleratingSink
from appliance.chat.streaming import OVERDUE, stream_again, stream_checked, stream_live
from appliance.chat.watch import ClaimWatch, Watched
from appliance.chat.work import Work
from appliance.errors import ApplianceError
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.instructed import InstructedRuntime
from appliance.inference.models import CompletionRequest, FinishReason
from appliance.inference.routing import Router
from appliance.inference.runtime import Runtime
from appliance.inference.selection.models import SelectionRequest
from appliance.inference.selection.records import record_of
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import conversation as conversation_resource
from appliance.retrieval.models import Hit
from appliance.settings import Settings
from appliance.storage.database import Database

_QUOTES = 2
_PASSAGES_SHOWN = 4
_MICRO_PASSAGES_SHOWN = 3
_MICRO_ANSWER_TOKENS = 96
_SHORTEST_S = 1.0


class Searcher(Protocol):
    """What answering needs of `retrieval.search.Search`."""

    def search(self, principal: Principal, query: str, limit: int, *, collection_id: str | None = None) -> list[Hit]: ...


class _StoppedWaitingError(Exception):
    """The person stopped the answer before there was a model for it."""


class Answering:
    """Turns a claimed question into a stored answer."""

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
        similarity: Similarity | None = None,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._search = search
        self._router = router
        self._settings = settings
        self._silence = silence
        self._similarity = similarity

    def answer(self, claim: Claim, sink: DeltaSink, overdue: tuple[type[BaseException], ...] = ()) -> None:
        """Work on the claim until it is stored as DONE, STOPPED or FAILED. Unexpected errors are stored, then raised.

        `overdue` is what the caller raises in this thread when its own limit is over: that is stored, and not raised.
        """
        shown = ToleratingSink(sink, claim.message_id)
        with self._database.read() as connection:
            principal = load_principal(connection, claim.principal_id, key_id=claim.key_id)
        work = Work(claim)
        shown.reset(claim.attempt)
        with ClaimWatch(self._database, claim) as watch:
            try:
                ending = self._work(work, principal, shown, watch)
            except ApplianceError as error:
                ending = work.failed(error.stable_code, error.sentence)
            except overdue:
                ending = work.failed("inference.timeout", OVERDUE)
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

    def _work(self, work: Work, principal: Principal | None, sink: ToleratingSink, watch: Watched) -> Ending:
        claim = work.claim
        if principal is None:
            return work.failed("answer.denied", "The account that asked this question may not ask any more.")
        self._access.require(principal, Action.MESSAGE_ASK, conversation_resource(claim.conversation_id, claim.principal_id))
        sink.stage("searching")
        with self._database.read() as connection:
            earlier = earlier_messages(connection, claim)
        work.exchanges = _exchanges(earlier)
        work.query = standalone_query(claim.question, [message.text for message in earlier if message.role == "user"])
        found = find(claim.question, work.query, lambda query: self._searched(work, principal, query), self._silence)
        work.queries, work.found, work.missing = found.queries, found.hits, found.missing
        work.mark("search_ms")
        if watch.cancelled.is_set():
            return work.ended(MessageStatus.STOPPED, CheckedAnswer(""), FinishReason.CANCELLED)
        if not work.queries:
            return self._silent(work, principal)
        try:
            with self._router.lend_loadable(
                lambda: self._routed(work, principal, watch),
                lambda share: sink.stage(f"loading {share:.0%}"),
                lambda selection: setattr(work, "selection", record_of(selection)),
            ) as (selection, runtime):
                work.model = runtime.model
                if work.selection is not None and not work.selection.destination:
                    work.selection = replace(work.selection, used=runtime.health().device)
                work.mark("ready_ms")
                work.micro = selection.require().offer.size_class == "micro"
                return self._write(work, principal, runtime, sink, watch)
        except _StoppedWaitingError:
            return work.ended(MessageStatus.STOPPED, CheckedAnswer(""), FinishReason.CANCELLED)

    def _searched(self, work: Work, principal: Principal, query: str) -> list[Hit]:
        limit = self._settings.passages_limit
        return self._search.search(principal, query, limit, collection_id=work.claim.collection_id)

    def _routed(self, work: Work, principal: Principal, watch: Watched) -> SelectionRequest:
        """By the classification of all that the prompt may hold: the passages found, and the answers before this one.

        It is asked for again while memory for the model is waited for, so it ends that wait for whoever pressed stop.
        """
        if watch.cancelled.is_set():
            raise _StoppedWaitingError
        claim, policy = work.claim, self._router.policy
        with self._database.read() as connection:
            classification = answer_classification(connection, policy, claim.conversation_id, work.found)
        return SelectionRequest(
            classification,
            roles=principal.roles,
            groups=principal.groups,
            conversation_id=claim.conversation_id,
            chosen=claim.chosen_model,
            context_tokens=2 * self._settings.answer_tokens,
        )

    def _write(self, work: Work, principal: Principal, runtime: Runtime, sink: ToleratingSink, watch: Watched) -> Ending:
        claim, micro = work.claim, work.micro
        boundary = secrets.token_hex(3)
        fitted = self._fit(work, runtime, boundary, work.found[: _MICRO_PASSAGES_SHOWN if micro else _PASSAGES_SHOWN])
        work.used = fitted.passages
        with self._database.write() as connection:
            self._audit.append(connection, answer_started(claim, principal, fitted.passages, runtime.model, work.selection))
        sink.stage(f"reading {len(fitted.passages)}")
        quotes = quotes_of(work.queries, work.used, _QUOTES, self._similarity)
        hidden = secrets_of(boundary, RULES, CLOSELY, *(runtime.words if isinstance(runtime, InstructedRuntime) else ()))
        draft = AnswerDraft(work.used, question=claim.question, strict=micro, secrets=hidden)
        longest = min(self._settings.answer_tokens, _MICRO_ANSWER_TOKENS) if micro else self._settings.answer_tokens
        request = CompletionRequest(
            fitted.messages,
            longest,
            cancelled=watch.cancelled,
            person=claim.principal_id,
            conversation=claim.conversation_id,
            deadline_s=max(_SHORTEST_S, self._settings.answer_timeout_s - work.seconds()),
        )
        if micro:
            draft.add_quotes(quotes)
            reason = stream_checked(work, request, runtime, sink, draft)
        else:
            reason = stream_live(work, request, runtime, sink, draft)
            if work.used and not draft.checked().supported and not watch.cancelled.is_set():
                reason = stream_again(work, self._closely(work, runtime, request, quotes, boundary), runtime, sink, draft)
        work.sentences = draft.own_sentences()
        sink.stage("checking")
        if not self._readable(principal, work.used):
            return work.failed(
                "answer.denied", "A document of this answer was closed to you while it was written. Please ask again."
            )
        ending = _released(work, draft, quotes, reason)
        if breaches := draft.breaches():
            structlog.get_logger().error("answer_withheld", message_id=claim.message_id, breaches=breaches)
            return work.failed(
                "answer.withheld",
                "The answer was withheld: it contained an address or an instruction that does not come from your documents.",
            )
        return self._partial(work, principal, ending) if ending else self._silent(work, principal)

    def _closely(
        self, work: Work, runtime: Runtime, request: CompletionRequest, quotes: Sequence[Quote], boundary: str
    ) -> CompletionRequest:
        """The same question of the passages with the best quotations alone, for one sentence in their words."""
        best = dict.fromkeys(quote.passage for quote in quotes) or [0]
        fitted = self._fit(work, runtime, boundary, [work.used[at] for at in best], CLOSELY)
        return replace(
            request,
            messages=fitted.messages,
            max_tokens=min(request.max_tokens, _MICRO_ANSWER_TOKENS),
            deadline_s=max(_SHORTEST_S, self._settings.answer_timeout_s - work.seconds()),
        )

    def _silent(self, work: Work, principal: Principal) -> Ending:
        """No answer, and nothing cited; what comes nearest is offered as that."""
        scope = self._scope(work, principal)
        near = nearest_passages(work.query, [hit for hit in work.found if hit.collection_id in scope], self._silence)
        text = nothing_found(reading=self._reading(scope))
        return replace(work.ended(MessageStatus.DONE, CheckedAnswer(text), ABSTAINED), nearest=near)

    def _partial(self, work: Work, principal: Principal, ending: Ending) -> Ending:
        """An answer to some of what was asked says what it does not answer."""
        if not work.missing or ending.status is not MessageStatus.DONE:
            return ending
        missing = nothing_found(work.missing, reading=self._reading(self._scope(work, principal)))
        return replace(ending, text=f"{ending.text}\n\n{missing}")

    def _scope(self, work: Work, principal: Principal) -> frozenset[str]:
        scope = self._access.scope_now(principal, Action.DOCUMENT_READ).collection_ids
        return scope if work.claim.collection_id is None else scope & {work.claim.collection_id}

    def _reading(self, scope: frozenset[str]) -> bool:
        """Whether documents of these collections are still being taken in: who asks right after an upload hears that."""
        with self._database.read() as connection:
            return reading_goes_on(connection, scope)

    def _readable(self, principal: Principal, passages: Sequence[Hit]) -> bool:
        """Whether the person still may read what the answer is made of: rights may have changed while it was written."""
        scope = self._access.scope_now(principal, Action.DOCUMENT_READ)
        return all(hit.collection_id in scope.collection_ids for hit in passages)

    def _fit(self, work: Work, runtime: Runtime, boundary: str, passages: Sequence[Hit], closing: str = "") -> Fitted:
        return fit_prompt(
            work.claim.question,
            passages,
            work.exchanges,
            boundary,
            room=runtime.context_tokens - self._settings.answer_tokens,
            count_tokens=runtime.count_tokens,
            closing=closing,
        )

    def _store(self, work: Work, principal: Principal | None, ending: Ending) -> None:
        with self._database.write() as connection:
            if finish(connection, work.claim, ending):
                self._audit.append(connection, answer_ended(work.claim, principal, ending, work.model))


def _released(work: Work, draft: AnswerDraft, quotes: Sequence[Quote], reason: FinishReason) -> Ending | None:
    """What may be told of what was written: supported sentences or the passages' own words; None where that is nothing."""
    own = draft.written
    if reason is not FinishReason.CANCELLED and not draft.checked().supported:
        draft.add_quotes(quotes)
    work.used = draft.passages()
    if reason is FinishReason.CANCELLED:
        return work.ended(MessageStatus.STOPPED, draft.checked(), reason)
    if not draft.checked().supported:
        return None
    # why the model stopped says nothing about an answer without a sentence of its own
    return work.ended(MessageStatus.DONE, draft.checked(), reason if own else QUOTED)


def _exchanges(earlier: Sequence[Message]) -> list[Exchange]:
    """Finished exchanges, oldest first."""
    exchanges = []
    for question, answer in pairwise(earlier):
        if question.role == "user" and answer.role == "assistant" and answer.status is MessageStatus.DONE:
            exchanges.append(Exchange(question.text, answer.text))
    return exchanges
