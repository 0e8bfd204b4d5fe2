"""The stand-ins behave like the real parts where other tests rely on it."""

from __future__ import annotations

import threading

import pytest

from appliance.errors import InvalidInput
from appliance.inference.models import CompletionRequest, FinishReason, PromptMessage
from appliance.inference.stub import InsecureStubWarning, StubEmbedder, StubRuntime


def test_building_a_stub_warns():
    with pytest.warns(InsecureStubWarning):
        StubRuntime([])
    with pytest.warns(InsecureStubWarning):
        StubEmbedder()


@pytest.mark.filterwarnings("ignore::appliance.inference.stub.InsecureStubWarning")
class TestStubRuntime:
    def test_refuses_what_does_not_fit(self):
        with pytest.raises(InvalidInput) as refusal:
            StubRuntime(["a"], context_tokens=4).complete(CompletionRequest((PromptMessage("user", "a b c"),), 5))
        assert refusal.value.stable_code == "inference.context_overflow"

    def test_plays_its_script(self):
        deltas = list(StubRuntime(["one ", "two"]).complete(CompletionRequest((PromptMessage("user", "hi"),), 5)))
        assert [delta.text for delta in deltas] == ["one ", "two", ""]
        assert deltas[-1].finish_reason is FinishReason.STOP

    def test_stops_when_told(self):
        cancelled = threading.Event()
        runtime = StubRuntime(["one", "two"], gate=threading.Event())
        cancelled.set()
        deltas = list(runtime.complete(CompletionRequest((PromptMessage("user", "hi"),), 5, cancelled=cancelled)))
        assert [delta.finish_reason for delta in deltas] == [FinishReason.CANCELLED]

    def test_shared_words_make_texts_near(self):
        vectors = StubEmbedder().embed(["the night porter", "night porter duty", "annual leave"])
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
