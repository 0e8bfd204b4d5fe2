"""What leaves without a classification says nothing: each row differs from such a body in one thing."""

from __future__ import annotations

import json

import pytest

from appliance.egress.destinations import Dialect
from appliance.egress.own_words import are_own_words, listed_names
from appliance.inference.estimate import PROBES
from appliance.inference.models import CompletionRequest
from appliance.inference.openai_wire import completion_body

MODELS = frozenset({"qwen3", "vendor/qwen3"})
CHAT = {"model": "qwen3", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1, "temperature": 0.0, "stream": False}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("probe", PROBES)
def test_what_the_box_measures_a_server_with_says_nothing(dialect: Dialect, probe) -> None:
    body = completion_body(CompletionRequest(probe, 1), "vendor/qwen3", dialect, stream=False)
    assert are_own_words("/v1/chat/completions", body, MODELS)
    assert not are_own_words("/v1/chat/completions", body, frozenset({"another"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "thirty-days-of-leave"},
        {"messages": [{"role": "user", "content": "Thirty days of leave."}]},
        {"messages": [{"role": "user", "content": "a", "name": "alice"}]},
        {"messages": [{"role": "thirty days", "content": "a"}]},
        {"messages": [{"role": "user", "content": "a"}] * 5},
        {"user": "alice"},
        {"seed": 30},
        {"temperature": 0.30},
        {"options": {"num_ctx": 10**40}},
        {"options": {"num_ctx": "thirty"}},
        {"options": {"num_ctx": {"stream": 1}}},
        {"options": {"thirty": 1}},
        {"stream": None},
        {"keep_alive": "31m"},
    ],
)
def test_what_could_carry_something_is_not_taken_for_nothing(changed: dict[str, object]) -> None:
    assert are_own_words("/api/chat", json.dumps(CHAT).encode(), MODELS)
    assert not are_own_words("/api/chat", json.dumps(CHAT | changed).encode(), MODELS)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(CHAT).replace(" ", "  ").encode(),
        json.dumps(CHAT).encode() + b"\n",
        json.dumps(CHAT).replace("{", '{"model": "thirty days", ', 1).encode(),
        json.dumps(CHAT).replace('"a"', '"\\u0061"').encode(),
        b"thirty days",
        b"[" * 1_900,
        b"",
        b'"qwen3"',
    ],
)
def test_the_same_in_another_spelling_is_refused(body: bytes) -> None:
    assert not are_own_words("/api/chat", body, MODELS)


def test_a_model_is_asked_about_by_its_name_alone() -> None:
    assert are_own_words("/api/show", b'{"model": "qwen3:latest"}', MODELS)
    assert not are_own_words("/api/show", b'{"model": "qwen3", "verbose": true}', MODELS)
    assert not are_own_words("/v1/chat/completions", b'{"model": "qwen3"}', MODELS)
    assert not are_own_words("/tokenize", json.dumps(CHAT).encode(), MODELS)


def test_names_are_read_off_the_lists_of_servers() -> None:
    assert listed_names(b'{"models": [{"model": "qwen3:latest"}, {"name": "llama:1b"}]}') == {"qwen3", "llama:1b"}
    assert listed_names(b'{"data": [{"id": "vendor/qwen3"}]}') == {"vendor/qwen3"}
    for strange in (b"", b"[]", b"[1]", b'{"models": 3}', b'{"data": [1]}', b'{"data": [{"id": 5}]}', b"[" * 100_000):
        assert listed_names(strange) == frozenset()
