"""The engine: one thread that gives every running answer its part of each step of the model.

A step is one batch: the next token of every answer that is being written, with guesses of those that follow where they pay,
and a piece of the prompts that are being read, small enough that writing goes on meanwhile. Requests join and leave between
two steps. Everything here except `submit`, `let_go`, `check`, `counts` and `close` runs in that thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import structlog

from appliance.errors import ApplianceError, Unavailable
from appliance.inference.llamacpp.drafting import GUESSES, LONGEST, Drafter, StepCosts
from appliance.inference.llamacpp.native import BATCH_TOKENS, DecodeAborted, NativeModel
from appliance.inference.llamacpp.prefix import Memory, shared_length
from appliance.inference.llamacpp.schedule import Share, Turns, read_shares, reading_room
from appliance.inference.llamacpp.slots import Stream, Ticket
from appliance.inference.models import Delta, FinishReason

_HUNG_S = 120.0
"""A step takes a second at most; one that takes this long will never end."""

_CLOSING_S = 10.0
_WORTH_WAITING = 32
"""Tokens that must be spared for a prompt to wait until another one with the same beginning was read."""

_SMALL_STEP = 24
_ABORT_FROM = 64

Scores = npt.NDArray[np.float32]

log = structlog.get_logger(__name__)


class Engine:
    """Slots, a waiting line of at most `waiting_limit`, and the thread that serves both. It owns `native` and frees it."""

    def __init__(self, native: NativeModel, *, slots: int, capacity: int, waiting_limit: int, drafting: bool = True) -> None:
        self._native = native
        self._slots = slots
        self._waiting_limit = waiting_limit
        self._drafting = drafting and native.rewinds
        self._memory = Memory(native, capacity, 2 * slots)
        self._turns, self._costs = Turns(), StepCosts()
        self._waiting: list[Ticket] = []
        self._running: list[Ticket] = []
        self._work = threading.Condition()
        self._step: dict[Ticket, int] = {}
        self._step_began: float | None = None
        self._ended: ApplianceError | None = None
        self.steps = 0
        self._thread = threading.Thread(target=self._serve, name="llama-engine", daemon=True)
        self._thread.start()

    def submit(self, ticket: Ticket) -> Stream:
        """Put the ticket into the waiting line. Raises `Unavailable`: `inference.busy`, or why the engine has ended."""
        with self._work:
            if self._ended is not None:
                raise self._ended.with_traceback(None)
            ahead = sum(not other.unwanted() for other in self._waiting)
            if ahead >= self._waiting_limit:
                raise Unavailable(
                    f"The language model is busy: {ahead} questions are ahead of this one.", code="inference.busy", ahead=ahead
                )
            self._waiting.append(ticket)
            self._work.notify_all()
        return Stream(ticket, self.let_go, self.check)

    def let_go(self, ticket: Ticket) -> None:
        """Nobody reads this ticket any more. Where most of the running step is its own, the step ends at once."""
        ticket.over = True
        with self._work:
            own = self._step.get(ticket, 0)
            if own >= _ABORT_FROM and 2 * own >= sum(self._step.values()) and self._native.rewinds:
                self._native.abort_flag.value = b"1"
            self._work.notify_all()

    def check(self) -> None:
        """Raise `Unavailable` where the engine has ended or its running step never will."""
        began = self._step_began
        if began is not None and time.monotonic() - began > _HUNG_S:
            raise Unavailable("The language model does not answer any more.", code="inference.timeout")
        if self._ended is not None:
            raise self._ended.with_traceback(None)

    def counts(self) -> tuple[int, int]:
        """How many answers are running and waiting."""
        with self._work:
            return len(self._running), len(self._waiting)

    def close(self) -> None:
        """End all answers with `inference.closed` and free the model, unless a step hangs in it."""
        with self._work:
            if self._ended is None:
                self._ended = Unavailable("The language model has been unloaded.", code="inference.closed")
            if self._native.rewinds:
                self._native.abort_flag.value = b"1"
            self._work.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSING_S)
        if self._thread.is_alive():
            log.warning("inference.hung")
        else:
            self._native.close()

    def _serve(self) -> None:
        try:
            while self._wait():
                self._advance()
        except Exception:
            self._ended = Unavailable("The language model has died.", code="inference.died")
            log.exception("inference.died")
            raise
        finally:
            with self._work:
                left = [*self._running, *self._waiting]
                self._running.clear()
                self._waiting.clear()
            for ticket in left:
                self._end(ticket, self._ended)

    def _wait(self) -> bool:
        """Until there is something to do; False once the engine was closed."""
        with self._work:
            while self._ended is None and not self._running and not self._waiting:
                self._work.wait()
            return self._ended is None

    def _advance(self) -> None:
        """One step: who left, who joins, what is read and written."""
        with self._work:
            gone = [ticket for ticket in (*self._running, *self._waiting) if ticket.unwanted()]
            self._running = [ticket for ticket in self._running if ticket not in gone]
            self._waiting = [ticket for ticket in self._waiting if ticket not in gone]
        for ticket in gone:
            self._end(ticket, FinishReason.CANCELLED)
        shares = self._plan()
        if not shares:
            if self._running or self._waiting:
                time.sleep(0.001)
            return
        try:
            self._decode(shares)
        except DecodeAborted:
            self._undo(shares)
            return
        except Unavailable as error:
            self._undo(shares)
            for ticket in {share.ticket for share in shares}:
                self._leave(ticket, error)
            self._memory.drop_resting()
            return
        self._continue(shares)

    def _plan(self) -> list[Share]:
        shares = self._writing()
        tokens = sum(len(share.tokens) for share in shares)
        room = reading_room(tokens, BATCH_TOKENS, writing=bool(shares))
        for ticket, amount in read_shares([ticket for ticket in self._running if not ticket.writing], room):
            shares.append(_read(ticket, amount))
            room -= amount
        while room > 0 and len(self._running) < self._slots:
            joined = self._admit()
            if joined is None:
                break
            shares.append(_read(joined, min(joined.unread, room)))
            room -= len(shares[-1].tokens)
        return shares

    def _writing(self) -> list[Share]:
        """The next token of each answer being written, with what probably follows it."""
        writers = [ticket for ticket in self._running if ticket.pending is not None]
        others, left, shares = len(writers) - 1, GUESSES, []
        for ticket in writers:
            drafted: list[int] = []
            if ticket.drafter is not None:
                most = min(LONGEST, ticket.request.max_tokens - ticket.written - 1, left)
                drafted = ticket.drafter.propose(others, self._costs, most)
                others, left = others + len(drafted), left - len(drafted)
            assert ticket.pending is not None
            shares.append(Share(ticket, [ticket.pending, *drafted], 1 + len(drafted), len(drafted)))
        return shares

    def _admit(self) -> Ticket | None:
        """The next of the waiting line gets a slot, if memory has room for all it may become."""
        with self._work:
            waiting, running = list(self._waiting), list(self._running)
        for ticket in self._turns.order(waiting, running):
            request = ticket.request
            if not ticket.alone and self._soon_read(ticket, running):
                continue
            if ticket.alone and not running:
                self._memory.drop_resting()
            sequence = self._memory.begin(
                ticket.prompt,
                request.person,
                request.conversation,
                public=ticket.public,
                length=len(ticket.prompt) + request.max_tokens,
                anew=ticket.alone or not self._native.rewinds,
            )
            if sequence is None:
                return None  # whoever needs less must not overtake for ever
            if not running:
                # llama.cpp gives each thread a part of all cells to attend to: where others rest in them, one thread does all
                # the work of the only answer, and each of its steps takes a quarter longer
                self._memory.drop_resting()
            ticket.sequence, ticket.cached = sequence, len(sequence.tokens)
            ticket.history = list(ticket.prompt)
            if self._drafting and not ticket.alone and not request.grammar and not request.json_schema:
                ticket.drafter = Drafter(ticket.history)
            with self._work:
                self._waiting.remove(ticket)
                self._running.append(ticket)
            self._turns.serve(ticket, waiting)
            return ticket
        return None

    def _soon_read(self, ticket: Ticket, running: Sequence[Ticket]) -> bool:
        """Whether much of its prompt is just being read for another answer, and can be had for nothing a moment later."""
        known = self._memory.common(ticket.prompt, ticket.request.person, ticket.public)
        for other in running:
            if other.sequence is None or other.writing or other.alone or not self._native.rewinds:
                continue
            limit = min(len(ticket.prompt), len(other.prompt)) - 1
            if other.request.person != ticket.request.person:
                limit = min(limit, ticket.public, other.public)
            if shared_length(other.prompt, ticket.prompt, limit) - known >= _WORTH_WAITING:
                return True
        return False

    def _decode(self, shares: Sequence[Share]) -> None:
        batch = self._native.batch
        batch.clear()
        for share in shares:
            assert share.ticket.sequence is not None
            batch.add(share.ticket.sequence.number, share.tokens, len(share.ticket.sequence.tokens), outputs=share.outputs)
        with self._work:
            self._native.abort_flag.value = b"" if self._ended is None else b"1"
            self._step = {share.ticket: len(share.tokens) for share in shares}
        began = self._step_began = time.monotonic()
        try:
            self._native.decode_batch()
        finally:
            self._step_began = None
            with self._work:
                self._step = {}
        self.steps += 1
        if batch.tokens <= _SMALL_STEP:
            self._costs.learn(batch.tokens, time.monotonic() - began)

    def _undo(self, shares: Sequence[Share]) -> None:
        """Forget what a step that did not end may have left; the next one does it again, for whoever is still there."""
        for share in shares:
            assert share.ticket.sequence is not None
            self._memory.trim(share.ticket.sequence, len(share.ticket.sequence.tokens))

    def _continue(self, shares: Sequence[Share]) -> None:
        """Note what was read, and choose the next tokens from what came out."""
        rows = self._native.batch.rows
        scores = self._native.logits(rows)
        best = scores.argmax(axis=1).tolist()
        row = place = 0
        for share in shares:
            first = place + len(share.tokens) - share.outputs
            place, taken, outcome = place + len(share.tokens), 0, None
            for number in range(share.outputs):
                outcome = self._choose(share.ticket, first + number, scores[row + number], best[row + number])
                if outcome is not None or number == share.drafted or share.tokens[number + 1] != share.ticket.pending:
                    break
                taken += 1
            row += share.outputs
            self._note(share, taken)
            if outcome is not None:
                self._leave(share.ticket, outcome)

    def _note(self, share: Share, taken: int) -> None:
        """Of the guesses in `share` the first `taken` were right; the others must be forgotten."""
        sequence = share.ticket.sequence
        assert sequence is not None
        self._memory.extend(sequence, share.tokens[: len(share.tokens) - share.drafted + taken])
        if share.drafted:
            if taken < share.drafted:
                self._memory.trim(sequence, len(sequence.tokens))
            assert share.ticket.drafter is not None
            share.ticket.drafter.learn(share.drafted, taken)

    def _choose(self, ticket: Ticket, place: int, scores: Scores, best: int) -> FinishReason | ApplianceError | None:
        """Choose a token and hand it on; why the answer ends with it, where it does."""
        try:
            token = ticket.sampler.choose(place, scores, best)
        except Unavailable as error:
            return error
        if self._native.ends_turn(token):
            return FinishReason.STOP
        ticket.written += 1
        text = ticket.decoder.decode(self._native.piece(token))
        if text:
            ticket.deltas.put(Delta(text))
        ticket.pending = token
        ticket.history.append(token)
        return FinishReason.LENGTH if ticket.written >= ticket.request.max_tokens else None

    def _leave(self, ticket: Ticket, outcome: FinishReason | ApplianceError) -> None:
        with self._work:
            self._running.remove(ticket)
        self._end(ticket, outcome)

    def _end(self, ticket: Ticket, outcome: FinishReason | ApplianceError | None) -> None:
        """Give back what the ticket holds and tell its caller; one who cancelled has been told already."""
        ticket.sampler.close()
        if ticket.sequence is not None:
            if self._native.rewinds:
                self._memory.rest(ticket.sequence)
            else:
                self._memory.drop(ticket.sequence)
            ticket.sequence = None
        if isinstance(outcome, ApplianceError):
            ticket.deltas.put(outcome)
        elif outcome is not None and outcome is not FinishReason.CANCELLED:
            ticket.deltas.put(ticket.last(outcome))


def _read(ticket: Ticket, amount: int) -> Share:
    """The next piece of a prompt; the last one is where writing begins."""
    assert ticket.sequence is not None
    start = len(ticket.sequence.tokens)
    return Share(ticket, ticket.prompt[start : start + amount], int(amount == ticket.unread))
