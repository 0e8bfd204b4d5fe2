"""The engine: one thread that gives every running answer its part of each step of the model.

A step is one batch: the next token of every answer that is being written, with guesses of those that follow where they pay,
and a piece of the prompts that are being read, small enough that writing goes on meanwhile. Requests join and leave between
two steps. What goes into a step is decided in planning.py, what comes of it in continuing.py; here is the life of the thread.
Everything except `submit`, `let_go`, `check`, `counts` and `close` runs in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import structlog

from appliance.errors import ApplianceError, Unavailable
from appliance.inference.llamacpp.continuing import continue_answers
from appliance.inference.llamacpp.drafting import StepCosts
from appliance.inference.llamacpp.native import DecodeAborted, NativeModel
from appliance.inference.llamacpp.planning import Planner
from appliance.inference.llamacpp.prefix import Memory
from appliance.inference.llamacpp.schedule import Share
from appliance.inference.llamacpp.slots import Stream, Ticket
from appliance.inference.models import FinishReason

_HUNG_S = 120.0
"""A step takes a second at most; one that takes this long will never end."""

_CLOSING_S = 10.0
_SMALL_STEP = 24
_ABORT_FROM = 64

log = structlog.get_logger(__name__)


class Engine:
    """Slots, a waiting line of at most `waiting_limit`, and the thread that serves both. It owns `native` and frees it."""

    def __init__(self, native: NativeModel, *, slots: int, capacity: int, waiting_limit: int, drafting: bool = True) -> None:
        self._native = native
        self._waiting_limit = waiting_limit
        self._memory, self._costs = Memory(native, capacity, 2 * slots), StepCosts()
        self._planner = Planner(native, self._memory, self._costs, slots=slots, drafting=drafting)
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
        for ticket, outcome in continue_answers(self._native, self._memory, shares):
            self._leave(ticket, outcome)

    def _plan(self) -> list[Share]:
        """The parts of the next step. Whoever got a slot for it is running from now on."""
        with self._work:
            running, waiting = list(self._running), list(self._waiting)
        shares = self._planner.plan(running, waiting)
        joined = [share.ticket for share in shares if share.ticket not in running]
        with self._work:
            self._waiting = [ticket for ticket in self._waiting if ticket not in joined]
            self._running += joined
        return shares

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
