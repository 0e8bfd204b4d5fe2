"""A library that does not let go of an answer: those in line end by their deadlines, and the process is told to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.egress.seal.layers import Strength
from appliance.errors import Unavailable
from appliance.inference import waiting_line
from appliance.inference.foundry.runtime import FoundryRuntime
from appliance.inference.genai.runtime import GenaiRuntime
from appliance.inference.hardware.models import Hardware
from appliance.inference.models import CompletionRequest, FinishReason, Model, PromptMessage
from appliance.inference.pool import RuntimeKey, RuntimePool
from appliance.inference.routing import Router
from appliance.inference.runtime import Runtime

REQUEST = (PromptMessage("user", "Where is the green book?"),)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_line, "HUNG_S", 0.2)


def routed(name: str, runtime: Runtime) -> tuple[Router, RuntimePool, RuntimeKey]:
    pool = RuntimePool(lambda *_: runtime)
    router = Router(hardware=Hardware, offers=list, policy=None, seal=lambda: Strength.NONE, pool=pool)
    return router, pool, RuntimeKey(name, "m@1")


def until_broken(router: Router) -> str:
    deadline = time.monotonic() + 10
    while not (reason := router.broken()):
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.02)
    return reason


def test_one_that_answers_or_only_waits_is_not_hung() -> None:
    line, request = waiting_line.WaitingLine(2), CompletionRequest(REQUEST, 1)
    assert not line.hung()
    place = line.join()
    assert line.reach(place, request, None)
    time.sleep(0.3)
    assert not line.hung(), "it is answered"
    request.cancelled.set()
    assert not line.hung(), "it was stopped just now"
    time.sleep(0.3)
    assert line.hung()
    line.leave(place)
    assert not line.hung()


@pytest.mark.models
def test_foundry_local(genai_model: Model, genai_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, released = FoundryRuntime(genai_model, genai_folder, 512, 2), threading.Event()

    @contextmanager
    def session() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(process_streaming_request=hang)

    def hang(_: object) -> None:
        released.wait()
        raise Unavailable("The language model stopped working.", code="inference.failed")

    monkeypatch.setattr(runtime._native, "session", session)
    router, pool, key = routed("foundry", runtime)
    with pool.use(key):
        assert router.broken() == ""
        ends = []
        for _ in range(2):
            ends += [delta.finish_reason for delta in runtime.complete(CompletionRequest(REQUEST, 1, deadline_s=0.2))]
        assert ends == [FinishReason.CANCELLED] * 2
        assert until_broken(router) == "The language model does not answer any more."
        released.set()
        deadline = time.monotonic() + 10
        while router.broken():
            assert time.monotonic() < deadline, "it was let go of"
            time.sleep(0.02)
    pool.close()


@pytest.mark.models
def test_genai(genai_model: Model, genai_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, released = GenaiRuntime(genai_model, genai_folder, 512, 2), threading.Event()
    monkeypatch.setattr(runtime._native, "read", lambda _: released.wait())
    router, pool, key = routed("genai", runtime)
    asked = CompletionRequest(REQUEST, 1, deadline_s=0.2)
    with pool.use(key):
        thread = threading.Thread(target=lambda: list(runtime.complete(asked)), daemon=True)
        thread.start()
        assert until_broken(router) == "The language model does not answer any more."
        asked.cancelled.set()
        released.set()
        thread.join(10)
        assert not thread.is_alive()
        assert router.broken() == ""
    pool.close()
