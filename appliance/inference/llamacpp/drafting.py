"""Guessing the next tokens from what was read: answers of this product copy from their passages.

Prompt-lookup decoding (Saxena 2023): where the last tokens stood before, what followed them there is put into the batch with
the next token and kept as far as the model agrees, so that several tokens cost little more than one. A wrong guess costs time
and changes nothing. Each answer watches how often its guesses held, and weighs that against what steps of each size took.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 8
GUESSES = 16
"""Most guesses in one step, those of all answers together: they take memory beside that of what is kept."""

_GRAM = 3
# Tried on recorded answers: 1.35 x on those asked to copy, 0.995 x at worst on 30 stories and explanations.
_SUFFIX_AT_FIRST = 4
_SUFFIX_LONGEST = 24
_FORGETTING = 0.7
_WORTH = 1.05


class StepCosts:
    """Seconds of a step by its number of tokens, as a straight line fitted to the latest small steps."""

    def __init__(self) -> None:
        # until steps were seen: a step of one token and a step of five, as they relate on two cores
        self._count, self._tokens, self._squares, self._seconds, self._products = 2.0, 6.0, 26.0, 3.1, 11.5

    def learn(self, tokens: int, seconds: float) -> None:
        if self._count < 3:  # the first real step gives the scale
            scale = seconds / (0.725 + 0.275 * tokens)
            self._seconds, self._products = 3.1 * scale, 11.5 * scale
        keep = 0.97
        self._count = keep * self._count + 1
        self._tokens = keep * self._tokens + tokens
        self._squares = keep * self._squares + tokens * tokens
        self._seconds = keep * self._seconds + seconds
        self._products = keep * self._products + tokens * seconds

    def ratio(self, fewer: int, more: int) -> float:
        """How much longer a step of `more` tokens takes than one of `fewer`."""
        spread = self._count * self._squares - self._tokens * self._tokens
        slope = (self._count * self._products - self._tokens * self._seconds) / spread if spread > 1e-9 else 0.0
        mean = self._seconds / self._count
        # a step is never free, and a token never more than a step: noise must not say otherwise
        slope = min(max(slope, 0.03 * mean), mean)
        start = max(mean - slope * self._tokens / self._count, 0.0)
        return (start + slope * more) / (start + slope * fewer)


class Drafter:
    """The guesses of one answer. `tokens` is prompt and answer, which the caller goes on appending to."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._places: dict[tuple[int, ...], int] = {}
        self._indexed = _GRAM
        self._held, self._failed = 2.5, 0.5
        self._needed = _SUFFIX_AT_FIRST
        self._quiet_until = 0

    def propose(self, others: int, costs: StepCosts, limit: int) -> list[int]:
        """What to put after the last token, at most `limit` tokens; nothing where a guess would not pay.

        `others` are the tokens that are in the step anyway.
        """
        self._index()
        tokens = self._tokens
        if limit <= 0 or len(tokens) < self._quiet_until:
            return []
        place = self._places.get(tuple(tokens[-_GRAM:]))
        if place is None or self._suffix(place) < self._needed:
            return []
        length = self._length(others, costs, min(limit, LONGEST, len(tokens) - place))
        return tokens[place : place + length]

    def learn(self, proposed: int, held: int) -> None:
        """Note that of `proposed` tokens the first `held` were what the model wrote."""
        self._held = _FORGETTING * self._held + held
        self._failed = _FORGETTING * self._failed + (held < proposed)
        if held * 2 >= proposed:
            self._needed = max(_GRAM, self._needed - 1)
        else:
            self._needed = min(_SUFFIX_LONGEST, self._needed * 2)
            self._quiet_until = len(self._tokens) + self._needed

    def _length(self, others: int, costs: StepCosts, limit: int) -> int:
        """How many guesses gain most, given how often they held: none where none gains."""
        rate = self._held / (self._held + self._failed)
        best, gain, expected = 0, _WORTH, 0.0
        for length in range(1, limit + 1):
            expected += rate**length
            worth = (1 + others + expected) / (1 + others) / costs.ratio(1 + others, 1 + others + length)
            if worth > gain:
                best, gain = length, worth
        return best

    def _suffix(self, place: int) -> int:
        """How many tokens before `place` are the same as the last ones."""
        tokens, length, end = self._tokens, 0, len(self._tokens)
        while length < _SUFFIX_LONGEST and place - length > 0 and tokens[place - length - 1] == tokens[end - length - 1]:
            length += 1
        return length

    def _index(self) -> None:
        """Remember where each run of tokens stood last, except for the one that ends now."""
        tokens: Sequence[int] = self._tokens
        for end in range(self._indexed, len(tokens)):
            self._places[tuple(tokens[end - _GRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens))
