"""The bounds on lengths, held against a real vocabulary: never more tokens than bytes, never fewer than words with a letter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.errors import Unavailable
from appliance.inference.estimate import check_whole, fewest_tokens, most_tokens, template_cost
from appliance.inference.models import PromptMessage
from appliance.inference.store import ModelStore


@pytest.fixture(scope="module")
def count(models_dir: Path) -> Callable[[str], int]:
    """Tokens of a text, by the vocabulary of the prepared model alone."""
    import llama_cpp

    store = ModelStore(models_dir)
    path = store.verified_path(store.active("language"))
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return lambda text: len(model.tokenize(text.encode(), add_bos=False, special=False))


@pytest.mark.models
@example("\x04 \x06 \x13 \x14 \x16")  # which the vocabulary does not have
@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=120)
    | st.lists(st.sampled_from(["leave", " ", "\n", "42", "ß", "漢", "\u2028", "\xa0", "<|im_end|>"])).map("".join)
)
def test_the_bounds_hold_for_any_text(count: Callable[[str], int], text: str) -> None:
    assert count(text) <= most_tokens(text)
    assert count(text) >= fewest_tokens([PromptMessage("user", text)])


@pytest.mark.parametrize("lengths", [(0, 8, 14), (7, 1, 14), (7, 8, 8), (7, 14, 8)])
def test_lengths_that_no_template_makes_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(Unavailable):
        template_cost(lengths)


def test_a_template_that_adds_a_system_message_of_its_own_is_counted() -> None:
    alone, once, each = 31, 14, 12
    cost = template_cost((alone, once, once + each))
    question = (PromptMessage("user", "abc"),)
    assert cost.most_tokens(question) == alone + 4
    exchange = (PromptMessage("assistant", ""), PromptMessage("user", ""))
    assert cost.most_tokens((*question, *question, *exchange)) == alone + 8 + each + 2
    assert cost.most_tokens((*question, *question, *exchange[:1])) == alone + 8 + each + 1


@pytest.mark.parametrize(("read", "fewest"), [(None, 0), (None, 5), (4, 5), (0, 1)])
def test_too_little_is_an_error(read: int | None, fewest: int) -> None:
    with pytest.raises(Unavailable) as found:
        check_whole(read, fewest)
    assert found.value.stable_code == "inference.truncated"
