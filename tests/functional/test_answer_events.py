"""The stream of one answer over a real server and a real Redis: resuming, replaying, outages, and how streams end."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time

import httpx
import pytest
from sqlalchemy import update

from appliance.chat import claims
from appliance.chat.claims import Ending
from appliance.chat.models import MessageStatus
from appliance.identity.store import end_sessions
from appliance.storage.tables import messages
from appliance.supervisor.redis_server import redis_command
from tests.serving import wait_until
from web import answer_events, sse
from web.app import create_app
from web.main import make_server
from workers.connection import connect
from workers.streams import RedisDeltaSink

PASSWORD = "a long enough passphrase"


class Box:
    """A server in a thread, a Redis beside it, and one question that is waiting for its answer."""

    def __init__(self, appliance, queue, person):
        self.appliance, self.person = appliance, person
        self.redis_process = None
        self.redis = connect(appliance.settings)
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = make_server(create_app(appliance, queue=queue))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started)
        self.client = httpx.Client(base_url=self.url, timeout=20)
        self.client.post("/api/sessions", json={"name": person.name, "password": PASSWORD}).raise_for_status()
        self.conversation = appliance.chat.create_conversation(person)
        self.answer = appliance.chat.ask(person, self.conversation.id, "When does the ferry sail?")[1]
        self.sink = RedisDeltaSink(self.redis, self.answer.id)

    def start_redis(self):
        command = redis_command(self.appliance.settings)
        self.redis_process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers)

    def _answers(self):
        try:
            return self.redis.ping()
        except OSError:
            return False
        except Exception:
            return False

    def stop_redis(self):
        if self.redis_process:
            self.redis_process.terminate()
            self.redis_process.wait(10)
            self.redis_process = None

    def store(self, text="The ferry sails at seven."):
        with self.appliance.database.write() as connection:
            claim = claims.claim_answer(connection, self.answer.id, "test")
            claims.finish(connection, claim, Ending(MessageStatus.DONE, text=text))

    def stream(self, **headers):
        return self.client.stream("GET", f"/api/messages/{self.answer.id}/events", headers=headers)

    def end(self):
        self.client.close()
        self.server.should_exit = True
        self.thread.join(15)
        self.stop_redis()


@pytest.fixture
def box(appliance, queue, alice):
    opened = Box(appliance, queue, alice)
    yield opened
    opened.end()


def events_of(response, until="done"):
    """Event, data and id of each event, up to and with `until`."""
    found, current = [], {}
    for line in response.iter_lines():
        if line == "" and "event" in current:
            found.append((current["event"], json.loads(current["data"]), current.get("id")))
            if current["event"] == until:
                return found
            current = {}
        elif line and not line.startswith(":"):
            key, _, value = line.partition(": ")
            current[key] = value
    return found


def test_pieces_arrive_as_they_are_written_and_the_end_is_the_stored_message(box):
    box.start_redis()
    box.sink.reset(1)
    box.sink.stage("searching")
    with box.stream() as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert [event[0] for event in events_of(response, "stage")] == ["reset", "stage"]
    box.sink.delta("The ferry ", 0)
    time.sleep(0.05)
    box.sink.delta("sails", 10)
    box.store("The ferry sails at seven. Ünïcode 🚢")
    box.sink.finished(box.answer.id)
    with box.stream() as response:
        (last,) = events_of(response)
    assert last[0] == "done"
    assert last[1]["text"] == "The ferry sails at seven. Ünïcode 🚢"
    assert last[1]["status"] == "DONE"


def test_while_nobody_works_on_it_the_questions_ahead_are_told_to_whoever_waits(box):
    box.start_redis()
    with box.appliance.database.write() as connection:
        connection.execute(update(messages).where(messages.c.id == box.answer.id).values(created_ms=2_000_000_000_000))
    others = [box.appliance.chat.ask(box.person, box.conversation.id, "And the bus?")[1].id for _ in range(2)]
    with box.stream() as response:
        (told,) = events_of(response, "stage")
        assert told == ("stage", {"name": "waiting 2"}, None)
    with box.appliance.database.write() as connection:
        for other in others:
            claims.claim_answer(connection, other, "test")
    box.sink.reset(1)
    box.sink.stage("searching")
    with box.stream() as response:
        assert [event[:2] for event in events_of(response, "stage")] == [
            ("reset", {"attempt": 1}),
            ("stage", {"name": "searching"}),
        ]


def test_a_lost_connection_resumes_without_loss_or_repetition(box):
    box.start_redis()
    box.sink.reset(1)
    heard = []

    def write():
        for number in range(40):
            box.sink.delta(f"{number} ", len("".join(f"{earlier} " for earlier in range(number))))
            time.sleep(0.035)
        box.store("all of it")
        box.sink.finished(box.answer.id)

    writer = threading.Thread(target=write)
    writer.start()
    last_id, connections = "", 0
    while not any(event == "done" for event, _, _ in heard):
        connections += 1
        with box.stream(**({"Last-Event-ID": last_id} if last_id else {})) as response:
            for event in events_of(response, "delta"):
                heard.append(event)
                last_id = event[2] or last_id
    writer.join()
    text = ""
    for event, data, _ in heard:
        if event == "delta":
            assert data["offset"] == len(text)
            text += data["text"]
    # once the row is finished, `done` brings the whole of it and the remaining pieces are not sent
    assert "".join(f"{number} " for number in range(40)).startswith(text)
    assert heard[-1][1]["text"] == "all of it"
    assert connections > 3
    ids = [identity for _, _, identity in heard if identity]
    assert len(ids) == len(set(ids))


def test_a_finished_answer_comes_from_the_database_at_once(box):
    box.store()
    started = time.monotonic()
    with box.stream() as response:
        assert [event for event, _, _ in events_of(response)] == ["done"]
    assert time.monotonic() - started < 1


def test_without_redis_the_row_is_looked_at(box):
    box.stop_redis()
    with box.stream() as response:
        threading.Timer(0.5, box.store).start()
        ((event, message, _),) = events_of(response)
    assert (event, message["text"]) == ("done", "The ferry sails at seven.")


def test_a_stream_that_expired_ends_with_the_row(box, monkeypatch):
    monkeypatch.setattr(answer_events, "_LOOK_AT_ROW_EVERY_MS", 200)
    box.start_redis()
    box.sink.reset(1)
    box.redis.flushall()
    with box.stream(**{"Last-Event-ID": "1-1"}) as response:
        threading.Timer(0.5, box.store).start()
        assert [event for event, _, _ in events_of(response)] == ["done"]


@pytest.mark.parametrize("last_id", ["nonsense", "$", "9" * 60, "-"])
def test_an_id_that_no_stream_gave_out_starts_from_the_beginning(box, last_id):
    box.start_redis()
    box.sink.reset(1)
    with box.stream(**{"Last-Event-ID": last_id}) as response:
        assert events_of(response, "reset")[0][0] == "reset"


def test_a_silent_stream_sends_comments_and_ends_with_the_session(box, monkeypatch):
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.2)
    box.start_redis()
    with box.stream() as response:
        lines = response.iter_lines()
        while next(lines) != ": keep-alive":
            pass
        with box.appliance.database.write() as connection:
            end_sessions(connection, box.person.id)
        started = time.monotonic()
        rest = list(lines)
    assert time.monotonic() - started < 2
    assert not any(line.startswith("event") for line in rest)


def test_a_conversation_deleted_meanwhile_ends_its_stream(box, monkeypatch):
    monkeypatch.setattr(answer_events, "_LOOK_AT_ROW_EVERY_MS", 200)
    box.start_redis()
    with box.stream() as response:
        threading.Timer(0.3, box.appliance.chat.delete_conversation, (box.person, box.conversation.id)).start()
        ((event, problem, _),) = events_of(response, "problem")
    assert (event, problem["code"]) == ("problem", "not_found")


def test_waiting_leaves_no_trace_in_the_audit_log_but_opening_and_reading_do(box, monkeypatch):
    from sqlalchemy import func, select

    from appliance.storage.tables import audit_events

    def reads():
        query = select(func.count()).where(audit_events.c.event == "conversation.read")
        with box.appliance.database.read() as connection:
            return connection.execute(query).scalar()

    monkeypatch.setattr(answer_events, "_LOOK_AT_ROW_EVERY_MS", 50)
    box.start_redis()
    with box.stream() as response:
        threading.Timer(0.6, box.store).start()
        events_of(response)
    assert reads() == 2


def test_shutting_down_does_not_wait_for_open_streams(box):
    box.start_redis()
    with box.stream() as response:
        lines = response.iter_lines()
        next(lines)
        started = time.monotonic()
        box.server.should_exit = True
        list(lines)
        box.thread.join(10)
    assert not box.thread.is_alive()
    assert time.monotonic() - started < 2.5


def test_a_conversation_deleted_under_its_reader_ends_the_stream_in_good_order(box):
    box.start_redis()
    box.sink.reset(1)
    with box.stream() as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: reset"
        box.appliance.chat.delete_conversation(box.person, box.conversation.id)
        # a connection that breaks instead raises here
        rest = list(lines)
    assert "event: problem" in rest
