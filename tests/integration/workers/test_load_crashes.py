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
    for times in range(TRIES):
        assert start(appliance).wait(60) == -signal.SIGABRT
        assert crashes(appliance) == [("failure", each + 1) for each in range(times)], "said by the one that comes after"
    assert appliance.chat.message(alice, asked).status == "PENDING"

    worker = start(appliance)
    try:
        message = answered(appliance, alice, asked)
        assert (message.status, message.reason_code) == ("FAILED", "inference.load_crashed")
        assert message.reason.endswith("so it is not loaded again.")
        assert crashes(appliance) == [("failure", 1), ("failure", 2)]
        assert worker_beats(appliance.settings, "answers")
        active = next(
            version for version in appliance.models.versions() if version.kind == "language" and version.state == "active"
        )
        assert [finding.state for finding in doctor._models(appliance) if active.id in finding.sentence] == ["failure"]

        (appliance.settings.data_dir / "crash").unlink()
        assert appliance.model_administration.activate(administrator, active.id).state == "active"
        again = answered(appliance, alice, ask(appliance, alice))
        assert again.status == "DONE", again.reason
        assert not list((appliance.settings.data_dir / "loading").iterdir())
    finally:
        worker.terminate()
        worker.wait(30)


_LOADS = """
import os, signal, sys
from pathlib import Path
from appliance.inference.load_marks import Load, LoadMarks
marks = LoadMarks(Path(sys.argv[1]))
print(*marks.settle().values(), flush=True)
if sys.argv[2] == "die":
    with marks.around(Load("0" * 64, "llamacpp"), "m@1"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_stop_of_the_box_while_it_loads_is_no_crash(tmp_path: Path) -> None:
    """Then the process that loads is killed, and the one that started it ends, too."""

    def child(then: str) -> str:
        command = [sys.executable, "-c", _LOADS, str(tmp_path), then]
        return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()

    command = [sys.executable, "-c", _LOADS, str(tmp_path), "die"]
    between = f"import subprocess\nsubprocess.run({command!r})"
    subprocess.run([sys.executable, "-c", between], cwd=ROOT, check=True, capture_output=True)
    assert len(list(tmp_path.iterdir())) == 1
    assert child("end") == ""
    assert not list(tmp_path.iterdir())
    assert [child("die"), child("die"), child("end"), child("end")] == ["", "1", "2", ""]
    marks = LoadMarks(tmp_path)
    assert marks.crashed() == {Load("0" * 64, "llamacpp")}
    with pytest.raises(Unavailable, match="is not loaded again") as refused, marks.around(Load("0" * 64, "llamacpp"), "m@1"):
        raise AssertionError
    assert refused.value.stable_code == "inference.load_crashed"
    with marks.around(Load("1" * 64, "llamacpp"), "other@1"):
        assert child("end") == "", "we live"
    assert marks.forget("0" * 64)
    assert not marks.forget("0" * 64)
    assert marks.crashed() == frozenset()
