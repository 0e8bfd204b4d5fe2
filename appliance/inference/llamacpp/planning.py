"""Putting the next step together: what each running answer reads or writes in it, and who of the waiting line joins.

By the rules of schedule.py, as far as memory has room. Knows nothing of threads: the engine calls it between two steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.inference.llamacpp.drafting import GUESSES, LONGEST, Drafter, StepCosts
from appliance.inference.llamacpp.native import BATCH_TOKENS, NativeModel
from appliance.inference.llamacpp.prefix import Memory, shared_length
from appliance.inference.llamacpp.schedule import Share, Turns, read_shares, reading_room
from appliance.inference.llamacpp.slots import Ticket

_WORTH_WAITING = 32
"""Tokens that must be spared for a prompt to wait until another one with the same beginning was read."""


class Planner:
    """Gives out `slots` and the tokens of each step; it remembers whose turn it is."""

    def __init__(self, native: NativeModel, memory: Memory, costs: StepCosts, *, slots: int, drafting: bool) -> None:
        """`costs` are what steps took so far: guesses are made where they pay."""
        self._native = native
        self._memory = memory
        self._costs = costs
        self._slots = slots
        self._drafting = drafting and native.rewinds
        self._turns = Turns()

    def plan(self, running: Sequence[Ticket], waiting: Sequence[Ticket]) -> list[Share]:
        """The parts of the next step, also those of the waiting who get a slot with it."""
        running, waiting = list(running), list(waiting)
        shares = self._writing(running)
        tokens = sum(len(share.tokens) for share in shares)
        room = reading_room(tokens, BATCH_TOKENS, writing=bool(shares))
        for ticket, amount in read_shares([ticket for ticket in running if not ticket.writing], room):
            shares.append(_read(ticket, amount))
            room -= amount
        while room > 0 and len(running) < self._slots:
            joined = self._admit(running, waiting)
            if joined is None:
                break
            waiting.remove(joined)
            running.append(joined)
            shares.append(_read(joined, min(joined.unread, room)))
            room -= len(shares[-1].tokens)
        return shares

    def _writing(self, running: Sequence[Ticket]) -> list[Share]:
        """The next token of each answer being written, with what probably follows it."""
        writers = [ticket for ticket in running if ticket.pending is not None]
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

    def _admit(self, running: Sequence[Ticket], waiting: Sequence[Ticket]) -> Ticket | None:
        """The next of the waiting line gets a slot, if memory has room for all it may become."""
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


def _read(ticket: Ticket, amount: int) -> Share:
    """The next piece of a prompt; the last one is where writing begins."""
    assert ticket.sequence is not None
    start = len(ticket.sequence.tokens)
    return Share(ticket, ticket.prompt[start : start + amount], int(amount == ticket.unread))
