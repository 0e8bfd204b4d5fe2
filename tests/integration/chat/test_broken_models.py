"""Models that fail a question: each way of failing ends as a stored answer with its reason, a sentence, and an audit event.

The server is an Ollama as documented, except where it misbehaves; what cannot be loaded fails in the pool, as for every runtime.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.middleware.threading import raise_thread_exception
from sqlalchemy import select

from appliance.chat.models import MessageStatus
from appliance.chat.policy import Silence
from appliance.chat.streaming import OVERDUE
from appliance.errors import ApplianceError, InvalidInput, SetupError, Unavailable
from appliance.inference.ollama.client import LocalClient
from appliance.inference.ollama.runtime import OllamaRuntime
from appliance.inference.pool import RuntimePool
from appliance.storage.tables import audit_events
from tests.integration.inference import test_ollama
from tests.scripted_server import Answer, Asked, ScriptedServer

QUESTION = "How many days of paid leave does an employee have?"
CONTEXT = 2048


@pytest.fixture
def alice(office):
    person = office.person("alice")
    office.document(office.collection(person), "handbook.txt", "Every employee has thirty days of paid leave in a year.")
    return person


@pytest.fixture
def ollama() -> test_ollama.Ollama:
    return test_ollama.Ollama(context=CONTEXT)


@pytest.fixture
def served(office, ollama) -> Iterator[None]:
    """The office answers from a server, and is patient with nobody."""
    with ScriptedServer(ollama).running() as server:
        runtime = OllamaRuntime(test_ollama.model(), "qwen3:0.6b", LocalClient(server.address, silence_s=0.3), CONTEXT)
        office.router._pool = RuntimePool(lambda *_: runtime)
        yield


def failed(office, person, sink) -> tuple[str, str]:
    """Code and sentence of the answer that failed; its event says the same code and no word of the answer."""
    conversation = office.chat.create_conversation(person)
    answer_id = office.chat.ask(person, conversation.id, QUESTION)[1].id
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(person, answer_id)
    assert answer.status is MessageStatus.FAILED
    assert answer.text == ""
    with office.database.read() as connection:
        recorded = connection.execute(select(audit_events).where(audit_events.c.event == "answer.failed")).one()
    assert recorded.outcome == "failure"
    assert json.loads(recorded.body)["facts"]["reason_code"] == answer.reason_code
    assert sink.seen[-1] == ("finished", answer_id)
    return answer.reason_code, answer.reason


def truncating(ollama: test_ollama.Ollama) -> Callable[[Asked, Answer], None]:
    def chat(asked: Asked, answer: Answer) -> None:
        answer.begin()
        answer.line({"message": {"role": "assistant", "content": "Thirty days of paid leave."}, "done": False})
        answer.line(ollama.done(asked, prompt_eval_count=5))
        answer.end()

    return chat


@pytest.mark.parametrize(
    ("misbehave", "code"),
    [
        (truncating, "inference.truncated"),
        (lambda _: test_ollama.dropped, "inference.died"),
        (lambda _: test_ollama.failed_midway, "inference.died"),
        (lambda _: lambda _asked, answer: answer.wait_until_left(), "inference.timeout"),
        (lambda _: lambda _asked, answer: answer.json({"error": "server busy"}, 503), "inference.busy"),
        (lambda _: lambda _asked, answer: answer.json({"error": "not found"}, 404), "inference.no_model"),
        (
            lambda _: lambda _asked, answer: answer.json({"error": "exceeds the context length"}, 400),
            "inference.context_overflow",
        ),
    ],
)
@pytest.mark.usefixtures("served")
def test_a_server_that_misbehaves(office, ollama, alice, sink, misbehave, code):
    ollama.chat = misbehave(ollama)
    found, sentence = failed(office, alice, sink)
    assert found == code
    assert sentence.endswith(".")


def endless(_: Asked, answer: Answer) -> None:
    answer.begin()
    for number in count():
        answer.line({"message": {"role": "assistant", "content": f"Day {number} is a day of paid leave. "}, "done": False})
        time.sleep(0.02)


@pytest.mark.usefixtures("served")
def test_an_answer_that_takes_longer_than_one_may_has_failed_and_is_not_tried_again(office, ollama, alice, sink):
    ollama.chat = endless
    office.chat._answering._settings = replace(office.settings, answer_timeout_s=1)
    assert failed(office, alice, sink) == ("inference.timeout", OVERDUE)
    assert office.chat.pending_ids() == []


@pytest.mark.usefixtures("served")
def test_the_limit_of_the_worker_is_the_last_net_and_says_the_same(office, ollama, alice, sink):
    """Dramatiq raises it in the thread, from outside, wherever that is."""
    ollama.chat = endless
    answer_id = office.chat.ask(alice, office.chat.create_conversation(alice).id, QUESTION)[1].id
    thread = threading.Thread(target=office.chat.answer_next, args=(lambda _: sink, "w1", (TimeLimitExceeded,)))
    thread.start()
    while not sink.text:
        thread.join(0.01)
        assert thread.is_alive()
    raise_thread_exception(thread.ident, TimeLimitExceeded)
    thread.join(10)
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.reason_code, answer.reason) == (MessageStatus.FAILED, "inference.timeout", OVERDUE)
    assert office.chat.pending_ids() == []


@pytest.mark.parametrize(
    "error",
    [
        SetupError("The file of the model is not the one that was imported.", code="setup.model_digest"),
        SetupError("The file of the model is missing.", code="setup.model_missing"),
        Unavailable("The language model needs more memory than is free.", code="inference.load_failed"),
        Unavailable("The language model has been unloaded.", code="inference.closed"),
        InvalidInput("The prompt does not fit.", code="inference.context_overflow"),
    ],
)
def test_a_model_that_cannot_be_loaded(office, alice, sink, error: ApplianceError):
    def load(*_: object) -> None:
        raise error

    office.router._pool = RuntimePool(load)
    assert failed(office, alice, sink) == (error.stable_code, error.sentence)


def test_while_a_model_is_loaded_the_person_sees_how_far_it_is(office, alice, sink):
    def load(_key: object, told: Callable[[float], None]):
        told(0.25)
        return office.runtime

    office.router._pool = RuntimePool(load)
    office.runtime.replies = ["Every employee has thirty days of paid leave."]
    conversation = office.chat.create_conversation(alice)
    office.chat.answer(office.chat.ask(alice, conversation.id, QUESTION)[1].id, sink, "w1")
    stages = [each[1] for each in sink.seen if each[0] == "stage"]
    assert stages[:2] == ["searching", "loading 25%"]
