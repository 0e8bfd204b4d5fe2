"""A native call that hangs and keeps the interpreter's lock: the worker ends itself all the same, and the question is tried again."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.storage.tables import messages
from appliance.supervisor.names import QueueName
from workers import main
from workers.broker import make_broker
from workers.queue import open_queue

pytestmark = pytest.mark.models
ROOT = Path(__file__).resolve().parents[3]
_WORKER = """
import ctypes, sys
from pathlib import Path
from appliance.inference.llamacpp import native
from workers import main
main.HUNG_S = 4.0
data, decode = sys.argv[1], native.NativeModel.decode_batch
def hang(self):
    if Path(data, "hang").exists():
        Path(data, "hanging").touch()
        ctypes.PyDLL(None).sleep(600)
    return decode(self)
native.NativeModel.decode_batch = hang
sys.exit(main.main(["answers", "--data", data]))
"""


def start(appliance: Appliance) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WORKER, str(appliance.settings.data_dir)]
    with (appliance.settings.data_dir / "worker.log").open("ab") as words:
        return subprocess.Popen(command, cwd=ROOT, env={"LANG": "C.UTF-8"}, stdout=words, stderr=words)


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_call_that_keeps_the_interpreters_lock_ends_the_process_and_the_question_is_tried_again(
    appliance_with_models: Appliance, alice: Principal, redis_server
) -> None:
    appliance = appliance_with_models
    data_dir = appliance.settings.data_dir
    with appliance.documents.begin_upload(alice, appliance.collections.readable(alice)[0].id, "porter.txt") as upload:
        upload.write(b"The night porter writes the time in the green book.")
        document, _ = upload.commit()
    appliance.documents.ingest(document.id, "test")
    (data_dir / "hang").touch()
    conversation = appliance.chat.create_conversation(alice)
    asked = appliance.chat.ask(alice, conversation.id, "Where does the night porter write the time?")[1].id
    open_queue(appliance.settings).enqueue_answer(asked)

    worker = start(appliance)
    try:
        until((data_dir / "hanging").exists)
        assert worker.wait(60) == 1
        assert "Timeout" in (data_dir / "worker.log").read_text(), "where it hung is in the log"
        (data_dir / "hang").unlink()
        worker = start(appliance)
        until(lambda: appliance.chat.message(alice, asked).status.finished)
        assert appliance.chat.message(alice, asked).status == "DONE"
        with appliance.database.read() as connection:
            assert connection.execute(select(messages.c.attempts).where(messages.c.id == asked)).scalar_one() == 2
    finally:
        worker.terminate()
        worker.wait(30)


@pytest.mark.parametrize("queue", [QueueName.ANSWERS, QueueName.INGEST])
def test_a_slow_load_has_longer_than_the_rest_of_a_start(
    appliance: Appliance, queue: QueueName, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    during: dict[str, float] = {}
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda limit_s, **_: limits.append(limit_s))
    for load in ("_load_embedder", "_warm"):
        monkeypatch.setattr(main, load, lambda _, name=load: during.update({name: limits[-1]}))
    main._declare(queue, make_broker(appliance.settings), appliance, "test")
    assert during.pop("_load_embedder") == main.LOADING_S > main._STARTING_S
    assert during == ({"_warm": main.LOADING_S} if queue is QueueName.ANSWERS else {})
    assert limits[-1] == main._STARTING_S
