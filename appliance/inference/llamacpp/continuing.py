"""What comes of a step: what was read is noted, and the next token of each answer is chosen and handed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from appliance.errors import ApplianceError, Unavailable
from appliance.inference.llamacpp.native import NativeModel
from appliance.inference.llamacpp.prefix import Memory
from appliance.inference.llamacpp.schedule import Share
from appliance.inference.llamacpp.slots import Ticket
from appliance.inference.models import Delta, FinishReason

Scores = npt.NDArray[np.float32]
Outcome = FinishReason | ApplianceError


def continue_answers(native: NativeModel, memory: Memory, shares: Sequence[Share]) -> Iterator[tuple[Ticket, Outcome]]:
    """Go on with each answer of the step that was just computed; those that end with it, each with the reason."""
    rows = native.batch.rows
    scores = native.logits(rows)
    best = scores.argmax(axis=1).tolist()
    row = place = 0
    for share in shares:
        first = place + len(share.tokens) - share.outputs
        place, taken, outcome = place + len(share.tokens), 0, None
        for number in range(share.outputs):
            outcome = _choose(native, share.ticket, first + number, scores[row + number], best[row + number])
            if outcome is not None or number == share.drafted or share.tokens[number + 1] != share.ticket.pending:
                break
            taken += 1
        row += share.outputs
        _note(memory, share, taken)
        if outcome is not None:
            yield share.ticket, outcome


def _note(memory: Memory, share: Share, taken: int) -> None:
    """Of the guesses in `share` the first `taken` were right; the others must be forgotten."""
    sequence = share.ticket.sequence
    assert sequence is not None
    memory.extend(sequence, share.tokens[: len(share.tokens) - share.drafted + taken])
    if share.drafted:
        if taken < share.drafted:
            memory.trim(sequence, len(sequence.tokens))
        assert share.ticket.drafter is not None
        share.ticket.drafter.learn(share.drafted, taken)


def _choose(native: NativeModel, ticket: Ticket, place: int, scores: Scores, best: int) -> Outcome | None:
    """Choose a token and hand it on; why the answer ends with it, where it does."""
    try:
        token = ticket.sampler.choose(place, scores, best)
    except Unavailable as error:
        return error
    if native.ends_turn(token):
        return FinishReason.STOP
    ticket.written += 1
    text = ticket.decoder.decode(native.piece(token))
    if text:
        ticket.deltas.put(Delta(text))
    ticket.pending = token
    ticket.history.append(token)
    return FinishReason.LENGTH if ticket.written >= ticket.request.max_tokens else None
