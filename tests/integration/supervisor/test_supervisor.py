"""The supervisor: refusals, start, restart, end."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from appliance.errors import SetupError
from appliance.settings import Settings
from appliance.supervisor import wire
from appliance.supervisor.aside import done_aside
from appliance.supervisor.redis_server import packaged_redis_server
from appliance.supervisor.signals import Signals
from appliance.supervisor.sockets import bind_front_door, socket_path
from appliance.supervisor.states import rss_mb

from .conftest import alive, until

NAMES = {"supervisor", "redis", "web", "worker-answers", "worker-ingest", "worker-maintenance"}


def all_ready(box) -> bool:
    states = box.states()
    return states.keys() == NAMES and all(state["ready"] for state in states.values())


def test_a_busy_port_is_one_sentence(box) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", box.port))
        holder.listen()
        box.start(wait=False)
        _, words = box.process.communicate(timeout=10)
    assert box.process.returncode == 1
    assert words.strip() == f"Cannot listen on 127.0.0.1 port {box.port}: Address already in use. Choose another with --port."


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("203.0.113.7", 8080), ("no such host", 8080)])
def test_an_impossible_address_is_refused(host: str, port: int) -> None:
    with pytest.raises(SetupError):
        bind_front_door(host, port)


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(SetupError, match="shorter"):
        socket_path(Settings(data_dir=Path("/" + "ö" * 60)))


def test_a_worker_that_refuses_to_start_ends_everything_with_its_sentence(box) -> None:
    box.settings.data_dir.joinpath("refuse").touch()
    box.start(wait=False)
    _, words = box.process.communicate(timeout=20)
    assert box.process.returncode == 1
    assert "The model is not the one that was promised." in words
    assert len(words.strip().splitlines()) == 1
    assert not wire.answers(box.settings)


def test_an_existing_redis_that_is_not_there_is_one_sentence(box) -> None:
    box.start(redis_url="redis://127.0.0.1:1/0", wait=False)
    _, words = box.process.communicate(timeout=20)
    assert box.process.returncode == 1
    assert words.strip() == "The Redis named by redis_url does not answer."


def test_a_second_box_on_the_same_data_is_refused_and_the_first_goes_on(box) -> None:
    box.start()
    first, box.process = box.process, None
    box.port += 1
    try:
        box.start(wait=False)
        _, words = box.process.communicate(timeout=10)
        assert words.strip() == f"Cloister is already running on {box.settings.data_dir}."
        assert wire.answers(box.settings)
    finally:
        box.process = first


def test_everything_runs_is_reported_and_ends_together(box) -> None:
    box.start()
    until(lambda: all_ready(box))
    states = box.states()
    assert all(state["rss_mb"] > 1 and state["restarts"] == 0 for state in states.values())
    assert states["supervisor"]["rss_mb"] < 30
    assert stat.S_IMODE(socket_path(box.settings).stat().st_mode) == 0o600
    assert wire.command(box.settings, "GET", "nothing") is None
    seen = set((box.settings.data_dir / "environment").read_text().split())
    assert "SECRET_OF_THE_CALLER" not in seen
    assert {"QUIET", "CLOISTER_PORT"} <= seen
    code, words, seconds = box.end()
    assert (code, words) == (0, "")
    assert seconds < 3
    assert not any(alive(state["pid"]) for state in states.values())


def test_our_redis_opens_no_port_and_writes_no_file(box) -> None:
    box.start()
    assert "tcp_port:0" in wire.command(box.settings, "INFO", "server").decode()
    until(lambda: all_ready(box))
    pid = box.states()["redis"]["pid"]
    opened = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
    listening = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert not {f"socket:[{inode}]" for inode in listening} & opened
    box.end()
    assert {path.name for path in box.settings.run_dir.iterdir()} == {"lock"}


@pytest.mark.parametrize("name", ["web", "worker-answers", "redis"])
def test_a_child_that_dies_is_back_within_seconds(box, name: str) -> None:
    box.start()
    until(lambda: all_ready(box))
    pid = box.states()[name]["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    box.wait_for(f"died {name}")
    box.wait_for(f"ready {name}")
    assert time.monotonic() - began < 3
    until(lambda: box.states().get(name, {}).get("restarts") == 1)
    assert box.states()[name]["pid"] != pid


def test_a_supervisor_that_is_killed_takes_everything_along_and_can_start_again(box) -> None:
    box.start()
    until(lambda: all_ready(box))
    pids = [state["pid"] for state in box.states().values()]
    box.end(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), 3)
    assert socket_path(box.settings).exists(), "a left-over socket is part of this test"
    box.start()
    assert wire.answers(box.settings)


def test_the_end_may_come_while_starting(box) -> None:
    box.settings.data_dir.joinpath("slow").touch()
    box.start(wait=False)
    box.wait_for("starting worker-answers")
    code, words, seconds = box.end(signal.SIGINT)
    assert (code, words) == (0, "")
    assert seconds < 3


def test_a_deaf_child_does_not_keep_the_box_from_ending(box) -> None:
    box.settings.data_dir.joinpath("deaf").touch()
    box.start()
    code, _, seconds = box.end()
    assert code == 0
    assert seconds < 12


def test_the_packaged_redis_is_there() -> None:
    assert packaged_redis_server().name == "redis-server"


def test_what_is_done_aside_leaves_its_answer_and_not_its_memory() -> None:
    before_mb = rss_mb(os.getpid())
    with Signals() as signals:
        assert done_aside(lambda: ["a link", str(len(bytearray(200_000_000)))], signals) == ["a link", "200000000"]
    assert rss_mb(os.getpid()) - before_mb < 100


def test_a_refusal_aside_is_raised_here() -> None:
    def refuse() -> list[str]:
        raise SetupError("The model is not the one that was promised.", code="setup.model_digest")

    with Signals() as signals, pytest.raises(SetupError, match="promised") as refused:
        done_aside(refuse, signals)
    assert refused.value.stable_code == "setup.model_digest"


def test_a_death_aside_is_a_sentence() -> None:
    with Signals() as signals, pytest.raises(SetupError, match="died"):
        done_aside(lambda: os.kill(os.getpid(), signal.SIGKILL), signals)


def test_the_end_may_come_while_something_is_done_aside() -> None:
    began = time.monotonic()
    with Signals() as signals:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        assert done_aside(lambda: time.sleep(60) or [], signals) == []
        assert signals.ending
    assert time.monotonic() - began < 5
