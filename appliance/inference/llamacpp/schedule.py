"""Who is next, and how much of each answer goes into the next step. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.inference.llamacpp.slots import Ticket

READ_BESIDE = 192
"""Prompt tokens read in a step in which others write: about half a second on two cores. With 128 whoever writes waits a fifth
less at worst, and eight who ask at once wait a tenth longer for their first token."""

_OLDEST_SHARE = 4
"""The prompt that waits longest gets at least this part of what is read, so that short ones cannot overtake it for ever."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a step: tokens of one sequence, of which the last `outputs` are to be continued."""

    ticket: Ticket
    tokens: list[int]
    outputs: int
    drafted: int = 0


class Turns:
    """Fair order among people: whoever has fewest answers running, then whoever got one longest ago, then who came first."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._count = 0

    def order(self, waiting: Sequence[Ticket], running: Sequence[Ticket]) -> list[Ticket]:
        """`waiting`, in the order in which they should get a slot."""
        held: dict[str, int] = {}
        for ticket in running:
            held[ticket.request.person] = held.get(ticket.request.person, 0) + 1
        ordered, left = [], sorted(waiting, key=lambda ticket: ticket.arrival)
        served = dict(self._served)
        while left:
            first = min(left, key=lambda ticket: (held.get(ticket.request.person, 0), served.get(ticket.request.person, 0)))
            held[first.request.person] = held.get(first.request.person, 0) + 1
            left.remove(first)
            ordered.append(first)
        return ordered

    def serve(self, ticket: Ticket, waiting: Sequence[Ticket]) -> None:
        """Note that `ticket` got a slot; people who want nothing any more are forgotten."""
        self._count += 1
        self._served[ticket.request.person] = self._count
        known = {other.request.person for other in waiting} | {ticket.request.person}
        self._served = {person: last for person, last in self._served.items() if person in known}


def reading_room(tokens: int, budget: int, *, writing: bool) -> int:
    """How many prompt tokens a step may hold beside the `tokens` that are in it."""
    return max(0, min(budget - tokens, READ_BESIDE if writing else budget))


def read_shares(readers: Sequence[Ticket], room: int) -> list[tuple[Ticket, int]]:
    """How much of each prompt to read: the shortest rest first, for the least waiting in all; the oldest always a part."""
    if not readers or room <= 0:
        return []
    oldest = min(readers, key=lambda ticket: ticket.arrival)
    amounts = {oldest.arrival: min(oldest.unread, max(1, room // _OLDEST_SHARE))}
    left = room - amounts[oldest.arrival]
    chosen = []
    for ticket in sorted(readers, key=lambda ticket: (ticket.unread, ticket.arrival)):
        first = amounts.get(ticket.arrival, 0)
        more = min(ticket.unread - first, left)
        left -= more
        if first + more:
            chosen.append((ticket, first + more))
    return chosen
