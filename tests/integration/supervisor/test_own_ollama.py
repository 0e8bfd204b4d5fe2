"""An Ollama that the box starts itself: inside the seal, with nothing of ours, and within reach of our processes alone.

The program is a stand-in that speaks the documented wire format; what it could do, it tries itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.bootstrap import open_appliance
from appliance.egress.seal.confinement import CODE, Confinement, fasten
from appliance.egress.seal.layers import OLLAMA, Name, Strength
from appliance.egress.seal.observation import contradictions
from appliance.egress.seal.reports import read_reports
from appliance.errors import SetupError
from appliance.inference.loading import Loader
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.ollama import OUTSIDE, ollama_at
from appliance.inference.pool import RuntimeKey
from appliance.inference.registry import runtime_spec
from appliance.inference.store.connecting import Told
from appliance.settings import Settings
from appliance.supervisor.ollama_server import bind_socket, main, ollama_answers, ollama_program

from .conftest import alive, until

STAND_IN = Path(__file__).with_name("ollama_program.py")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Where an administrator may have put it: bin/ollama of some directory."""
    place = tmp_path / "elsewhere" / "bin" / "ollama"
    place.parent.mkdir(parents=True)
    place.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
    place.chmod(0o755)
    return place


def ask(path: Path, what: str) -> Any:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        return client.get(what).json()


def write_settings(settings: Settings, **given: object) -> None:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in given.items()]
    (settings.data_dir / "settings.toml").write_text("".join(lines))


# the setting


def test_it_is_off_unless_asked_for(settings: Settings) -> None:
    assert ollama_program(settings) is None


def test_a_program_that_is_not_there_is_one_sentence_and_nothing_runs(box, tmp_path: Path) -> None:
    for place in (str(tmp_path / "none"), str(tmp_path), str(STAND_IN) + "x"):
        write_settings(box.settings, ollama_program=place)
        with pytest.raises(SetupError) as missing:
            ollama_program(Settings(box.settings.data_dir, ollama_program=place))
        assert missing.value.stable_code == "setup.ollama_missing"
    box.start(wait=False)
    said, words = box.process.communicate(timeout=20)
    assert box.process.returncode == 1
    assert words.strip() == (
        f"The setting ollama_program asks for an Ollama, and there is none at {STAND_IN}x: install it, or leave the setting empty."
    )
    assert "starting" not in said


def test_a_program_that_ends_at_once_is_told_with_its_own_words(box, program: Path) -> None:
    program.write_text("#!/bin/sh\necho no such library >&2\nexit 3\n")
    write_settings(box.settings, ollama_program=str(program))
    box.start(wait=False)
    _, words = box.process.communicate(timeout=30)
    assert box.process.returncode == 1
    assert "The process ollama did not start: Ollama ended by itself (exit code 3)." in words
    assert "no such library" in (box.settings.data_dir / "logs" / "ollama.log").read_text()


# inside the seal


@pytest.mark.usefixtures("kernel_seals")
def test_it_runs_behind_the_seal_with_nothing_of_ours_and_answers_our_processes(box, program: Path) -> None:
    write_settings(box.settings, ollama_program=str(program), require_seal=True)
    box.start()
    assert box.states()["ollama"]["ready"]
    tried = ask(box.settings.ollama_socket, "/tried")
    assert tried["arguments"] == ["serve"]
    environment = tried["environment"]
    assert environment["OLLAMA_NO_CLOUD"] == "1"
    assert environment["OLLAMA_HOST"].startswith("127.0.0.1:")
    assert environment["OLLAMA_MODELS"] == environment["HOME"] == str(box.settings.ollama_dir)
    assert not [name for name in environment if "PROXY" in name.upper() or name.startswith("CLOISTER") or "SECRET" in name]
    assert tried["network"] == os.strerror(101)  # ENETUNREACH
    assert tried["interfaces"] == ["lo"]
    assert (tried["key"], tried["database"], tried["elsewhere"]) == (os.strerror(13),) * 3
    assert tried["own"] == "done"
    assert tried["netlink"] == os.strerror(97)
    assert tried["queue"] == os.strerror(97)  # no UNIX sockets: the queue and the gate would answer any of our account
    report = next(each for each in read_reports(box.settings.run_dir) if each.process == OLLAMA)
    assert report.missing == []
    assert report.strength is Strength.NAMESPACE
    assert next(layer.detail for layer in report.layers if layer.name is Name.FAMILIES) == "UNIX and IP sockets only"
    assert contradictions(report) == []
    assert all(not each.missing for each in read_reports(box.settings.run_dir)), "and it takes nothing from the others"
    assert box.settings.ollama_socket.stat().st_mode & 0o777 == 0o600
    asking = (
        "import sys; from appliance.inference.ollama.client import LocalClient; "
        "print(LocalClient(f'unix:{sys.argv[1]}').version(5)); import socket; socket.socket(socket.AF_INET)"
    )
    worker = subprocess.run(  # with all that a process of ours has left
        [sys.executable, "-c", asking, str(box.settings.ollama_socket)],
        capture_output=True,
        text=True,
        check=False,
        cwd=CODE,
        preexec_fn=lambda: fasten(Confinement(box.settings.data_dir), None),
    )
    assert worker.stdout == "0.33.3\n", worker.stderr
    assert "Address family not supported" in worker.stderr
    port = int(environment["OLLAMA_HOST"].rpartition(":")[2])
    with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
        outside.connect(("127.0.0.1", port))  # its loopback is not that of the machine


def test_it_is_started_again_and_ends_with_the_box(box, program: Path) -> None:
    write_settings(box.settings, ollama_program=str(program))
    box.start()
    relay = box.states()["ollama"]["pid"]
    served = int(Path(f"/proc/{relay}/task/{relay}/children").read_text())
    os.kill(served, signal.SIGKILL)
    until(lambda: not alive(relay))
    until(lambda: box.states()["ollama"]["ready"] and box.states()["ollama"]["pid"] != relay)
    until(lambda: ollama_answers(box.settings.ollama_socket))  # on a busy machine not within its limit of a moment ago
    relay = box.states()["ollama"]["pid"]
    served = int(Path(f"/proc/{relay}/task/{relay}/children").read_text())
    assert box.end()[0] == 0
    assert not alive(served)
    assert not ollama_answers(box.settings.ollama_socket)


def test_a_model_of_it_is_connected_and_answers_as_all_others(box, program: Path) -> None:
    settings = Settings(box.settings.data_dir, ollama_program=str(program))
    write_settings(settings, ollama_program=str(program))
    box.start()
    appliance = open_appliance(settings, create=True)
    try:
        administrator = appliance.setup.complete(appliance.setup.make_link(), "administrator", "a long enough passphrase")
        version = appliance.model_importing.connect(administrator, "ollama:qwen3:0.6b", Told(), appliance.gate)
        offer = next(offer for offer in appliance.offers() if offer.model_id == version.id)
        assert (offer.runtime, offer.unusable) == ("ollama", "")
        loader = Loader(
            appliance.models,
            lambda: appliance.gate,
            context_tokens=512,
            threads=1,
            slots=1,
            spec_of=lambda name: runtime_spec(name, appliance.runtimes()),
        )
        runtime = loader(RuntimeKey("ollama", version.id))
        question = (PromptMessage("system", "Answer briefly."), PromptMessage("user", "How many days of leave?"))
        assert "".join(delta.text for delta in runtime.complete(CompletionRequest(question, 20))) == "Thirty days."
        runtime.close()
        box.end()
        offer = next(offer for offer in appliance.offers() if offer.model_id == version.id)
        assert offer.unusable == "The Ollama that this box starts does not answer."
    finally:
        appliance.close()


# from a sealed process


def test_one_that_runs_outside_is_out_of_reach_and_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(97, os.strerror(97))

    monkeypatch.setattr(socket, "create_connection", refused)
    found = ollama_at().probe()
    assert not found.usable
    assert found.reason == OUTSIDE


def test_a_socket_whose_path_is_too_long_and_a_program_that_cannot_run_are_sentences(
    settings: Settings, tmp_path: Path, capsys
) -> None:
    with pytest.raises(SetupError):
        bind_socket(tmp_path / ("x" * 100))
    program = tmp_path / "ollama"
    program.write_text("no program")
    program.chmod(0o755)
    words = ["--program", str(program), "--directory", str(settings.data_dir), "--context", "512", "--at-once", "1"]
    assert main(words) == 1
    assert capsys.readouterr().err.startswith("Ollama cannot be started: ")
