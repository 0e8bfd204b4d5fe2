"""How much fits: passages and earlier exchanges are taken whole or not at all, counted by the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.chat.prompt import Exchange, build_prompt
from appliance.errors import InvalidInput
from appliance.inference.models import PromptMessage
from appliance.retrieval.models import Hit

CountTokens = Callable[[Sequence[PromptMessage]], int]

_FRAME_TOKENS = 256
"""Set aside for rules, template and boundaries when a question is judged without a model at hand."""
_PASSAGE_TOKENS = 512
"""Room that a question must leave for what it is about."""
_HISTORY_SHARE = 4
"""Earlier exchanges may take at most one part in so many of the room."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt that fits, with what is in it."""

    messages: tuple[PromptMessage, ...]
    passages: tuple[Hit, ...]


def question_limit_bytes(context_tokens: int, answer_tokens: int) -> int:
    """UTF-8 bytes that certainly fit: a byte-level vocabulary never makes more tokens than there are bytes."""
    return max(0, context_tokens - answer_tokens - _FRAME_TOKENS - _PASSAGE_TOKENS)


def fit_prompt(
    question: str,
    passages: Sequence[Hit],
    history: Sequence[Exchange],
    boundary: str,
    *,
    room: int,
    count_tokens: CountTokens,
    closing: str = "",
) -> Fitted:
    """The fullest prompt of at most `room` tokens: passages leave from the lowest rank, then exchanges from the oldest.

    Raises `InvalidInput` (`chat.question_too_long`) when the question alone does not fit.
    """
    kept_exchanges = _recent(history, room // _HISTORY_SHARE, count_tokens)
    kept = list(passages)
    while True:
        messages = build_prompt(question, kept, kept_exchanges, boundary, closing)
        if count_tokens(messages) <= room:
            return Fitted(messages, tuple(kept))
        if len(kept) > 1 or (kept and not kept_exchanges):
            kept.pop()
        elif kept_exchanges:
            kept_exchanges = kept_exchanges[1:]
        else:
            raise InvalidInput(
                "The question is longer than the language model can read at once. Please shorten it.",
                code="chat.question_too_long",
                room_tokens=room,
            )


def _recent(history: Sequence[Exchange], room: int, count_tokens: CountTokens) -> list[Exchange]:
    """The latest that fit, oldest first; each is counted once, so that a long conversation costs no more than a short one."""
    kept: list[Exchange] = []
    for exchange in reversed(history):
        room -= count_tokens([PromptMessage("user", exchange.question), PromptMessage("assistant", exchange.answer)])
        if room < 0:
            break
        kept.insert(0, exchange)
    return kept
