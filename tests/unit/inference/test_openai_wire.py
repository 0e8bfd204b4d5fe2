"""Sampling rules under the names that each dialect has for them; one that a server does not know is refused, not left out."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.egress.destinations import Dialect
from appliance.errors import InvalidInput
from appliance.inference.models import CompletionRequest, PromptMessage, SamplingRules
from appliance.inference.openai_wire import Thoughts, completion_body

ALL = SamplingRules(top_k=3, top_p=0.9, min_p=0.1, repeat_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.25)


def body(rules: SamplingRules, dialect: Dialect) -> dict:
    request = CompletionRequest((PromptMessage("user", "a"),), 5, sampling=rules)
    return json.loads(completion_body(request, "m", dialect))


@pytest.mark.parametrize(
    ("rules", "dialect", "name"),
    [
        (ALL, Dialect.OPENAI, "min_p"),
        (SamplingRules(repeat_last_n=8), Dialect.OPENAI, "repeat_last_n"),
        (SamplingRules(typical_p=0.5), Dialect.VLLM, "typical_p"),
        (SamplingRules(repeat_last_n=8), Dialect.VLLM, "repeat_last_n"),
    ],
)
def test_a_rule_that_the_server_does_not_know_is_refused(rules, dialect, name):
    with pytest.raises(InvalidInput) as refused:
        body(rules, dialect)
    assert refused.value.stable_code == "inference.unsupported"
    assert name in refused.value.sentence


@pytest.mark.parametrize(
    ("dialect", "repeat"), [(Dialect.VLLM, {"repetition_penalty": 1.1}), (Dialect.LLAMA_SERVER, {"repeat_penalty": 1.1})]
)
def test_rules_go_under_the_names_of_the_dialect(dialect, repeat):
    expected = {"top_k": 3, "top_p": 0.9, "min_p": 0.1, "presence_penalty": 0.5, "frequency_penalty": 0.25, **repeat}
    assert expected.items() <= body(ALL, dialect).items()


def test_without_rules_nothing_is_said_of_them():
    assert not {"top_p", "top_k", "presence_penalty"} & body(SamplingRules(), Dialect.OPENAI).keys()


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("<think>\nThirty, I guess.\n</think>\n\nThirty days.", "Thirty days."),
        ("\n<think></think>Thirty <think> days.", "Thirty <think> days."),
        ("<think>never to an end", ""),
        ("<think>only that</think>\n", ""),
        ("<thinking is free>", "<thinking is free>"),
        ("<thi", "<thi"),
        (" 30 days", " 30 days"),
        ("Thirty <think>x</think>", "Thirty <think>x</think>"),
        ("", ""),
    ],
)
@given(data=st.data())
def test_thoughts_before_an_answer_are_left_out_however_it_comes(written: str, answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(written)))) | {0, len(written)})
    thoughts = Thoughts()
    shown = [thoughts.without(written[begin:end]) for begin, end in pairwise(cuts)]
    assert "".join(shown) + thoughts.rest() == answer
