"""The proof that nothing leaves, as a customer would ask for it, and that its far side sees whoever tries.

Given namespaces, when a program reaches for any name, port or protocol, then the far side has it with the program's name. Given
a whole box, when it lives through a short day, then nobody of it was there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.bootstrap import open_appliance
from appliance.cli import main
from appliance.egress.proof.pages import PROCEDURE
from appliance.settings import Settings
from appliance.storage.tables import audit_events
from tests.conftest import ROOT
from tests.integration.supervisor.test_own_ollama import STAND_IN

_PROGRAM = """
import json, subprocess, sys, time
from pathlib import Path
from appliance.egress.proof import ground, wires
from appliance.egress.proof.sinkhole import Sinkhole
from appliance.egress.seal.confinement import kept_paths
import msgspec
def refused():
    raise FileNotFoundError(2, "no tunnels here")
if sys.argv[1] == "loopback":
    wires.Tunnel = refused
try:
    wire, _ = ground.enter_ground(kept_paths(Path(sys.argv[2])))
except OSError as error:
    sys.exit("no ground: " + str(error))
sinkhole = Sinkhole(wire)
sinkhole.start()
ran = subprocess.run([sys.executable, "-c", sys.argv[3]], capture_output=True, text=True)
time.sleep(0.2)
seen = sinkhole.stop()
print(json.dumps({"wire": type(wire).__name__, "ipv6": wire.ipv6, "said": ran.stdout + ran.stderr,
    "attempts": msgspec.to_builtins(seen.attempts), "unreadable": seen.packets_unreadable}))
"""
_TRIES = """
import ctypes, socket, ssl
ctypes.CDLL(None).prctl(15, b"caller", 0, 0, 0)
def tell(what, act):
    try:
        print(what, act() or "")
    except OSError as error:
        print(what, repr(error))
address = socket.getaddrinfo("a.name.example", 443, socket.AF_INET, socket.SOCK_STREAM)[0][4]
def shake():
    with socket.create_connection(address, timeout=3) as connection:
        ssl.create_default_context().wrap_socket(connection, server_hostname="said.example")
tell("tls", shake)
for port in (1, 8443, 65535):
    tell(port, lambda: socket.create_connection(("203.0.113.5", port), timeout=3).close())
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tell("datagram", lambda: print(datagram.sendto(b"x", ("203.0.113.6", 4000))))
tell("six", lambda: socket.create_connection(("2001:db8::7", 99), timeout=3).close())
try:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
    raw.sendto(b"y" * 16, ("203.0.113.8", 0))
except OSError as error:
    print("raw", repr(error))
datagram.sendto(b"stays", ("127.0.0.1", 4001))
"""


@pytest.mark.parametrize("wire", ["tunnel", "loopback"])
def test_whoever_reaches_out_is_answered_and_written_down(wire: str, kernel_seals: None, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM, wire, str(tmp_path), _TRIES]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "no ground: " in ran.stderr:
        pytest.skip(f"no ground for the proof here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    seen = {(each["protocol"], each["address"], each["port"]): each for each in found["attempts"]}
    dns = next(each for each in found["attempts"] if each["protocol"] == "dns")
    assert (dns["name"], dns["process"]) == ("a.name.example", "caller")
    tls = next(each for each in found["attempts"] if each["port"] == 443)
    assert (tls["name"], tls["process"], tls["protocol"]) == ("said.example", "caller", "tcp")
    for port in (1, 8_443, 65_535):
        assert seen["tcp", "203.0.113.5", port]["process"] == "caller"
        assert f"{port} \n" in found["said"], "the connection was not accepted"
    assert ("udp", "203.0.113.6", 4_000) in seen
    assert ("ip 132", "203.0.113.8", 0) in seen
    if found["ipv6"]:
        assert seen["tcp", "2001:db8::7", 99]["process"] == "caller"
    assert not any(each["address"].startswith("127.") for each in found["attempts"])
    assert found["unreadable"] == 0


_NAMED = '[[destination]]\nname = "siem"\nhost = "198.18.0.9"\nport = 443\npurpose = "log"\n'
_NOBODY = """
import sys
from pathlib import Path
from appliance.egress.destinations import load_destinations
from appliance.egress.proof import ground
from appliance.egress.seal.confinement import kept_paths
ground.CODE = Path(sys.argv[1])
file = ground.CODE / "policies" / "destinations.toml"
print(list(load_destinations(file)), flush=True)
try:
    ground.enter_ground([*kept_paths(ground.CODE), ground.CODE])
except OSError as error:
    sys.exit("no ground: " + str(error))
ground.name_nobody()
print(list(load_destinations(file)))
"""


def test_a_collector_that_is_named_is_not_called_from_the_ground_of_the_proof(kernel_seals: None, tmp_path: Path) -> None:
    """It would be called as it should, and stand among the attempts of those who should not."""
    (tmp_path / "policies").mkdir()
    file = tmp_path / "policies" / "destinations.toml"
    file.write_text(_NAMED)
    command = [sys.executable, "-c", _NOBODY, str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if "no ground: " in ran.stderr:
        pytest.skip(f"no ground for the proof here: {ran.stderr.strip()}")
    assert ran.stdout.splitlines() == ["['siem']", "[]"], ran.stderr
    assert file.read_text() == _NAMED


@pytest.fixture(scope="module")
def proven(models_dir: Path, kernel_seals: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """One short proof, by the command: its exit code, and where its report lies."""
    directory = tmp_path_factory.mktemp("proof")
    (directory / "data").mkdir(mode=0o700)
    (directory / "data" / "models").symlink_to(models_dir)
    open_appliance(Settings(data_dir=directory / "data"), create=True).close()
    ollama = directory / "bin" / "ollama"
    ollama.parent.mkdir()
    ollama.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
    ollama.chmod(0o755)
    (directory / "data" / "settings.toml").write_text(f'ollama_program = "{ollama}"\n')
    program = "import sys; from appliance.cli import main; sys.exit(main())"
    out = directory / "out"
    # what a shell may have set must not make the libraries quiet
    environment = {**os.environ, "CI": "true", "ORT_DISABLE_TELEMETRY": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", program, "egress", "prove", "--short", "--data", str(directory / "data"), "--out", str(out)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if "The proof needs namespaces of its own, and this kernel refuses" in ran.stderr:
        pytest.skip(ran.stderr.strip())
    (out / "said").write_text(ran.stdout + ran.stderr)
    yield ran.returncode, directory
    shutil.rmtree(directory, ignore_errors=True)


pytestmark = pytest.mark.timeout(600)


@pytest.mark.models
def test_a_short_day_of_the_whole_box_and_nobody_called(proven: tuple[int, Path]) -> None:
    code, out = proven[0], proven[1] / "out"
    assert code == 0, (out / "said").read_text()
    legs = json.loads((out / "report.json").read_bytes())["report"]["legs"]
    assert {(leg["sealed"], leg["opt_outs"]) for leg in legs} == {(True, False), (False, True)}
    for leg in legs:
        assert leg["attempts"] == []
        steps = {step["name"]: step["detail"] for step in leg["steps"]}
        assert {"start", "set-up", "files", "questions", "crash", "export", "backup", "shutdown"} <= set(steps)
        assert "ollama: " in steps["questions"]
        assert "read back whole" in steps["backup"]
    # in the sealed day the libraries were truly free: the one that reports has prepared to
    sealed = next(leg for leg in legs if leg["sealed"])
    assert any("deviceid" in name for name in sealed["left_behind"])
    quiet = next(leg for leg in legs if not leg["sealed"])
    assert quiet["left_behind"] == []
    assert {layer["name"] for report in quiet["status"]["processes"] for layer in report["layers"] if layer["held"]} <= {
        "core",
        "privileges",
    }


@pytest.mark.models
def test_its_report_is_signed_and_a_forged_one_is_refused(proven: tuple[int, Path], capsys) -> None:
    out = proven[1] / "out"
    assert {file.name for file in out.iterdir()} >= {"report.json", "report.md", PROCEDURE.name}
    own = ["egress", "verify-report", str(out / "report.json"), "--data", str(proven[1] / "data"), "--json"]
    assert main(own) == 0
    assert json.loads(capsys.readouterr().out)["of_this_box"]
    data = str(out / "nobody")
    assert main(["egress", "verify-report", str(out / "report.json"), "--data", data, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["intact"], found["held"], found["of_this_box"]) == (True, True, False)
    other = ["egress", "verify-report", str(out / "report.json"), "--data", data, "--key", "0" * 64]
    assert main(other) == 1
    forged = out / "forged.json"
    forged.write_bytes((out / "report.json").read_bytes().replace(b'"unsealed, with', b'"unsealed, With', 1))
    assert main(["egress", "verify-report", str(forged), "--data", data]) == 1


@pytest.mark.models
def test_the_box_whose_key_signed_has_it_on_record(proven: tuple[int, Path]) -> None:
    appliance = open_appliance(Settings(data_dir=proven[1] / "data"))
    try:
        with appliance.database.read() as connection:
            query = select(audit_events.c.body, audit_events.c.outcome).where(audit_events.c.event == "egress.proven")
            ((body, outcome),) = connection.execute(query)
    finally:
        appliance.close()
    facts = json.loads(body)["facts"]
    report = (proven[1] / "out" / "report.json").read_bytes()
    assert (outcome, facts["days"], facts["attempts"]) == ("success", 2, 0)
    assert facts["report_sha256"] == hashlib.sha256(report).hexdigest()
