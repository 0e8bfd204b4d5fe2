"""Models that fail a question: each way of failing ends as a stored answer with its reason, a sentence, and an audit event.

The server is an Ollama as documented, except where it misbehaves; what cannot be loaded fails in the pool, as for every runtime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from appliance.chat.models import MessageStatus
from appliance.chat.policy import Silence
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
