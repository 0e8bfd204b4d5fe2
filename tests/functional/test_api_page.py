"""docs/api.md is true: its very `curl` lines run against a box that serves, reads and answers, and give what stands below them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.bootstrap import Appliance
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal
from appliance.supervisor.redis_server import redis_command
from appliance.supervisor.sockets import socket_path
from tests.conftest import PASSWORD, ROOT
from tests.serving import serving, wait_until
from workers.connection import connect
from workers.streams import RedisDeltaSink

PAGE = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"```(sh|json)\n(.*?)```", PAGE, re.DOTALL)
RULES = "The ferry sails at seven in the morning. The porter has the keys of the boat house."
NAMED = re.compile(r"[A-Z]{4,}")
STATES = {"PENDING", "READY", "DONE", "FAILED"}
VALUES_THAT_VARY = {"text", "answer_start", "answer_end", "end", "finish_reason", "title"}


class WorkingQueue:
    """Works on each row in a thread, as a worker would."""

    def __init__(self, appliance: Appliance, redis: Any) -> None:
        self.appliance, self.redis, self.threads = appliance, redis, []

    def enqueue_answer(self, message_id: str) -> bool:
        return self._start(self.appliance.chat.answer, message_id, RedisDeltaSink(self.redis, message_id), "worker")

    def enqueue_ingest(self, document_id: str) -> bool:
        return self._start(self.appliance.documents.ingest, document_id, "worker")

    def _start(self, work: Any, *arguments: object) -> bool:
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()
        return True


@pytest.fixture
def box(appliance_with_models: Appliance) -> Iterator[tuple[str, WorkingQueue]]:
    appliance = appliance_with_models
    redis = subprocess.Popen(redis_command(appliance.settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = connect(appliance.settings)
    wait_until(lambda: _listening(socket_path(appliance.settings)))
    queue = WorkingQueue(appliance, client)
    with serving(appliance, queue) as url:
        yield url, queue
    redis.terminate()
    redis.wait(10)


def _listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0


def test_the_lines_of_the_page_do_what_it_says(box: tuple[str, WorkingQueue], alice: Principal, tmp_path: Path) -> None:
    url, queue = box
    _, key = queue.appliance.api_keys.create(alice, PASSWORD, "Import", KeyScope)
    (tmp_path / "auth.txt").write_text(f"Authorization: Bearer {key}\n")
    (tmp_path / "rules.txt").write_text(RULES)
    ids = {"BOX": url}
    lines = [block for kind, block in BLOCKS if kind == "sh"]
    assert len(lines) == len(PAGE.split("curl -sS")) - 1 > 8
    for at, (kind, block) in enumerate(BLOCKS):
        if kind != "sh":
            continue
        ran = subprocess.run(
            ["bash", "-euc", block], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **ids}, capture_output=True, text=True
        )
        assert ran.returncode == 0, (block, ran.stderr)
        for thread in queue.threads:
            thread.join(60)
        if "/events" in block:
            assert ran.stdout.splitlines()[-3].startswith("event: done"), ran.stdout
            assert json.loads(ran.stdout.splitlines()[-2].removeprefix("data: "))["status"] == "DONE"
            continue
        promised, given = json.loads(BLOCKS[at + 1][1]), json.loads(ran.stdout)
        compare(promised, given, ids, block)
    assert set(ids) == {"BOX", "COLLECTION", "DOCUMENT", "CONVERSATION", "QUESTION", "ANSWER"}


def compare(promised: Any, given: Any, ids: dict[str, str], where: str, name: str = "") -> None:
    """All that the page promises is there; a name in capitals stands for one id throughout."""
    if isinstance(promised, dict):
        for member, value in promised.items():
            assert member in given, (where, member)
            compare(value, given[member], ids, where, member)
    elif isinstance(promised, list):
        assert len(given) >= len(promised), (where, given)  # a model may cite twice
        for value, found in zip(promised, given, strict=False):
            compare(value, found, ids, where, name)
    elif isinstance(promised, str) and NAMED.fullmatch(promised) and promised not in STATES:
        assert ids.setdefault(promised, given) == given, (where, promised)
    elif name in VALUES_THAT_VARY:
        assert type(given) is type(promised), (where, name, given)
    else:
        assert given == promised, (where, name)


CODES = re.findall(r"^\| (\d{3}) \| (.*?) \|", PAGE, re.MULTILINE)


def test_each_code_of_the_page_is_one_of_the_code() -> None:
    source = "".join(path.read_text() for name in ("appliance", "web") for path in (ROOT / name).rglob("*.py"))
    named = [code for _, codes in CODES for code in re.findall(r"`([a-z]+\.[a-z_]+)`", codes)]
    assert len(named) > 12
    assert [code for code in named if f'"{code}"' not in source] == []
