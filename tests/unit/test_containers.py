"""The files under docker/: read as their tools read them, as far as that goes without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from appliance.inference.telemetry import OPT_OUTS
from appliance.supervisor.names import QueueName

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
UNIT = ROOT / "docker" / "systemd" / "cloister.service"


def test_only_the_front_door_and_the_gate_have_a_network_and_neither_has_data_or_keys() -> None:
    connected = {name for name, service in COMPOSE["services"].items() if service.get("network_mode") != "none"}
    assert connected == {"door", "gate"}
    assert {name for name, service in COMPOSE["services"].items() if service["volumes"] == ["run:/data/run"]} == connected
    assert COMPOSE["services"]["gate"]["profiles"] == ["gate"]
    assert "networks" not in COMPOSE
    assert all("networks" not in service for service in COMPOSE["services"].values())


def test_only_the_front_door_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"door": ["127.0.0.1:8080:8080"]}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_process_may_gain_anything(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] != "0"
    assert "privileged" not in service
    assert set(service["volumes"]) <= {"data:/data", "run:/data/run"}


def test_every_process_of_the_box_has_its_container() -> None:
    commands = [" ".join(service["command"]) for service in COMPOSE["services"].values()]
    for queue in QueueName:
        assert f"python -m workers.main {queue.value} --data /data" in commands
    modules = {re.search(r"-m ([\w.]+)", command).group(1) for command in commands}
    for module in modules:
        path = ROOT / Path(*module.split(".")).with_suffix(".py")
        assert path.is_file(), module
        assert '__name__ == "__main__"' in path.read_text()


def test_the_image_is_built_without_amx_and_runs_without_root() -> None:
    options = dict(
        option.split("=") for option in re.search(r'LLAMA_OPTIONS="([^"]*)"', DOCKERFILE).group(1).replace("\\\n", "").split()
    )
    assert options["GGML_NATIVE"] == "OFF"
    assert options["GGML_AVX2"] == "ON"
    assert {value for name, value in options.items() if "AMX" in name} == {"OFF"}
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert "\nUSER cloister\n" in final
    assert final.index("USER cloister") < final.index("CMD")
    for name, value in OPT_OUTS.items():
        assert f"{name}={value}" in final


def test_what_the_image_copies_is_there_and_nothing_else_reaches_the_builder() -> None:
    ignored = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
def test_systemd_understands_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    # the program it names is not installed on this machine
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/cloister/.venv/bin/cloister", "/bin/true").replace("/opt/cloister", "/"))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    ours = [line for line in verified.stderr.splitlines() if "cloister.service" in line]
    assert not ours
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", copy], capture_output=True, text=True, check=False
    )
    if "Overall exposure" not in rated.stdout:
        pytest.skip("this systemd cannot rate a unit offline")
    assert float(re.search(r"Overall exposure level for [^:]+: ([\d.]+)", rated.stdout).group(1)) < 4
