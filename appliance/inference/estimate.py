"""Lengths of prompts for models whose tokenizer is not at hand: bounds that hold, instead of guesses that mostly do. Pure.

Above: a vocabulary that falls back to bytes never makes more tokens than there are bytes, one more where a text is given a space
in front. Below: a token does not reach across words, so there are at least as many tokens as words with a letter or a digit; what
is neither a tokenizer may drop, control characters for one. Scripts that put no spaces between words have commas and full stops
of their own, across which no token reaches either, and no token of theirs is longer than `_LONGEST`. What the chat template adds
is measured once, on the server itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.egress.calls import LETTER
from appliance.errors import InvalidInput, Unavailable
from appliance.inference.models import PromptMessage

PROBES = (
    (PromptMessage("user", LETTER),),
    (PromptMessage("system", LETTER), PromptMessage("user", LETTER)),
    (
        PromptMessage("system", LETTER),
        PromptMessage("user", LETTER),
        PromptMessage("assistant", LETTER),
        PromptMessage("user", LETTER),
    ),
)
"""Three prompts whose lengths tell what a template adds once (some add a system message where there is none), and for each
further exchange."""


_MARKS = re.compile("[\u3001\u3002\uff0c]")  # ideographic comma, full stop, wide comma

_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # kana, Han
)
_LONGEST = 32
"""Characters. The longest such token of twenty published vocabularies has 16 (docs/decisions.md)."""


@dataclass(frozen=True, slots=True)
class TemplateCost:
    """Tokens a chat template adds: `once` to every prompt, and `each` for every exchange after the first."""

    once: int
    each: int

    def most_tokens(self, messages: Sequence[PromptMessage]) -> int:
        """No prompt made of these messages is longer."""
        further = max(0, len(messages) - len(PROBES[1]))
        return self.once + -(-further // 2) * self.each + sum(most_tokens(message.text) for message in messages)


def template_cost(lengths: Sequence[int]) -> TemplateCost:
    """From the lengths of the `PROBES`, in order; their one-letter texts are left in, as a reserve.

    Raises `Unavailable` (`inference.load_failed`) for lengths that no template makes.
    """
    alone, once, twice = lengths
    if alone < 1 or not len(PROBES[1]) <= once < twice:
        raise Unavailable("The server does not say how long a prompt is.", code="inference.load_failed")
    return TemplateCost(max(alone, once), twice - once)


def most_tokens(text: str) -> int:
    return len(text.encode()) + 1


def fewest_tokens(messages: Sequence[PromptMessage]) -> int:
    """No vocabulary that falls back to bytes makes fewer of them; a part of a prompt may make as many."""
    return sum(_fewest(part) for message in messages for word in message.text.split() for part in _MARKS.split(word))


def _fewest(part: str) -> int:
    """Of a piece of text without white space and without those marks."""
    unspaced = sum(map(str.isalnum, _UNSPACED.findall(part)))
    return max(-(-unspaced // _LONGEST), int(any(map(str.isalnum, part))))


def check_fits(most: int, answer_tokens: int, context_tokens: int) -> None:
    """Raises `InvalidInput` (`inference.context_overflow`)."""
    if most + answer_tokens > context_tokens:
        raise InvalidInput(
            f"The question with its passages is up to {most} tokens long; with {answer_tokens} for the answer that is more than "
            f"the {context_tokens} the language model can hold.",
            code="inference.context_overflow",
            prompt_tokens=most,
            max_tokens=answer_tokens,
            context_tokens=context_tokens,
        )


def check_whole(read: int | None, fewest: int) -> int:
    """How many tokens were read. Raises `Unavailable` (`inference.truncated`) where that cannot have been all, or is not said."""
    if read is None or read < fewest:
        raise Unavailable(
            "The language model was given only a part of the question and its passages, so its answer is worth nothing.",
            code="inference.truncated",
            prompt_tokens=read or 0,
            fewest_tokens=fewest,
        )
    return read
