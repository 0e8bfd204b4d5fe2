"""The seal around real processes: what the network of the machine offers is tried from inside each, and seen from outside.

Given a box that runs, when somebody stands where one of its processes stands and reaches for a listener of this machine, then
nobody answers; the same try from outside is answered, so that the test can see.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.egress.asking import gate_count
from appliance.egress.seal import calls
from appliance.egress.seal.confinement import CODE, Confinement, fasten
from appliance.egress.seal.layers import BEHIND_THE_SEAL, Layer, Name, Strength, measure, strength
from appliance.egress.seal.observation import contradictions
from appliance.egress.seal.reports import Report, pid_namespace, read_reports

from appliance.supervisor.redis_server import find_redis_server

from .conftest import until
from .refusals import CLONE_NEWUSER, LANDLOCK, UNSHARE, refusing

PROCESSES = {"redis", "web", "worker-answers", "worker-ingest", "worker-maintenance"}
_TRY = """
import ctypes, json, os, socket, sys
given = json.loads(sys.argv[1])
for number, kind in given["join"]:
    assert ctypes.CDLL(None).setns(number, kind) == 0
def reached(family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(3)
            probe.connect(address)
            return probe.recv(5) == b"here\\n"
    except OSError as error:
        return type(error).__name__
def route(address):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            return probe.connect((address, 9)) or True
    except OSError as error:
        return error.errno
print(json.dumps({
    "loopback": reached(socket.AF_INET, ("127.0.0.1", given["port"])),
    "abstract": reached(socket.AF_UNIX, given["abstract"]),
    "service": reached(socket.AF_UNIX, given["service"]) if given["service"] else None,
    "outside": route("203.0.113.1"),
}))
"""

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="refusals are spelled for x86-64"),
    pytest.mark.usefixtures("kernel_seals"),
]


class Services:
    """Listeners of this machine that greet whoever comes: on loopback, on an abstract socket, and, as root, below /run."""

    def __init__(self) -> None:
        self.loopback = socket.create_server(("127.0.0.1", 0))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.name = f"\0cloister-test-{secrets.token_hex(4)}"
        self.abstract.bind(self.name)
        self.path = Path(f"/run/cloister-test-{os.getpid()}.sock") if os.geteuid() == 0 else None
        self.listeners = [self.loopback, self.abstract]
        if self.path:
            service = socket.socket(socket.AF_UNIX)
            service.bind(str(self.path))
            self.listeners.append(service)
        for listener in self.listeners:
            listener.listen()
            threading.Thread(target=self._greet, args=(listener,), daemon=True).start()

    @staticmethod
    def _greet(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"here\n")

    def tried(self, pid: int | None = None, **how) -> dict:
        """What a program reaches, standing where process `pid` stands (its namespaces), or here."""
        kinds = {"net": calls.CLONE_NEWNET, "mnt": calls.CLONE_NEWNS} if pid else {}
        joined = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in kinds.items()]
        given = {
            "join": joined,
            "port": self.loopback.getsockname()[1],
            "abstract": self.name,
            "service": str(self.path) if self.path else "",
        }
        done = subprocess.run(
            [sys.executable, "-c", _TRY, json.dumps(given)],
            pass_fds=[number for number, _ in joined],
            capture_output=True,
            text=True,
            check=True,
            **how,
        )
        for number, _ in joined:
            os.close(number)
        return json.loads(done.stdout)

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        if self.path:
            self.path.unlink()


@pytest.fixture
def services() -> Iterator[Services]:
    opened = Services()
    yield opened
    opened.close()


def reports(box) -> dict[str, Report]:
    return {report.process: report for report in read_reports(box.settings.run_dir)}


def gaps(report: Report) -> set[Name]:
    return {layer.name for layer in report.missing}


@pytest.mark.skipif(os.geteuid() != 0, reason="entering the namespaces of another process takes root")
def test_from_where_each_process_stands_nothing_of_this_machine_answers(box, services: Services) -> None:
    box.start()
    control = services.tried()
    assert (control["loopback"], control["abstract"], control["service"]) == (True, True, True)
    found = reports(box)
    assert found.keys() == PROCESSES
    for report in found.values():
        inside = services.tried(report.pid)
        assert inside["loopback"] == "ConnectionRefusedError", report.process
        assert inside["abstract"] == "ConnectionRefusedError", report.process
        assert inside["service"] == "FileNotFoundError", report.process
        assert inside["outside"] == 101, report.process  # ENETUNREACH


def test_a_process_of_the_box_has_no_internet_sockets_at_all(data_dir: Path, services: Services) -> None:
    assert services.tried()["loopback"] is True
    inside = services.tried(preexec_fn=lambda: fasten(Confinement(data_dir), None), cwd=CODE)
    assert inside["loopback"] == "OSError"
    assert inside["outside"] == 97  # EAFNOSUPPORT


def test_a_process_writes_below_its_data_and_nowhere_else_and_runs_nothing_it_wrote(data_dir: Path, tmp_path: Path) -> None:
    elsewhere = Path.home() / f".cloister-test-{os.getpid()}"  # no scratch place, wherever the checkout lies
    script = """
import subprocess, sys
for place in sys.argv[1:]:
    try:
        open(place, "w").write("#!/bin/sh\\necho ran\\n")
        print("written", end=" ")
    except OSError as error:
        print(type(error).__name__, end=" ")
import os
os.chmod(sys.argv[1], 0o700)
try:
    subprocess.run([sys.argv[1]])
except OSError as error:
    print(type(error).__name__)
"""
    command = [sys.executable, "-c", script, str(data_dir / "program"), str(elsewhere), "/etc/cloister-test"]
    try:
        free = subprocess.run(command[:-1], capture_output=True, text=True, check=False).stdout.split()
        assert free[:2] == ["written", "written"]
        elsewhere.unlink()
        confined = subprocess.run(
            command, capture_output=True, text=True, check=False, preexec_fn=lambda: fasten(Confinement(data_dir), None)
        )
        assert confined.stdout.split() == ["written", "PermissionError", "PermissionError", "PermissionError"]
        assert not elsewhere.exists()
    finally:
        elsewhere.unlink(missing_ok=True)


def test_every_process_reports_all_layers_and_proc_says_the_same(box) -> None:
    box.start()
    for report in reports(box).values():
        assert not gaps(report), (report.process, report.missing)
        assert report.strength is Strength.NAMESPACE
        assert contradictions(report) == []
        assert {layer.name for layer in report.layers} == set(BEHIND_THE_SEAL)


def test_a_report_that_claims_too_much_is_contradicted() -> None:
    claims = [Layer(name, held=True, detail="") for name in Name]
    with subprocess.Popen(["sleep", "30"]) as process:
        said = contradictions(Report("liar", process.pid, pid_namespace(), 0, Strength.NAMESPACE, claims))
        process.kill()
    assert "it shares the network of whoever asks" in said
    assert "no system call filter" in said
    assert "it can gain privileges" in said


def test_a_process_that_is_started_again_is_sealed_again(box) -> None:
    box.start()
    before = reports(box)["web"]
    os.kill(before.pid, 9)
    until(lambda: reports(box).get("web", before).pid != before.pid)
    assert not gaps(reports(box)["web"])


def test_a_kernel_without_namespaces_is_a_warning_and_the_layers_below_hold(box) -> None:
    box.start(before=refusing(UNSHARE))
    found = reports(box)
    assert found.keys() == PROCESSES
    for report in found.values():
        assert gaps(report) == {Name.NAMESPACE, Name.SERVICES}
        assert report.strength is Strength.FILTER
        assert "the kernel refuses" in report.reason
        assert contradictions(report) == []


def test_a_kernel_without_landlock_is_a_warning_and_the_others_hold(box) -> None:
    box.start(before=refusing(LANDLOCK))
    assert {frozenset(gaps(report)) for report in reports(box).values()} == {frozenset({Name.FILES})}


def test_without_root_a_user_namespace_does_the_same(box) -> None:
    box.start(before=refusing(UNSHARE, unless=CLONE_NEWUSER))
    for report in reports(box).values():
        assert not gaps(report), (report.process, report.missing)
        assert Path(f"/proc/{report.pid}").stat().st_uid == os.geteuid()
    if os.geteuid() == 0:
        outside = Path("/proc/self/ns/user").stat().st_ino
        assert all(Path(f"/proc/{report.pid}/ns/user").stat().st_ino != outside for report in reports(box).values())
    # what they write belongs to the account of the box
    assert {path.stat().st_uid for path in box.settings.run_dir.rglob("*")} == {os.geteuid()}


def test_a_required_seal_that_is_not_there_is_one_sentence_and_nothing_runs(box) -> None:
    (box.settings.data_dir / "settings.toml").write_text("require_seal = true\n")
    box.start(before=refusing(UNSHARE), wait=False)
    said, words = box.process.communicate(timeout=20)
    assert box.process.returncode == 1
    assert len(words.strip().splitlines()) == 1
    assert words.startswith(
        "The seal is required here, and layers of it are missing: namespace (every process: the kernel refuses"
    )
    assert "starting" not in said
    assert not reports(box)


def test_a_required_seal_that_is_there_lets_the_box_start(box) -> None:
    (box.settings.data_dir / "settings.toml").write_text("require_seal = true\n")
    box.start()
    assert reports(box).keys() == PROCESSES


def test_without_any_layer_nothing_is_claimed() -> None:
    layers = measure(Path("/proc/self/ns/net").stat().st_ino)
    assert {layer.name for layer in layers if not layer.held} >= {Name.NAMESPACE, Name.FAMILIES, Name.FILES}
    assert strength(layers) is Strength.NONE


def test_named_destinations_leave_every_process_sealed_and_give_the_gate_its_ports(box, services: Services) -> None:
    policies = box.stand_ins / "policies"
    policies.mkdir()
    port = services.loopback.getsockname()[1]
    policies.joinpath("destinations.toml").write_text(
        f'[[destination]]\nname = "model"\nhost = "127.0.0.1"\nport = {port}\npurpose = "inference"\ntls = false\n'
    )
    policies.joinpath("routing.toml").write_bytes((CODE / "policies" / "routing.toml").read_bytes())
    (box.settings.data_dir / "settings.toml").write_text("require_seal = true\n")
    box.start()
    found = reports(box)
    assert found.keys() == PROCESSES | {"gate"}
    assert not any(gaps(report) for report in found.values())
    gate = found["gate"]
    assert {layer.name for layer in gate.layers if not layer.held} == {Name.NAMESPACE, Name.UNREACHABLE, Name.SERVICES}
    assert gate.strength is Strength.NONE
    assert contradictions(gate) == []
    assert gate_count(box.settings.gate_path).calls == 0


def test_wrong_destinations_keep_the_box_from_starting(box) -> None:
    policies = box.stand_ins / "policies"
    policies.mkdir()
    policies.joinpath("destinations.toml").write_text("[[destination]]\nname = 'model'\n")
    box.start(wait=False)
    said, words = box.process.communicate(timeout=20)
    assert box.process.returncode == 1
    assert words.startswith("destinations.toml: ")
    assert "starting" not in said


def test_an_existing_redis_stays_within_reach_though_its_directory_is_covered(box, tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="cl-"))
    command = [str(find_redis_server()), "--port", "0", "--unixsocket", str(place / "r.sock"), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            until((place / "r.sock").exists)
            box.start(redis_url=f"unix://{place}/r.sock")
            assert reports(box).keys() == PROCESSES - {"redis"}
            assert not any(gaps(report) for report in reports(box).values())
        finally:
            box.end()
            redis.kill()
            shutil.rmtree(place)
