"""How the next token of one answer is chosen: penalties, temperature, grammar."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInput, Unavailable
from appliance.inference.llamacpp.library import last_error, prompt_library
from appliance.inference.models import NO_RULES, SamplingRules

_PENALTY_WINDOW = 64
_KEPT_AT_LEAST = 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Penalties look at the answer alone, so quoting the prompt costs nothing."""

    temperature: float
    seed: int
    rules: SamplingRules = NO_RULES
    dry_multiplier: float = 0.8
    dry_allowed_length: int = 8
    grammar: str = ""


class Sampler:
    """Chooses tokens for one answer and remembers them; `close` frees it.

    A plain greedy choice is read off the scores directly, which takes a twentieth of the library's time; the library is asked
    where a penalty could apply, for any temperature, and where a grammar forbids the plain choice.
    """

    def __init__(self, lib: Any, vocabulary: Any, context: Any, sampling: Sampling, context_tokens: int) -> None:
        self._lib, self._context, self._quick = lib, context, prompt_library()
        self._grammar = _grammar(lib, vocabulary, sampling.grammar) if sampling.grammar else None
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        penalties = _penalties(sampling.rules)
        self._greedy = sampling.temperature <= 0 and penalties is None
        self._repeats = _Repeats(sampling.dry_allowed_length) if sampling.dry_multiplier else None
        if penalties is not None:
            self._add(lib.llama_sampler_init_penalties(lib.llama_vocab_n_tokens(vocabulary), *penalties))
        if sampling.dry_multiplier:
            breakers = (ctypes.c_char_p * 1)(b"\n")
            length = sampling.dry_allowed_length
            self._add(lib.llama_sampler_init_dry(vocabulary, sampling.dry_multiplier, 1.75, length, context_tokens, breakers, 1))
        if sampling.temperature > 0:
            self._narrow(sampling.rules)
            self._add(lib.llama_sampler_init_temp(sampling.temperature))
            self._add(lib.llama_sampler_init_dist(sampling.seed))
        else:
            self._add(lib.llama_sampler_init_greedy())

    def _add(self, step: Any) -> None:
        self._lib.llama_sampler_chain_add(self._chain, step)

    def _narrow(self, rules: SamplingRules) -> None:
        """In the order in which llama.cpp's own programs do it."""
        if rules.top_k:
            self._add(self._lib.llama_sampler_init_top_k(rules.top_k))
        if rules.typical_p is not None:
            self._add(self._lib.llama_sampler_init_typical(rules.typical_p, _KEPT_AT_LEAST))
        if rules.top_p is not None:
            self._add(self._lib.llama_sampler_init_top_p(rules.top_p, _KEPT_AT_LEAST))
        if rules.min_p is not None:
            self._add(self._lib.llama_sampler_init_min_p(rules.min_p, _KEPT_AT_LEAST))

    def choose(self, place: int, scores: npt.NDArray[np.float32], best: int) -> int:
        """The token after the batch's token at `place`, whose `scores` are given and whose highest is `best`; remembered."""
        if self._grammar is not None:
            return self._choose_allowed(scores, best)
        if self._greedy and not (self._repeats and self._repeats.near):
            self._quick.llama_sampler_accept(self._chain, best)
            token = best
        else:
            token = int(self._lib.llama_sampler_sample(self._chain, self._context, place))
        if self._repeats:
            self._repeats.add(token)
        return token

    def next_token(self) -> int:
        """The token after the last one of the batch, chosen by the library alone."""
        return int(self._lib.llama_sampler_sample(self._chain, self._context, -1))

    def _choose_allowed(self, scores: npt.NDArray[np.float32], best: int) -> int:
        """The grammar looks at one candidate where it can: at all of them it takes longer than the model."""
        if not (self._greedy and self._allows(best, float(scores[best]))):
            candidates = _Candidates(self._lib, scores)
            self._quick.llama_sampler_apply(self._grammar, candidates.address)
            self._quick.llama_sampler_apply(self._chain, candidates.address)
            best = candidates.selected()
        self._quick.llama_sampler_accept(self._grammar, best)
        self._quick.llama_sampler_accept(self._chain, best)
        return best

    def _allows(self, token: int, score: float) -> bool:
        single = _Candidates(self._lib, np.array([score], np.float32), token)
        self._quick.llama_sampler_apply(self._grammar, single.address)
        return single.possible()

    def close(self) -> None:
        self._lib.llama_sampler_free(self._chain)
        if self._grammar is not None:
            self._lib.llama_sampler_free(self._grammar)


def _penalties(rules: SamplingRules) -> tuple[int, float, float, float] | None:
    """Window, and penalties for repeating, for frequency and for presence; None where none is asked for."""
    repeat, frequency, presence = rules.repeat_penalty or 1.0, rules.frequency_penalty or 0.0, rules.presence_penalty or 0.0
    window = _PENALTY_WINDOW if rules.repeat_last_n is None else rules.repeat_last_n
    return None if (repeat, frequency, presence) == (1.0, 0.0, 0.0) or window == 0 else (window, repeat, frequency, presence)


class _Repeats:
    """Notices when the last tokens of an answer stood there before, which is where the DRY penalty begins."""

    def __init__(self, length: int) -> None:
        self._length = length - 1  # a little earlier than the penalty itself
        self._tail: list[int] = []
        self._seen: set[tuple[int, ...]] = set()
        self.near = False

    def add(self, token: int) -> None:
        self._tail = [*self._tail[-self._length + 1 :], token]
        window = tuple(self._tail)
        self.near = window in self._seen
        if len(window) == self._length:
            self._seen.add(window)


_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class _Candidates:
    """Scores in the form that samplers work on."""

    def __init__(self, lib: Any, scores: npt.NDArray[np.float32], first: int = 0) -> None:
        self._records = np.zeros(len(scores), _RECORD)
        self._records["id"] = np.arange(first, first + len(scores))
        self._records["logit"] = scores
        data = ctypes.cast(self._records.ctypes.data, lib.llama_token_data_p)
        self._array = lib.llama_token_data_array(data, len(scores), -1, False)
        self.address = ctypes.addressof(self._array)

    def possible(self) -> bool:
        return bool(np.isfinite(self._records["logit"][0]))

    def selected(self) -> int:
        """Raises `Unavailable` where no token is possible."""
        chosen = self._array.data[self._array.selected] if self._array.selected >= 0 else None
        if chosen is None or not np.isfinite(chosen.logit):
            raise Unavailable("The answer cannot be continued in the form that was asked for.", code="inference.failed")
        return int(chosen.id)


def _grammar(lib: Any, vocabulary: Any, text: str) -> Any:
    """Raises `InvalidInput` (`inference.grammar`) for what is no grammar."""
    made = lib.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
    if not made:
        raise InvalidInput(f"The form asked for the answer cannot be read. {last_error()}".strip(), code="inference.grammar")
    return made


def grammar_of(schema: str) -> str:
    """The grammar of all documents that fit a JSON schema. Raises `InvalidInput` (`inference.grammar`)."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(schema))
    except (json.JSONDecodeError, AssertionError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # the converter says by whatever goes wrong first that it was given something else
        raise InvalidInput(f"The JSON schema asked for cannot be used: {error}", code="inference.grammar") from error
