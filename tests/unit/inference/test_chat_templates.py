"""The templates that models bring along: what no prompt can be written with, words of the system, thoughts before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment

from appliance.errors import SetupError
from appliance.inference.chat_template import NO_THOUGHT, ChatTemplate
from appliance.inference.conversation_template import ConversationTemplate
from appliance.inference.llamacpp.dialect import dialect_of
from appliance.inference.models import PromptMessage

ASKED = [PromptMessage("system", "s"), PromptMessage("user", "u")]
CONVERSATION = [*ASKED, PromptMessage("assistant", "a"), PromptMessage("user", "q")]
TURNS = "{% for one in messages %}<{{ one['role'] }}>{{ one['content'] }}{% endfor %}"
NO_SYSTEM = "{% for one in messages %}{% if one['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + (
    "<{{ one['role'] }}>{{ one['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
SYSTEM_LAST = (
    "{% if messages[0]['role'] == 'system' %}{% set words, rest = messages[0]['content'], messages[1:] %}"
    "{% else %}{% set words, rest = '', messages %}{% endif %}{% for one in rest %}<{{ one['role'] }}>"
    "{% if loop.last and words %}{{ words + '\n\n' }}{% endif %}{{ one['content'] }}{% endfor %}"
)
SWITCHED = (
    TURNS
    + "{% if add_generation_prompt %}<assistant>{% if enable_thinking is defined and enable_thinking is false %}"
    + "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
ALWAYS = TURNS + "{% if add_generation_prompt %}{{ '<assistant><think>\n' }}{% endif %}"


def written(template: str, messages: Sequence[PromptMessage], *, for_answer: bool = True) -> str:
    parts = ChatTemplate(template, {}).parts(messages, for_answer=for_answer)
    return "".join(messages[part].text if isinstance(part, int) else part for part in parts)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[-1]['content'] }}",  # leaves the system's words out, and a question
        "{% for one in messages | reverse %}{{ one['content'] }}{% endfor %}",
        TURNS + "{{ messages[0]['content'] }}",
        "{{ raise_exception('never') }}",
        "{{ messages + 1 }}",
        "{% for one in messages %}",
    ],
)
def test_what_no_prompt_can_be_written_with_is_refused_when_it_is_read(template: str) -> None:
    with pytest.raises(SetupError) as refused:
        ChatTemplate(template, {})
    assert refused.value.stable_code == "setup.model_template"


@pytest.mark.parametrize("template", [NO_SYSTEM, SYSTEM_LAST])
def test_words_of_the_system_begin_the_first_question_where_they_have_no_turn(template: str) -> None:
    assert written(template, ASKED).startswith("<user>s\n\nu")
    assert written(template, CONVERSATION).startswith("<user>s\n\nu<assistant>a<user>q")
    with pytest.raises(SetupError):
        written(template, ASKED[:1], for_answer=False)


def test_a_model_that_thinks_aloud_is_kept_from_it_before_its_answer() -> None:
    for template in (SWITCHED, ALWAYS):
        assert written(template, ASKED) == f"<system>s<user>u<assistant>{NO_THOUGHT}"
        assert NO_THOUGHT not in written(template, ASKED, for_answer=False)
    assert written(ALWAYS, [PromptMessage("user", "<think>")], for_answer=False) == "<user><think>"
    assert NO_THOUGHT not in written(TURNS, [PromptMessage("user", "<think>")])


@pytest.mark.parametrize("template", [SWITCHED, ALWAYS, ALWAYS.replace("<think>\n", "<think>"), TURNS, NO_SYSTEM])
def test_a_library_that_fills_it_in_by_itself_writes_the_same(template: str) -> None:
    told = Environment(autoescape=True).from_string(ChatTemplate(template, {}).for_others())
    shown = [{"role": message.role, "content": message.text} for message in CONVERSATION[1:]]
    filled = told.render(messages=shown, add_generation_prompt=True)
    assert unescape(filled) == written(template, CONVERSATION[1:])
    assert NO_THOUGHT not in told.render(messages=shown, add_generation_prompt=False)


class Native:
    """A vocabulary that makes a token of each character, and of each marker."""

    def __init__(self, template: str) -> None:
        self._template = template

    def template(self) -> str:
        return self._template

    def sentence_tokens(self) -> tuple[None, dict[str, str]]:
        return None, {}

    def control_token(self, text: str) -> int:
        return {"<|im_start|>": -1, "<|im_end|>": -2}[text]

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        return [-9] if special and text == NO_THOUGHT else [ord(character) for character in text]


@pytest.mark.parametrize(
    ("template", "kept"), [(SWITCHED, True), (ALWAYS, True), (TURNS, False), ("", False), ("{{ '<think>' }}", False)]
)
def test_our_own_chatml_does_as_the_template_of_the_file_does(template: str, kept: bool) -> None:
    native: Any = Native(template)
    rendered = dialect_of(native).render([PromptMessage("user", "u")])
    assert rendered.count(-9) == kept
    assert (rendered[-1] == -9) == kept


def test_a_modelfiles_template_hears_that_nothing_is_to_be_thought() -> None:
    template = (
        "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}<assistant>"
        "{{ if and $.IsThinkSet (not $.Think) }}<think>\n\n</think>\n\n{{ end }}"
    )
    assert ConversationTemplate(template).parts(ASKED)[-1] == f"<assistant>{NO_THOUGHT}"


def test_nothing_is_shared_across_people_where_the_system_has_no_turn() -> None:
    from appliance.inference.llamacpp.runtime import LlamaCppRuntime

    def refuse(_: object) -> list[int]:
        raise SetupError("It leaves out a message.", code="setup.model_template")

    runtime: Any = SimpleNamespace(_dialect=SimpleNamespace(turns=refuse))
    assert LlamaCppRuntime._public(runtime, ASKED) == 0
    runtime._dialect.turns = lambda messages: [1] * len(messages)
    assert LlamaCppRuntime._public(runtime, ASKED) == 1
