"""Prepared models become versions: once, active where nothing else was chosen."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance, open_appliance
from appliance.inference.store.importing import Order
from appliance.settings import Settings
from appliance.storage.tables import audit_events
from tests.unit.inference.gguf_samples import METADATA, gguf, write


def prepare(directory: Path, content: bytes) -> str:
    """What `preparation` leaves, with a small file in the place of the language model."""
    digest = hashlib.sha256(content).hexdigest()
    file = f"files/{digest[:2]}/{digest}"
    (directory / file).parent.mkdir(parents=True, exist_ok=True)
    (directory / file).write_bytes(content)
    model = {
        "id": "tiny", "kind": "language", "file": file, "sha256": digest, "size_bytes": len(content), "format": "GGUF F32",
        "context_tokens": 512, "licence": "Apache-2.0", "active": True, "measured": {"decode_tokens_per_s": 9.0}, "source": "a package",
    }  # fmt: skip
    manifest = {"version": 1, "models": [model], "sources": {}, "tokenizer_sha256": "", "recipe": "", "trials": []}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return digest


@pytest.fixture
def reopened(settings: Settings):
    """Opens the box again and again, as starts do."""
    opened: list[Appliance] = []

    def again() -> Appliance:
        if opened:
            opened.pop().close()
        opened.append(open_appliance(settings, create=True))
        return opened[0]

    yield again
    for appliance in opened:
        appliance.close()


def told(appliance: Appliance) -> list[str]:
    with appliance.database.read() as connection:
        names = connection.execute(select(audit_events.c.event).order_by(audit_events.c.seq)).scalars()
        return [name for name in names if name.startswith("model.")]


def states(appliance: Appliance) -> dict[str, str]:
    return {version.id: version.state.value for version in appliance.models.versions()}


def test_a_prepared_model_is_recorded_once_and_active(settings, reopened):
    digest = prepare(settings.models_dir, gguf())
    appliance = reopened()
    assert states(appliance) == {"tiny@1": "active"}
    assert appliance.models.active("language").sha256 == digest
    assert appliance.models.versions()[0].measured == {"decode_tokens_per_s": 9.0}
    assert told(appliance) == ["model.imported", "model.activated"]
    assert told(reopened()) == ["model.imported", "model.activated"]


def test_one_prepared_anew_takes_the_place_of_the_one_before(settings, reopened):
    prepare(settings.models_dir, gguf())
    reopened()
    prepare(settings.models_dir, gguf(METADATA | {"llama.context_length": 99}))
    appliance = reopened()
    assert states(appliance) == {"tiny@1": "retired", "tiny@2": "active"}
    assert appliance.models.versions()[0].replaced == "tiny@1"


def test_what_an_administrator_chose_stays(settings, reopened, tmp_path):
    prepare(settings.models_dir, gguf())
    appliance = reopened()
    administrator = appliance.setup.complete(appliance.setup.make_link(), "administrator", "a long enough passphrase")
    path = write(tmp_path / "own.gguf", gguf(METADATA | {"llama.context_length": 77}))
    chosen = appliance.model_importing.take_in(administrator, path, Order(name="tiny"))
    appliance.model_administration.activate(administrator, chosen.id)
    prepare(settings.models_dir, gguf(METADATA | {"llama.context_length": 99}))
    assert states(reopened()) == {"tiny@1": "retired", "tiny@2": "active", "tiny@3": "candidate"}


def test_the_last_prepared_one_cannot_be_deleted_since_it_would_come_back(settings, reopened, tmp_path):
    from appliance.errors import Conflict

    prepare(settings.models_dir, gguf())
    appliance = reopened()
    administrator = appliance.setup.complete(appliance.setup.make_link(), "administrator", "a long enough passphrase")
    path = write(tmp_path / "own.gguf", gguf(METADATA | {"llama.context_length": 77}))
    chosen = appliance.model_importing.take_in(administrator, path, Order(name="tiny"))
    appliance.model_administration.activate(administrator, chosen.id)
    with pytest.raises(Conflict) as conflict:
        appliance.model_administration.delete(administrator, "tiny@1")
    assert conflict.value.stable_code == "model.prepared"


@pytest.mark.models
def test_the_default_models_are_adopted_with_their_facts(appliance_with_models: Appliance):
    language, embedding = appliance_with_models.models.versions()
    assert (language.name, language.kind, language.size_class.value, language.parameters_m) == (
        "smollm2-135m-instruct",
        "language",
        "micro",
        134.5,
    )
    assert language.measured["quality"] >= 0.5
    assert {trial["format"] for trial in language.trials} >= {"Q4_1", "Q8_0"}
    assert (embedding.name, embedding.kind, embedding.format) == ("all-minilm-l6-v2", "embedding", "onnx")
    assert appliance_with_models.models.verified_path(appliance_with_models.models.active("embedding")).is_file()


@pytest.mark.models
def test_an_encrypted_model_answers_from_sealed_memory(appliance_with_models: Appliance, administrator, tmp_path: Path):
    from appliance.inference.models import CompletionRequest, PromptMessage
    from appliance.inference.registry import LoadRequest, runtime_spec
    from appliance.inference.store import ModelStore
    from appliance.storage.blobs import BlobStore

    box = appliance_with_models
    store = ModelStore(tmp_path / "models", box.database, BlobStore(tmp_path / "sealed", b"k" * 32, b"n" * 32))
    box.model_importing._store = store  # not into the directory all tests share
    version = box.model_importing.take_in(
        administrator, box.models.verified_path(box.models.active("language")), Order(encrypt=True)
    )
    opened = store.open_version(version.id)
    assert str(opened.path).startswith("/proc/self/fd/")
    runtime = runtime_spec("llamacpp").load(LoadRequest(version.as_model(), opened.path, 512, 2))
    opened.close()
    try:
        request = CompletionRequest((PromptMessage("user", "Say hello."),), max_tokens=8)
        assert "".join(delta.text for delta in runtime.complete(request)).strip()
    finally:
        runtime.close()
        shutil.rmtree(tmp_path / "sealed")
