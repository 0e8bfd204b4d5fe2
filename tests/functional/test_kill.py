"""SIGKILL at the worst moments, with the real processes and the real models: what was accepted is finished, once.

Given a box that runs, when a process is killed at a chosen moment, then every accepted document is READY with each of its
passages once, every accepted question has one answer, and the audit log has no gap.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, text

from appliance.audit.integrity import check
from appliance.bootstrap import Appliance, open_appliance
from appliance.identity.models import Principal, Role
from appliance.settings import Settings
from appliance.storage.tables import audit_events, audit_resources, chunks, documents, messages
from appliance.supervisor import wire
from appliance.supervisor.sockets import door_answers
from workers.connection import connect
from workers.queue import Queue, open_queue
from workers.streams import stream_key
from web.authentication import cookie_name

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]

PASSWORD = "a long enough passphrase"
ROUNDS = 2
PATIENCE_S = 150
"""Nothing takes this long on a box of its own; a busy machine that runs all tests at once may."""
_RUN = """
import json, sys
from pathlib import Path
from appliance.inference.telemetry import OPT_OUTS
from appliance.settings import Settings
from appliance.supervisor.run import run
given = json.loads(sys.argv[1])
settings = Settings(**{**given, "data_dir": Path(given["data_dir"])})
run(settings, ready=lambda _: print("ready", flush=True), opt_outs=OPT_OUTS)
"""


class Box:
    """A running appliance and its owner's hands: accept work, kill, wait."""

    def __init__(self, settings: Settings, appliance: Appliance, person: Principal) -> None:
        self.settings = settings
        self.appliance = appliance
        self.person = person
        self.collection_id = appliance.collections.readable(person)[0].id
        self.queue: Queue = open_queue(settings)
        self.documents: list[str] = []
        self.answers: list[str] = []
        self.killed: set[int] = set()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        given = {
            "data_dir": str(self.settings.data_dir),
            "port": self.settings.port,
            "answer_tokens": self.settings.answer_tokens,
        }
        command = [sys.executable, "-c", _RUN, json.dumps(given)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_this_process
        )
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def pid(self, name: str) -> int:
        """Of the process as it is now, once it is ready for work."""
        found: dict[str, dict] = {}

        def ready() -> bool:
            try:
                states = json.loads(wire.command(self.settings, "GET", "processes") or b"[]")
            except OSError:
                return False
            found.update({state["name"]: state for state in states})
            return bool(found.get(name, {}).get("ready")) and found[name]["pid"] not in self.killed

        until(ready, PATIENCE_S)
        return found[name]["pid"]

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)

    def drafts(self) -> set[Path]:
        """Files on their way in, and what was left of those that were cut off."""
        return set((self.settings.blobs_dir / "drafts").glob("*.part"))

    def half_a_file(self, pid: int) -> Iterator[bytes]:
        """Of which the process that receives it lives to see the first half alone."""
        before = self.drafts()
        yield handbook("half", 500).encode()
        until(lambda: self.drafts() - before, PATIENCE_S)  # until then it may wait at the door, for whoever opens it next
        self.kill(pid)
        yield handbook("half", 500).encode()

    def upload(self, name: str, sentences: int) -> str:
        upload = self.appliance.documents.begin_upload(self.person, self.collection_id, name)
        upload.write(handbook(name, sentences).encode())
        document, _ = upload.commit()
        self.documents.append(document.id)
        self.queue.enqueue_ingest(document.id)
        return document.id

    def ask(self, question: str) -> str:
        conversation = self.appliance.chat.create_conversation(self.person)
        _, answer = self.appliance.chat.ask(self.person, conversation.id, question)
        self.answers.append(answer.id)
        self.queue.enqueue_answer(answer.id)
        return answer.id

    def browser(self) -> httpx.Client:
        """Signed in at the front door."""
        token = self.appliance.sessions.sign_in(self.person.name, PASSWORD, "local")
        url = f"http://{self.settings.host}:{self.settings.port}"
        headers = {"Origin": url, "X-CSRF-Token": self.appliance.sessions.csrf_token(token)}
        return httpx.Client(
            base_url=url, headers=headers, cookies={cookie_name(self.settings): token}, timeout=PATIENCE_S, trust_env=False
        )

    def door_for(self, name: str) -> str:
        return f"/api/collections/{self.collection_id}/documents?name={name}"

    def status(self, table, row_id: str) -> str:
        with self.appliance.database.read() as connection:
            return connection.execute(select(table.c.status).where(table.c.id == row_id)).scalar_one()

    def deltas(self, message_id: str) -> int:
        entries = connect(self.settings).xrange(stream_key(message_id))
        return sum(fields[b"event"] == b"delta" for _, fields in entries)

    def finish(self) -> None:
        """Wait until nothing is left to do, then look closely."""
        until(lambda: all(self.status(documents, row_id) in {"READY", "FAILED"} for row_id in self.documents), PATIENCE_S)
        until(lambda: all(self.status(messages, row_id) in {"DONE", "FAILED"} for row_id in self.answers), PATIENCE_S)
        assert {self.status(documents, row_id) for row_id in self.documents} <= {"READY"}
        assert {self.status(messages, row_id) for row_id in self.answers} <= {"DONE"}
        with self.appliance.database.read() as connection:
            for row_id in self.documents:
                row = connection.execute(select(documents).where(documents.c.id == row_id)).one()
                ordinals = list(
                    connection.execute(
                        select(chunks.c.ordinal).where(chunks.c.document_id == row_id).order_by(chunks.c.ordinal)
                    ).scalars()
                )
                assert ordinals == list(range(row.chunk_count))
                assert row.chunk_count > 0
                assert self.recorded(connection, "document.ingested", row_id) == 1
            for row_id in self.answers:
                assert connection.execute(select(messages.c.text).where(messages.c.id == row_id)).scalar_one()
                assert self.recorded(connection, "answer.released", row_id) == 1
            assert (
                connection.execute(text("SELECT count(*) FROM search_exact")).scalar_one()
                == connection.execute(select(func.count()).select_from(chunks)).scalar_one()
            )
            assert check(connection).intact

    def recorded(self, connection, event: str, row_id: str) -> int:
        joined = select(func.count()).select_from(audit_events.join(audit_resources, audit_events.c.seq == audit_resources.c.seq))
        return connection.execute(
            joined.where(audit_events.c.event == event, audit_resources.c.resource_id == row_id)
        ).scalar_one()


def die_with_this_process() -> None:
    """So that a test run that is killed leaves no box behind (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def handbook(name: str, sentences: int) -> str:
    return "\n\n".join(
        f"Rule {number} of {name}. The night porter checks door {number} every {number % 7 + 2} hours and writes the time in the "
        f"green book. Key {number} hangs on hook {number % 40} of the board beside the lift."
        for number in range(1, sentences + 1)
    )


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.003)


@pytest.fixture(scope="module")
def box(models_dir: Path) -> Iterator[Box]:
    data_dir = Path(tempfile.mkdtemp(prefix="cl-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(data_dir=data_dir, port=probe.getsockname()[1], answer_tokens=48)
    settings.models_dir.symlink_to(models_dir)
    appliance = open_appliance(settings, create=True)
    administrator = appliance.setup.complete(appliance.setup.make_link(), "administrator", PASSWORD)
    person = appliance.people.create(administrator, "alice", PASSWORD, frozenset({Role.EMPLOYEE}))
    box = Box(settings, appliance, person)
    box.start()
    yield box
    box.process.send_signal(signal.SIGTERM)
    try:
        assert box.process.wait(20) == 0
    finally:
        box.process.kill()
        appliance.close()
        shutil.rmtree(data_dir, ignore_errors=True)


def test_the_ingest_worker_dies_while_parsing_and_while_embedding(box: Box) -> None:
    for turn in range(ROUNDS):
        for moment in ("PARSING", "EMBEDDING"):
            pid = box.pid("worker-ingest")
            document_id = box.upload(f"{moment}-{turn}.txt", 100)
            until(lambda moment=moment, wanted=document_id: box.status(documents, wanted) == moment, PATIENCE_S)
            time.sleep(0.05 * turn)
            box.kill(pid)
    box.finish()


def test_the_answers_worker_dies_before_and_after_the_first_delta(box: Box) -> None:
    for turn in range(ROUNDS):
        for written in (False, True):
            pid = box.pid("worker-answers")
            answer_id = box.ask(f"How often does the night porter check door {turn + 3}, and where is that written?")
            if written:
                until(lambda wanted=answer_id: box.deltas(wanted) > 0 or box.status(messages, wanted) == "DONE", PATIENCE_S)
            else:
                until(lambda wanted=answer_id: box.status(messages, wanted) == "ANSWERING", PATIENCE_S)
            box.kill(pid)
    box.finish()


def test_redis_dies_with_all_its_messages(box: Box) -> None:
    for turn in range(ROUNDS):
        pid = box.pid("redis")
        box.upload(f"redis-{turn}.txt", 60)
        box.ask(f"On which hook does key {turn + 11} hang?")
        time.sleep(0.3 * turn)
        box.kill(pid)
        box.upload(f"without-redis-{turn}.txt", 20)
        box.ask("Who writes the time in the green book?")
    box.finish()


@pytest.mark.parametrize("moment", ["accepted", "streaming"])
def test_the_front_door_dies_with_a_file_half_sent_and_a_question_asked(box: Box, moment: str) -> None:
    pid = box.pid("web")
    with box.browser() as browser:
        conversation = browser.post("/api/conversations", json={}).raise_for_status().json()
        question = {"text": f"How often does the night porter check door 5? ({moment})"}
        asked = browser.post(f"/api/conversations/{conversation['id']}/messages", json=question).raise_for_status().json()
        box.answers.append(asked["answer"]["id"])
        whole = browser.post(box.door_for(f"whole-{moment}.txt"), content=handbook(f"whole-{moment}", 20).encode())
        box.documents.append(whole.raise_for_status().json()["document"]["id"])
        events = f"/api/messages/{asked['answer']['id']}/events"
        with browser.stream("GET", events) as stream, pytest.raises(httpx.TransportError):
            lines = stream.iter_lines()
            if moment == "streaming":
                next(lines)
            browser.post(box.door_for("half.txt"), content=box.half_a_file(pid))
    until(lambda: door_answers(box.settings.host, box.settings.port), PATIENCE_S)
    box.finish()
    with box.browser() as browser:
        told = browser.get(events, headers={"Last-Event-ID": "0-0"}).raise_for_status().text
        assert "event: done" in told
        names = {document["name"] for document in browser.get("/api/documents").raise_for_status().json()}
        assert f"whole-{moment}.txt" in names
        assert "half.txt" not in names


def test_the_care_of_the_box_dies_and_goes_on(box: Box) -> None:
    box.kill(box.pid("worker-maintenance"))
    box.upload("beside-the-care.txt", 20)
    assert box.pid("worker-maintenance")
    box.finish()


def test_the_supervisor_dies_in_the_middle_of_everything(box: Box) -> None:
    document_id = box.upload("supervisor.txt", 100)
    answer_id = box.ask("What does the night porter write in the green book?")
    until(lambda: box.status(documents, document_id) != "PENDING" and box.status(messages, answer_id) != "PENDING", PATIENCE_S)
    box.process.kill()
    box.process.wait()
    box.upload("while-down.txt", 20)
    box.start()
    box.finish()
