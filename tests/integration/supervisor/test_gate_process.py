"""The gate as a process beside a sealed box, and beside a command: a server of this machine is reached through it alone.

Given a box whose list names a server on the machine's own loopback, when a worker inside the seal asks, then the answer streams
through the gate while the worker itself has no way there.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, following
from appliance.bootstrap import Appliance
from appliance.egress import frames
from appliance.egress.asking import connected, gate_answers, gate_count
from appliance.egress.calls import Call
from appliance.egress.destinations import Purpose, load_destinations
from appliance.egress.frames import Kind
from appliance.egress.gate import Gate
from appliance.egress.seal.confinement import CODE
from appliance.egress.seal.reports import read_reports
from appliance.errors import Denied, Unavailable
from appliance.supervisor.own_gate import own_gate
from tests.scripted_server import Answer, Asked, ScriptedServer

from .conftest import until
from .refusals import CLONE_NEWUSER, UNSHARE, refusing

_WORKER = """
import json, os, pathlib, socket, sys, time
from appliance.bootstrap import open_appliance
from appliance.egress.calls import Call
from appliance.egress.destinations import Purpose, load_destinations
from appliance.egress.gate import Gate
from appliance.errors import ApplianceError
from appliance.settings import load_settings
from appliance.supervisor import wire
queue, data = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
settings = load_settings(data)
def route(address):
    try:
        with socket.socket() as probe:
            probe.connect(address)
    except OSError as error:
        return error.errno
    return 0
def ask(port):
    appliance = open_appliance(settings)
    named = load_destinations(pathlib.Path("policies/destinations.toml"))
    gate, told = Gate(named, lambda: settings.gate_path, appliance.database, appliance.audit), data / "told"
    try:
        with gate.open(Call("model", Purpose.INFERENCE, "/v1/chat/completions", b"{}", classification="internal")) as reply:
            for line in reply.lines():
                told.open("a").write(json.dumps([line.decode(), route(("127.0.0.1", port))]) + chr(10))
        told.open("a").write('["end", 0]' + chr(10))
    except ApplianceError as error:
        told.open("a").write(json.dumps([error.stable_code, 0]) + chr(10))
    appliance.close()
while True:
    wire.command(settings, "SET", "worker:" + queue, '{"pid": %d}' % os.getpid(), "EX", "10")
    if queue == "answers" and (data / "ask").exists():
        port = int((data / "ask").read_text())
        (data / "ask").unlink()
        ask(port)
    time.sleep(0.1)
"""


def write_policies(directory: Path, port: int, *, allowed: str = '["model"]') -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "destinations.toml").write_text(
        f'[[destination]]\nname = "model"\nhost = "127.0.0.1"\nport = {port}\npurpose = "inference"\ntls = false\n'
    )
    routing = (CODE / "policies" / "routing.toml").read_text()
    head, rule = routing.split("[rules.internal]")
    (directory / "routing.toml").write_text(
        head + "[rules.internal]" + rule.replace("destinations = []", f"destinations = {allowed}", 1)
    )
    return directory


class Streaming:
    """Says a line, waits to be told, says another."""

    def __init__(self) -> None:
        self.more, self.asked = threading.Event(), []

    def __call__(self, asked: Asked, answer: Answer) -> None:
        self.asked.append(asked)
        answer.begin()
        answer.send(b"one\n")
        if self.more.wait(20):
            answer.send(b"two\n")
            answer.end()


@pytest.fixture
def script() -> Streaming:
    return Streaming()


@pytest.fixture
def server(script: Streaming) -> Iterator[ScriptedServer]:
    with ScriptedServer(script).running() as running:
        yield running


@pytest.fixture
def running(server: ScriptedServer, box, appliance: Appliance, kernel_seals):
    """A sealed box with the stand-in worker that asks, and the gate."""
    (box.stand_ins / "workers" / "main.py").write_text(_WORKER)
    write_policies(box.stand_ins / "policies", server.port)
    box.start()
    return box


@pytest.fixture
def box_of_a_user(server: ScriptedServer, box, appliance: Appliance, kernel_seals):
    """As `running`, where the kernel gives namespaces to users only."""
    if platform.machine() != "x86_64":
        pytest.skip("refusals are spelled for x86-64")
    (box.stand_ins / "workers" / "main.py").write_text(_WORKER)
    write_policies(box.stand_ins / "policies", server.port)
    box.start(before=refusing(UNSHARE, unless=CLONE_NEWUSER))
    return box


def told(box) -> list[list]:
    file = box.settings.data_dir / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ask(box, port: int) -> None:
    place = box.settings.data_dir / "ask"
    place.with_suffix(".new").write_text(str(port))
    place.with_suffix(".new").replace(place)


def events(appliance: Appliance, name: EventName) -> list:
    with appliance.database.read() as connection:
        return following(connection, AuditFilter(event=name))


def test_an_answer_streams_through_the_gate_to_a_worker_that_has_no_way_there(running, server, script, appliance) -> None:
    ask(running, server.port)
    until(lambda: told(running))
    assert told(running) == [["one", 97]]  # the first words are there before the last are said; EAFNOSUPPORT
    opened, called = events(appliance, EventName.EGRESS_OPENED), events(appliance, EventName.EGRESS_CALLED)
    assert (len(opened), len(called)) == (1, 0)
    assert opened[0].facts["classification"] == "internal"
    script.more.set()
    until(lambda: len(told(running)) == 3)
    assert told(running)[1:] == [["two", 97], ["end", 0]]
    (called,) = events(appliance, EventName.EGRESS_CALLED)
    assert (called.facts["bytes_out"], called.facts["bytes_in"], called.facts["status"]) == (2, 8, 200)
    assert called.resources == opened[0].resources
    state = appliance.egress.found().gate
    assert (state.count.calls, state.count.bytes_in, state.unrecorded) == (1, 8, 0)
    assert not appliance.egress.found().gaps


def test_without_root_the_gate_knows_its_own_account_across_a_user_namespace(box_of_a_user, server, script) -> None:
    script.more.set()
    ask(box_of_a_user, server.port)
    until(lambda: len(told(box_of_a_user)) == 3)
    assert told(box_of_a_user) == [["one", 97], ["two", 97], ["end", 0]]
    assert gate_count(box_of_a_user.settings.gate_path).strangers == 0


def test_a_gate_that_is_killed_in_the_middle_is_said_so_and_is_there_again(running, server, script, appliance) -> None:
    before = next(report.pid for report in read_reports(running.settings.run_dir) if report.outside)
    ask(running, server.port)
    until(lambda: told(running))
    os.kill(before, signal.SIGKILL)
    until(lambda: len(told(running)) == 2)
    assert told(running)[1] == ["egress.gate", 0]
    (called,) = events(appliance, EventName.EGRESS_CALLED)
    assert (called.outcome, called.facts["reason_code"]) == ("failure", "egress.gate")
    script.more.set()
    ask(running, server.port)  # its socket outlives it: this call waits for the next one
    until(lambda: len(told(running)) == 5)
    assert told(running)[2:] == [["one", 97], ["two", 97], ["end", 0]]
    assert not appliance.egress.found().gaps


def test_what_is_taken_from_the_list_is_refused_at_once(running, server, script, appliance) -> None:
    life = gate_count(running.settings.gate_path).gate
    write_policies(running.stand_ins / "policies", server.port, allowed="[]")
    until(lambda: gate_answers(running.settings.gate_path) and gate_count(running.settings.gate_path).gate != life)
    ask(running, server.port)
    until(lambda: told(running))
    assert told(running) == [["egress.refused", 0]]
    assert events(appliance, EventName.EGRESS_REFUSED)[-1].facts["reason"] == "classification"
    assert script.asked == []
    # what a caller keeps from the log, the gate's own count shows
    with connected(running.settings.gate_path) as connection:
        frames.send(connection, Kind.ASK, frames.Asked("x", Purpose.LOG, "/x", "", 0, 1, 1.0, None))
        assert frames.receive(connection)[0] is Kind.REFUSED
    assert appliance.egress.found().gate.unrecorded == 1


def gate_for(appliance: Appliance, policies: Path, place) -> Gate:
    return Gate(load_destinations(policies / "destinations.toml"), place, appliance.database, appliance.audit)


def test_a_command_without_a_box_has_a_gate_of_its_own_that_ends_with_it(
    appliance, server, script, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    policies = write_policies(tmp_path / "policies", server.port)
    script.more.set()
    with own_gate(appliance.settings, policies) as place:
        gate = gate_for(appliance, policies, place)
        with gate.open(Call("model", Purpose.INFERENCE, "/v1/chat/completions", b"{}", classification="internal")) as reply:
            assert list(reply.lines()) == [b"one", b"two"]
        path = place()
        (pid,) = [int(child) for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()]
        refused = [
            Call("model", Purpose.INFERENCE, "/v1/chat/completions", b"{}", classification="secret"),
            Call("other", Purpose.LOG, "/x"),
        ]
        for call in refused:
            with pytest.raises(Denied), gate.open(call):
                pass
        state = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in state
        assert "Seccomp:\t2" in state
    assert not path.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert len(events(appliance, EventName.EGRESS_REFUSED)) == 2
    assert read_reports(appliance.settings.run_dir) == []


def test_a_command_beside_a_running_box_uses_its_gate(running) -> None:
    with own_gate(running.settings, running.stand_ins / "policies") as place:
        assert place() == running.settings.gate_path


def test_the_gate_reads_no_key_and_reaches_no_port_that_is_not_named(appliance, tmp_path, kernel_seals) -> None:
    policies = write_policies(tmp_path / "policies", 4_443)
    script = f"""
import pathlib, socket
from appliance.settings import Settings
from appliance.supervisor.sealing import seal_gate
data = pathlib.Path({str(appliance.settings.data_dir)!r})
seal_gate(Settings(data_dir=data), pathlib.Path({str(policies.parent)!r}), reported=False)
def tried(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
def connect(port):
    with socket.socket() as probe:
        probe.connect(("127.0.0.1", port))
print(tried(lambda: (data / "keys" / "root.key").read_bytes()), tried(lambda: (data / "cloister.db").read_bytes()),
      tried(lambda: (data / "new").write_text("")), tried(lambda: connect(4443)), tried(lambda: connect(4444)),
      tried(lambda: socket.socket().bind(("127.0.0.1", 0))), tried(lambda: socket.socket(socket.AF_NETLINK)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=CODE)
    files = ["PermissionError"] * 3
    assert done.stdout.split() == [*files, "ConnectionRefusedError", "PermissionError", "PermissionError", "OSError"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another account takes root")
def test_another_account_is_not_answered_and_counted(appliance, tmp_path) -> None:
    policies = write_policies(tmp_path / "policies", 1)
    with own_gate(appliance.settings, policies) as place:
        path = place()
        assert gate_count_when_ready(path).strangers == 0
        for directory in (path, *path.parents[:2]):
            directory.chmod(0o777)
        stranger = f"""
import os, socket
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({str(path)!r})
    connection.sendall(bytes([10, 0, 0, 0, 0]))
    print(connection.recv(9))
"""
        done = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, check=False, cwd="/")
        assert done.stdout == "b''\n" or "BrokenPipe" in done.stderr or "ConnectionReset" in done.stderr
        assert gate_count(path).strangers == 1


def gate_count_when_ready(path: Path):
    until(lambda: gate_answers(path))
    return gate_count(path)


def test_a_wrong_list_is_a_sentence_and_no_gate(appliance, tmp_path) -> None:
    policies = write_policies(tmp_path / "policies", 1)
    (policies / "destinations.toml").write_text("[[destination]]\nname = 1\n")
    command = [sys.executable, "-m", "appliance.supervisor.gate_process", "--data", str(appliance.settings.data_dir)]
    done = subprocess.run([*command, "--policies", str(policies)], capture_output=True, text=True, check=False, cwd=CODE)
    assert done.returncode == 2
    assert done.stderr.startswith("destinations.toml: ")
    assert not appliance.settings.gate_path.exists()


def test_where_no_gate_runs_a_call_is_a_typed_error_and_none_is_on_record(appliance, tmp_path) -> None:
    policies = write_policies(tmp_path / "policies", 1)
    gate = gate_for(appliance, policies, lambda: appliance.settings.gate_path)
    with pytest.raises(Unavailable) as failed, gate.open(Call("model", Purpose.INFERENCE, "/v1/models")):
        pass
    assert failed.value.stable_code == "egress.gate"
    assert events(appliance, EventName.EGRESS_OPENED) == []
