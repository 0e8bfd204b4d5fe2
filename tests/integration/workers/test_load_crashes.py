"""A language model whose loading kills the process, in real workers: two deaths, then the box works on and says why it does not answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance
from appliance.chat.models import Message
from appliance.cli import doctor
from appliance.identity.models import Principal
from appliance.errors import Unavailable
from appliance.inference.load_marks import TRIES, Load, LoadMarks
from appliance.storage.tables import audit_events
from appliance.supervisor import run
from appliance.supervisor.plans import worker_beats
from workers.queue import open_queue

pytestmark = pytest.mark.models
ROOT = Path(__file__).resolve().parents[3]
QUESTION = "Where does the night porter write the time?"
_WORKER = """
import os, sys
from pathlib import Path
from appliance.inference.llamacpp import native
load = native.NativeModel.__init__
def crash(self, path, **rest):
    if Path(sys.argv[1], "crash").exists():
        os.abort()
    load(self, path, **rest)
native.NativeModel.__init__ = crash
from workers.main import main
sys.exit(main(["answers", "--data", sys.argv[1]]))
"""


def start(appliance: Appliance) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WORKER, str(appliance.settings.data_dir)]
    log = appliance.settings.data_dir / "worker.log"
    with log.open("ab") as words:
        return subprocess.Popen(command, cwd=ROOT, env={"LANG": "C.UTF-8"}, stdout=words, stderr=words)


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ask(appliance: Appliance, person: Principal) -> str:
    conversation = appliance.chat.create_conversation(person)
    answer_id = appliance.chat.ask(person, conversation.id, QUESTION)[1].id
    open_queue(appliance.settings).enqueue_answer(answer_id)
    return answer_id


def answered(appliance: Appliance, person: Principal, answer_id: str) -> Message:
    until(lambda: appliance.chat.message(person, answer_id).status.finished)
    return appliance.chat.message(person, answer_id)


def crashes(appliance: Appliance) -> list[tuple[str, int]]:
    with appliance.database.read() as connection:
        found = connection.execute(select(audit_events).where(audit_events.c.event == "model.crashed")).all()
    return [(row.outcome, json.loads(row.body)["facts"]["times"]) for row in found]


def test_two_crashes_while_loading_end_in_a_reason_and_it_can_be_tried_again(
    appliance_with_models: Appliance, alice: Principal, administrator: Principal, redis_server
) -> None:
    appliance = appliance_with_models
    with appliance.documents.begin_upload(alice, appliance.collections.readable(alice)[0].id, "porter.txt") as upload:
        upload.write(b"The night porter writes the time in the green book.")
        document, _ = upload.commit()
    appliance.documents.ingest(document.id, "test")
    (appliance.settings.data_dir / "crash").touch()
    asked = ask(appliance, alice)
    assert TRIES < run._TRIES_AT_START, "the box starts with the try after"
    active = next(version for version in appliance.models.versions() if version.kind == "language" and version.state == "active")
    counts(worker_of(appliance.settings.data_dir / "loading", "die", load=Load(active.sha256, "llamacpp")), other_parent=True)
    assert start(appliance).wait(60) == -signal.SIGABRT
    assert crashes(appliance) == [("failure", 1)], "said by the one that comes after"
    assert appliance.chat.message(alice, asked).status == "PENDING"

    worker = start(appliance)
    try:
        message = answered(appliance, alice, asked)
        assert (message.status, message.reason_code) == ("FAILED", "inference.load_crashed")
        assert message.reason.endswith("so it is not loaded again.")
        assert crashes(appliance) == [("failure", 1), ("failure", 2)]
        assert worker_beats(appliance.settings, "answers")
        assert [finding.state for finding in doctor._models(appliance) if active.id in finding.sentence] == ["failure"]

        (appliance.settings.data_dir / "crash").unlink()
        assert appliance.model_administration.retry(administrator, active.id).state == "active"
        again = answered(appliance, alice, ask(appliance, alice))
        assert again.status == "DONE", again.reason
        assert [file.name for file in (appliance.settings.data_dir / "loading").iterdir()] == ["worker-answers.stopped"]
    finally:
        worker.terminate()
        worker.wait(30)


_LOADS = """
import ctypes, os, signal, sys
from pathlib import Path
from appliance.inference.load_marks import Load, LoadMarks
from appliance.lifeline import die_with_parent
directory, worker, then, sha256 = sys.argv[1:]
if then == "die with its parent":
    die_with_parent()
marks = LoadMarks(Path(directory))
print(*marks.settle(worker).values(), flush=True)
if then == "end":
    sys.exit()
if then == "wait":
    from workers.main import _stops_noted
    with _stops_noted(marks), marks.around(Load(sha256, "llamacpp"), "m@1"):
        print("in native code", flush=True)
        ctypes.PyDLL(None).sleep(600)
with marks.around(Load(sha256, "llamacpp"), "m@1"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
LOAD = Load("0" * 64, "llamacpp")


def worker_of(directory: Path, then: str, *, name: str = "worker-answers", load: Load = LOAD) -> list[str]:
    """Starts as the worker of that name, tells what it counts, then does what is said."""
    return [sys.executable, "-c", _LOADS, str(directory), name, then, load.sha256]


def counts(command: list[str], *, other_parent: bool = False) -> str:
    if other_parent:  # as in a container that starts again
        command = [sys.executable, "-c", f"import subprocess\nsubprocess.run({command!r})"]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("other_parent", [True, False], ids=["a container", "a supervisor"])
def test_a_load_that_ends_its_process_is_counted_whoever_starts_it_again(tmp_path: Path, *, other_parent: bool) -> None:
    found = [counts(worker_of(tmp_path, then), other_parent=other_parent) for then in ("die", "die", "end", "end")]
    assert found == ["", "1", "2", ""]
    marks = LoadMarks(tmp_path)
    assert marks.crashed() == {LOAD}
    with pytest.raises(Unavailable, match="is not loaded again") as refused, marks.around(LOAD, "m@1"):
        raise AssertionError
    assert refused.value.stable_code == "inference.load_crashed"
    assert marks.forget(LOAD.sha256)
    assert not marks.forget(LOAD.sha256)
    assert marks.crashed() == frozenset()


def test_an_end_of_the_box_while_it_loads_is_no_crash(tmp_path: Path) -> None:
    """Then a worker of its own dies with it."""
    assert counts(worker_of(tmp_path, "die with its parent"), other_parent=True) == ""
    assert len(list(tmp_path.glob("*.loading"))) == 1
    assert counts(worker_of(tmp_path, "end")) == ""
    assert not list(tmp_path.iterdir())
    assert [counts(worker_of(tmp_path, "die with its parent")) for _ in range(2)] == ["", "1"], "it lives"


def test_a_stop_while_native_code_keeps_the_interpreter_is_no_crash(tmp_path: Path) -> None:
    with subprocess.Popen(worker_of(tmp_path, "wait"), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["\n", "in native code\n"]
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert len(list(tmp_path.glob("*.loading"))) == 1
    assert [counts(worker_of(tmp_path, "die")), counts(worker_of(tmp_path, "end"))] == ["", "1"], "the word is of one stop"


def test_another_worker_leaves_the_mark_of_a_load_alone(tmp_path: Path) -> None:
    marks = LoadMarks(tmp_path)
    with marks.around(LOAD, "m@1"):
        assert not list(tmp_path.iterdir()), "no worker: somebody sees it crash"
    assert marks.settle("worker-answers") == {}
    with marks.around(LOAD, "m@1"):
        assert counts(worker_of(tmp_path, "end", name="worker-ingest")) == ""
        assert counts(worker_of(tmp_path, "end", name="worker-answer")) == ""
        assert len(list(tmp_path.glob("*.loading"))) == 1
        marks.withdraw()
        assert not list(tmp_path.iterdir())
