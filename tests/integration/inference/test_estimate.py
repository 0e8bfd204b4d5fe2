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


UNSPACED = "数据一个文件的東京都は日本の首都です々ーカナกรุงเทพมหานครเป็นເມືອງမြန်မာភ្នំពេញབོད亿𠀀\u3099"


@pytest.mark.models
@example("\x04 \x06 \x13 \x14 \x16")  # which the vocabulary does not have
@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=120)
    | st.lists(st.sampled_from(["leave", " ", "\n", "42", "ß", "漢", "\u2028", "\xa0", "<|im_end|>"])).map("".join)
    | st.text(st.sampled_from(UNSPACED + "。、，！? a1")).map(lambda text: text * 3)
)
def test_the_bounds_hold_for_any_text(count: Callable[[str], int], text: str) -> None:
    assert count(text) <= most_tokens(text)
    assert count(text) >= fewest_tokens([PromptMessage("user", text)])


# the longest tokens of such scripts in vocabularies of Aquila, Command R, Gemma, Nomic, Qwen and StarCoder: one token each
LONGEST = [
    "以上文章内容仅代表作者本人观点",
    "洛厄尔天文台近地小行星搜寻计划",
    "แมนเชสเตอร์ซิตี",
    "ถานที่ท่องเที่ยว",
    "อย่างต่อเนื่อง",
    "アプリケーション",
]


@pytest.mark.parametrize("token", LONGEST)
def test_what_is_one_token_somewhere_counts_as_no_more(token: str) -> None:
    assert fewest_tokens([PromptMessage("user", token)]) == 1
    for mark in ("。", "、", "，", " "):
        assert fewest_tokens([PromptMessage("user", token + mark + token)]) == 2
    for mark in ("", "！", "・"):  # of these it is not sure
        assert fewest_tokens([PromptMessage("user", token + mark + token)]) == 1


@pytest.mark.parametrize(("text", "fewest"), [("京" * 32, 1), ("京" * 33, 2), ("ก" * 320, 10), ("。、，", 0), ("\u0e34" * 64, 0)])
def test_a_text_without_spaces_is_no_single_word(text: str, fewest: int) -> None:
    assert fewest_tokens([PromptMessage("user", text)]) == fewest


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
