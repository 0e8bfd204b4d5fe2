"""The models inside an Ollama: what is listed, made and pulled, and what never is; against a server that speaks its wire format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.egress.windows import MaintenanceWindow
from appliance.errors import ApplianceError, Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.modelfile import Modelfile, parse_modelfile
from appliance.inference.ollama.client import LocalClient
from appliance.inference.ollama.models import (
    Progress,
    create_model,
    delete_model,
    describe_model,
    list_models,
    pull_model,
)
from appliance.inference.ollama_program import find_ollama, serving
from tests.scripted_server import Answer, Asked, ScriptedServer

NOW = datetime.now(UTC)
OPEN = (MaintenanceWindow(NOW - timedelta(hours=1), NOW + timedelta(hours=1)),)
OVER = (MaintenanceWindow(NOW - timedelta(hours=2), NOW - timedelta(hours=1)),)
WEIGHTS = "/models/blobs/sha256-" + "a" * 64
DETAILS = {"parameter_size": "596.05M", "quantization_level": "Q4_K_M"}


class Ollama:
    """A server with two models of its own and two of the cloud; `last` is how making and pulling end."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {"status": "success"}
        self.remote: dict[str, str] = {}

    def __call__(self, asked: Asked, answer: Answer) -> None:
        match (asked.method, asked.path):
            case ("GET", "/api/tags"):
                own = [
                    {"model": name, "digest": "d1", "size": 500, "details": DETAILS} for name in ("qwen3:0.6b", "gemma3:latest")
                ]
                far = [
                    {"model": "gpt-oss:120b-cloud", "digest": "d2", "size": 380},
                    {"model": "mine:latest", "digest": "d3", "size": 380, "remote_host": "https://ollama.com:443"},
                ]
                answer.json({"models": own + far})
            case ("POST", "/api/show") if asked.body["model"] == "absent":
                answer.json({"error": "model 'absent' not found"}, 404)
            case ("POST", "/api/show"):
                info = {"general.architecture": "qwen3", "qwen3.context_length": 40960}
                shown = {
                    "modelfile": f"# made by ollama\nFROM {WEIGHTS}\nRENDERER qwen3",
                    "template": "T",
                    "license": "Apache-2.0",
                }
                answer.json({"model_info": info, "capabilities": ["completion"], **shown, **self.remote})
            case ("DELETE", "/api/delete") if asked.body["model"] == "absent":
                answer.json({"error": "model 'absent' not found"}, 404)
            case ("POST", path) if path.startswith("/api/blobs/sha256:"):
                answer.json({}, 201)
            case ("POST", "/api/create" | "/api/pull"):
                answer.begin()
                answer.line({"status": "pulling", "digest": "sha256:1", "total": 10, "completed": 4})
                answer.line(self.last)
                answer.end()
            case _:
                answer.json({})


@pytest.fixture
def ollama() -> Ollama:
    return Ollama()


@pytest.fixture
def server(ollama: Ollama) -> Iterator[ScriptedServer]:
    with ScriptedServer(ollama).running() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[LocalClient]:
    opened = LocalClient(server.address, silence_s=5)
    yield opened
    opened.close()


def code_of(act: Callable[[], Any], kind: type[ApplianceError] = Unavailable) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


@pytest.mark.parametrize("windows", [(), OVER])
def test_nothing_is_pulled_outside_a_window(client, server, windows):
    assert code_of(lambda: list(pull_model(client, "qwen3", windows)), Denied) == "inference.no_maintenance"
    assert server.asked == []


def test_a_model_of_the_cloud_is_not_pulled_even_in_a_window(client, server, ollama):
    assert code_of(lambda: list(pull_model(client, "gpt-oss:cloud", OPEN)), Denied) == "inference.remote_model"
    assert server.asked == []
    ollama.remote = {"remote_host": "https://ollama.com:443"}
    assert code_of(lambda: list(pull_model(client, "harmless", OPEN)), Denied) == "inference.remote_model"


@pytest.mark.parametrize("last", [{"status": "verifying"}, {"error": "pull model manifest: connection refused"}])
def test_a_pull_that_ends_early_is_no_success(client, ollama, last):
    ollama.last = last
    assert code_of(lambda: list(pull_model(client, "qwen3", OPEN))) == "inference.died"


def test_a_pull_tells_how_far_it_is(client, server):
    assert list(pull_model(client, "qwen3", OPEN)) == [Progress("pulling", 4, 10), Progress("success")]
    assert server.asked[0].body == {"model": "qwen3", "stream": True, "insecure": False}


def test_models_that_compute_elsewhere_are_not_listed(client):
    listed = list_models(client)
    assert [(model.name, model.size_bytes, model.quantisation, model.parameters) for model in listed] == [
        ("gemma3:latest", 500, "Q4_K_M", "596.05M"),
        ("qwen3:0.6b", 500, "Q4_K_M", "596.05M"),
    ]


def test_a_model_is_described(client, ollama):
    details = describe_model(client, "qwen3")
    assert (details.context_tokens, details.template, details.licence, details.weights) == (
        40960,
        "T",
        "Apache-2.0",
        Path(WEIGHTS),
    )
    ollama.remote = {"remote_model": "x"}
    assert code_of(lambda: describe_model(client, "qwen3"), Denied) == "inference.remote_model"


def test_a_model_that_is_not_there_is_said_so(client):
    assert code_of(lambda: describe_model(client, "absent")) == "inference.no_model"
    assert code_of(lambda: delete_model(client, "absent")) == "inference.no_model"
    assert code_of(lambda: delete_model(client, "../x"), InvalidInput) == "inference.model_name"


def test_a_model_is_deleted(client, server):
    delete_model(client, "qwen3:0.6b")
    assert (server.asked[-1].method, server.asked[-1].body) == ("DELETE", {"model": "qwen3:0.6b"})


@pytest.mark.parametrize("source", ["../weights.gguf", "/etc/passwd", "./absent.gguf", "./link.gguf"])
def test_weights_outside_the_folder_are_not_handed_over(client, server, tmp_path, source):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    (folder / "link.gguf").symlink_to(tmp_path / "weights.gguf")
    assert code_of(lambda: list(create_model(client, "mine", Modelfile(source), folder)), InvalidInput) == "modelfile.no_file"
    assert code_of(lambda: list(create_model(client, "mine", Modelfile(source))), InvalidInput) == "modelfile.no_file"
    assert server.asked == []


def test_a_pickle_is_not_handed_over(client, server, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04\x95" + bytes(20))
    assert (
        code_of(lambda: list(create_model(client, "mine", Modelfile("./weights.bin"), tmp_path)), InvalidInput) == "model.pickle"
    )
    assert server.asked == []


def test_a_model_is_not_made_of_one_that_computes_elsewhere(client, server, ollama):
    ollama.remote = {"remote_host": "https://ollama.com:443"}
    assert code_of(lambda: list(create_model(client, "mine", Modelfile("harmless"))), Denied) == "inference.remote_model"
    assert "/api/create" not in server.paths()


@pytest.mark.parametrize("source", ["./weights.gguf", "weights.gguf"])
def test_a_model_is_made_from_a_modelfile(client, server, tmp_path, source):
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    (tmp_path / "lora.gguf").write_bytes(b"LoRA")
    modelfile = parse_modelfile(
        f"FROM {source}\nADAPTER ./lora.gguf\nPARAMETER temperature 0.1\nPARAMETER stop a\nPARAMETER stop b\n"
        "TEMPLATE {{ .Prompt }}\nSYSTEM Be brief.\nMESSAGE user Hello\nLICENSE Apache-2.0\n"
    )
    assert list(create_model(client, "mine", modelfile, tmp_path))[-1] == Progress("success")
    digests = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in (("w", b"GGUF"), ("l", b"LoRA"))}
    assert [path for path in server.paths() if "blobs" in path] == [f"/api/blobs/{digest}" for digest in digests.values()]
    body = next(asked.body for asked in server.asked if asked.path == "/api/create")
    assert body == {
        "model": "mine",
        "stream": True,
        "files": {"weights.gguf": digests["w"]},
        "adapters": {"lora.gguf": digests["l"]},
        "template": "{{ .Prompt }}",
        "system": "Be brief.",
        "license": ["Apache-2.0"],
        "parameters": {"temperature": 0.1, "stop": ["a", "b"]},
        "messages": [{"role": "user", "content": "Hello"}],
    }


def test_a_model_is_made_of_another(client, server):
    list(create_model(client, "mine", Modelfile("qwen3:0.6b", system="Be brief.")))
    body = next(asked.body for asked in server.asked if asked.path == "/api/create")
    assert body == {"model": "mine", "stream": True, "from": "qwen3:0.6b", "system": "Be brief."}


# starting a server of our own


def test_a_server_of_ours_has_no_cloud_and_listens_here_only(tmp_path):
    started = serving(Path("/usr/bin/ollama"), tmp_path, 11435, context_tokens=4096, answers_at_once=4)
    assert started.command == ("/usr/bin/ollama", "serve")
    assert started.environment["OLLAMA_NO_CLOUD"] == "1"
    assert started.environment["OLLAMA_HOST"] == "127.0.0.1:11435"
    assert started.environment["OLLAMA_MODELS"] == started.environment["HOME"] == str(tmp_path)
    assert not [name for name in started.environment if "proxy" in name.lower()]


def test_a_program_is_looked_for_in_the_usual_places_only(tmp_path, monkeypatch):
    program = tmp_path / "ollama"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ollama() != program
    assert find_ollama(str(tmp_path)) == program
