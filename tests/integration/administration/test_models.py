"""Models as administrators manage them: what is refused on import and why, states, rollback, the audit of it all."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from appliance.administration import model_importing
from appliance.administration.model_importing import ModelImporting
from appliance.administration.models import ModelAdministration
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, Conflict, Denied, InvalidInput, NotFound, SetupError, Unavailable
from appliance.inference.store import importing
from appliance.inference.store.importing import Order
from appliance.inference.store.signatures import signed_text
from appliance.inference.store.versions import VersionState
from appliance.storage.tables import audit_events
from tests.unit.inference.gguf_samples import METADATA, gguf, write


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that comes in is tried in a process of its own: see test_crashing_models.py."""
    monkeypatch.setattr(importing, "_refuse_crashing", lambda _: None)


@pytest.fixture
def models(appliance: Appliance) -> ModelAdministration:
    return appliance.model_administration


@pytest.fixture
def imports(appliance: Appliance) -> ModelImporting:
    return appliance.model_importing


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "stick"
    directory.mkdir()
    return directory


def model_file(directory: Path, name: str = "tiny.gguf", **more: object) -> Path:
    return write(directory / name, gguf(METADATA | more))


def take_in(imports, administrator, path: Path, **order: object):
    return imports.take_in(administrator, path, Order(**order))


def last_event(appliance: Appliance) -> tuple[str, str, dict]:
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).order_by(audit_events.c.seq.desc()).limit(1)).one()
    return row.event, row.outcome, json.loads(row.body).get("facts", {})


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def _pickled(directory: Path, protocol: int) -> Path:
    return write(directory / "weights.gguf", pickle.dumps(Evil(), protocol=protocol))


def _torch_archive(directory: Path) -> Path:
    with zipfile.ZipFile(directory / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return directory / "pytorch_model.bin"


def _several(directory: Path) -> Path:
    model_file(directory, "a.gguf")
    model_file(directory, "b.gguf")
    return directory


def _bomb(directory: Path) -> Path:
    """A package whose list says less than what unfolds."""
    path = directory / "bomb.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/model.gguf", gguf())
    raw = bytearray(path.read_bytes())
    listed = raw.index(b"PK\x01\x02")
    raw[listed + 24 : listed + 28] = (100).to_bytes(4, "little")
    path.write_bytes(raw)
    return path


def _genai(directory: Path, config: object, name: str = "folder") -> Path:
    folder = directory / name
    folder.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_text("{}")
    (folder / "genai_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


REFUSALS = [
    ("nothing there", lambda d: d / "missing.gguf", "model.no_source"),
    ("an empty stick", lambda d: d, "model.empty_source"),
    ("a text file", lambda d: write(d / "model.gguf", b"Dear all,\n"), "model.unknown_content"),
    ("an empty file", lambda d: write(d / "model.gguf", b""), "model.unknown_content"),
    ("random bytes", lambda d: write(d / "model.gguf", hashlib.sha512(b"x").digest() * 4), "model.unknown_content"),
    ("a pickle", lambda d: _pickled(d, 4), "model.pickle"),
    ("an old pickle", lambda d: _pickled(d, 2), "model.pickle"),
    ("a text pickle", lambda d: _pickled(d, 0), "model.pickle"),
    ("a torch archive", _torch_archive, "model.unknown_content"),
    ("safetensors", lambda d: write(d / "m.safetensors", (2).to_bytes(8, "little") + b"{}"), "model.unknown_content"),
    ("a cut file", lambda d: write(d / "m.gguf", gguf()[:-100]), "model.gguf_truncated"),
    ("a cut header", lambda d: write(d / "m.gguf", gguf()[:50]), "model.gguf_truncated"),
    ("an adapter", lambda d: model_file(d, **{"general.type": "adapter"}), "model.adapter"),
    ("several models", _several, "model.several"),
    ("a damaged package", lambda d: write(d / "p.whl", b"PK\x03\x04" + bytes(40)), "model.package_damaged"),
    ("a package that unfolds", _bomb, "model.package_damaged"),
    ("a folder that is no model", lambda d: [(d / "f").mkdir(), (d / "f" / "x.onnx").write_bytes(b"x")] and d / "f", "model.empty_source"),
    ("a folder with broken JSON", lambda d: _genai(d, '{"model":'), "model.json"),
    ("a folder without decoder", lambda d: _genai(d, {"model": {}}), "model.genai_config"),
    ("a graph that is not there", lambda d: _genai(d, {"model": {"decoder": {"filename": "model.onnx"}}}), "model.genai_config"),
    ("a graph elsewhere", lambda d: _genai(d, {"model": {"decoder": {"filename": "../../model.onnx"}}}), "model.genai_config"),
    ("a library", lambda d: _genai(d, {"model": {"decoder": {"session_options": {"custom_ops_library": "x"}}}}), "model.genai_code"),
    ("a library as value", lambda d: _genai(d, {"model": {"x": ["/tmp/evil.so"]}}), "model.genai_code"),
]  # fmt: skip


def test_a_bad_source_is_refused_with_a_sentence_and_an_audit_event(appliance, models, imports, administrator, source, capsys):
    for number, (title, make, code) in enumerate(REFUSALS):
        directory = source / str(number)
        directory.mkdir()
        with pytest.raises(ApplianceError) as refusal:
            take_in(imports, administrator, make(directory))
        assert refusal.value.stable_code == code, title
        assert refusal.value.sentence.endswith("."), title
        assert last_event(appliance) == ("model.imported", "failure", {"reason": code}), title
        assert not [path for path in appliance.settings.models_dir.rglob("*") if path.is_file()], f"{title} left something"
    assert "never" not in capsys.readouterr().out
    assert models.list(administrator) == []


ORDERS = [
    ({"sha256": "0" * 64}, "model.digest"),
    ({"sha256": "abc"}, "model.digest_malformed"),
    ({"name": "///"}, "model.name"),
    ({"name": "x" * 200}, "model.name"),
]


def test_an_impossible_order_is_refused(imports, administrator, source):
    for order, code in ORDERS:
        with pytest.raises(InvalidInput) as refusal:
            take_in(imports, administrator, model_file(source), **order)
        assert refusal.value.stable_code == code


def test_a_model_larger_than_the_memory_is_refused_with_the_numbers(imports, administrator, source, monkeypatch):
    monkeypatch.setattr(model_importing, "box_mb", lambda: 10)
    with pytest.raises(InvalidInput) as refusal:
        take_in(imports, administrator, model_file(source))
    assert refusal.value.stable_code == "model.too_large"
    assert refusal.value.data["available_mb"] == 10
    assert refusal.value.data["needed_mb"] > 10
    assert "10 MB" in refusal.value.sentence


def test_what_is_too_large_by_its_size_alone_is_not_even_copied(imports, administrator, source, monkeypatch):
    path = model_file(source)
    with path.open("r+b") as file:
        file.truncate(50_000_000)
    monkeypatch.setattr(model_importing, "box_mb", lambda: 40)
    monkeypatch.setattr("appliance.inference.store.incoming.shutil.copyfile", lambda *_: pytest.fail("copied"))
    with pytest.raises(InvalidInput, match="50 MB"):
        take_in(imports, administrator, path)


def test_nobody_but_administrators_does_anything_to_models(appliance, models, imports, administrator, alice, officer, source):
    version = take_in(imports, administrator, model_file(source))
    acts = {
        "list": lambda who: models.list(who),
        "import": lambda who: take_in(imports, who, source / "tiny.gguf", name="other"),
        "activate": lambda who: models.activate(who, version.id),
        "rollback": lambda who: models.rollback(who, version.name),
        "canary": lambda who: models.canary(who, version.id, percent=5),
        "retire": lambda who: models.retire(who, version.id),
        "delete": lambda who: models.delete(who, version.id),
    }
    for name, act in acts.items():
        for who in (alice, officer):
            with pytest.raises(Denied):
                act(who)
            assert last_event(appliance)[0] == "access.denied", name
    assert [item.state for item in models.list(administrator)] == [VersionState.CANDIDATE]


def test_an_import_is_a_candidate_with_its_facts_under_its_digest(appliance, imports, administrator, source):
    path = model_file(source)
    version = take_in(imports, administrator, path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert (version.id, version.state, version.licence) == ("tiny@1", VersionState.CANDIDATE, "Apache-2.0")
    assert version.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (appliance.settings.models_dir / version.file).read_bytes() == path.read_bytes()
    assert last_event(appliance)[:2] == ("model.imported", "success")
    opened = appliance.models.open_version(version.id)
    assert opened.path.read_bytes() == path.read_bytes()


def test_the_same_model_twice_is_said_to_be_there(imports, administrator, source):
    take_in(imports, administrator, model_file(source))
    with pytest.raises(Conflict, match="tiny@1"):
        take_in(imports, administrator, source / "tiny.gguf")


def test_a_stick_offers_its_models_by_name(imports, administrator, source):
    _several(source)
    (source / "deep" / "er").mkdir(parents=True)
    model_file(source / "deep" / "er", "c.Q4_K_M.gguf", **{"llama.context_length": 99})
    (source / "link.gguf").symlink_to(source / "a.gguf")
    with pytest.raises(InvalidInput, match=r"a\.gguf, b\.gguf, deep/er/c\.Q4_K_M\.gguf"):
        take_in(imports, administrator, source)
    version = imports.take_in(administrator, source, Order(), wanted="deep/er/c.Q4_K_M.gguf")
    assert (version.name, version.context_tokens) == ("c", 99)
    with pytest.raises(InvalidInput) as refusal:
        imports.take_in(administrator, source, Order(), wanted="d.gguf")
    assert refusal.value.stable_code == "model.not_there"


def test_a_package_is_opened_and_never_imported(imports, administrator, source):
    path = source / "some_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("some_model/__init__.py", "raise SystemExit('imported')")
        archive.writestr("some_model/tiny.Q4_0.gguf", gguf())
    version = take_in(imports, administrator, path)
    assert version.id == "tiny@1"
    assert version.source == f"{path.name}: some_model/tiny.Q4_0.gguf"


def test_an_exchanged_file_is_not_opened(appliance, models, imports, administrator, source):
    version = take_in(imports, administrator, model_file(source))
    with (appliance.settings.models_dir / version.file).open("r+b") as file:
        file.seek(2_000)
        file.write(b"\x01")
    with pytest.raises(SetupError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "setup.model_digest"
    (appliance.settings.models_dir / version.file).unlink()
    with pytest.raises(SetupError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "setup.model_missing"
    with pytest.raises(Conflict) as conflict:
        models.activate(administrator, version.id)
    assert conflict.value.stable_code == "model.file_missing"


def test_an_encrypted_model_lies_nowhere_in_plain_and_opens_into_sealed_memory(appliance, imports, administrator, source):
    path = model_file(source)
    version = take_in(imports, administrator, path, encrypt=True)
    assert version.encrypted
    marker = b"general.architecture"
    stored = [file for file in appliance.settings.models_dir.rglob("*") if file.is_file()]
    assert stored and all(marker not in file.read_bytes() and version.sha256 not in str(file) for file in stored)
    opened = appliance.models.open_version(version.id)
    assert opened.path.read_bytes() == path.read_bytes()
    with pytest.raises(PermissionError), opened.path.open("r+b") as file:
        file.write(b"X")
        file.flush()
    opened.close()
    raw = bytearray(stored[0].read_bytes())
    raw[500] ^= 1
    stored[0].write_bytes(raw)
    with pytest.raises(ApplianceError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "blob.damaged"


def test_states_from_candidate_to_rollback(appliance, models, imports, administrator, source):
    first = take_in(imports, administrator, model_file(source))
    second = take_in(imports, administrator, model_file(source, **{"llama.context_length": 256}))
    assert second.id == "tiny@2"
    models.activate(administrator, first.id)
    with pytest.raises(Conflict) as conflict:
        models.rollback(administrator, "tiny")
    assert conflict.value.stable_code == "model.nothing_before"
    models.canary(administrator, second.id, percent=10)
    assert states(appliance) == {"tiny@1": "active", "tiny@2": "canary"}
    assert models.activate(administrator, second.id).canary_percent is None
    assert last_event(appliance) == ("model.activated", "success", {"replaced": "tiny@1"})
    assert states(appliance) == {"tiny@1": "retired", "tiny@2": "active"}
    assert models.rollback(administrator, "tiny").id == "tiny@1"
    assert last_event(appliance) == ("model.restored", "success", {"replaced": "tiny@2"})
    assert states(appliance) == {"tiny@1": "active", "tiny@2": "retired"}
    assert appliance.models.active("language").id == "tiny@1"


def states(appliance: Appliance) -> dict[str, str]:
    return {version.id: version.state.value for version in appliance.models.versions()}


def test_acts_that_make_no_sense_are_refused(appliance, models, imports, administrator, source):
    version = take_in(imports, administrator, model_file(source))
    models.activate(administrator, version.id)
    for act, code in (
        (lambda: models.activate(administrator, version.id), "model.active"),
        (lambda: models.canary(administrator, version.id, percent=5), "model.active"),
        (lambda: models.retire(administrator, version.id), "model.last_active"),
        (lambda: models.delete(administrator, version.id), "model.in_use"),
        (lambda: models.canary(administrator, version.id), "model.canary"),
        (lambda: models.canary(administrator, version.id, percent=100), "model.canary"),
        (lambda: models.canary(administrator, version.id, percent=5, group="everyone"), "model.canary"),
        (lambda: models.canary(administrator, version.id, group="nobody-knows"), "model.canary_group"),
        (lambda: models.activate(administrator, "tiny@99"), "model.unknown"),
        (lambda: models.retry(administrator, "tiny\udcff@1"), "model.unknown"),
    ):
        with pytest.raises(ApplianceError) as refusal:
            act()
        assert refusal.value.stable_code == code
    assert states(appliance) == {"tiny@1": "active"}
    with pytest.raises(NotFound):
        appliance.models.open_version("tiny@99")


def test_one_active_model_may_be_retired_while_another_one_answers(appliance, models, imports, administrator, source):
    first = take_in(imports, administrator, model_file(source), name="one")
    second = take_in(imports, administrator, model_file(source, **{"llama.context_length": 256}), name="two")
    for version in (first, second):
        models.activate(administrator, version.id)
    assert states(appliance) == {"one@1": "active", "two@1": "active"}
    assert appliance.models.active("language").id == "two@1"
    models.retire(administrator, first.id)
    assert states(appliance) == {"one@1": "retired", "two@1": "active"}


def test_a_file_goes_with_its_last_version_and_its_number_never_comes_back(appliance, models, imports, administrator, source):
    path = model_file(source)
    one, other = take_in(imports, administrator, path), take_in(imports, administrator, path, name="other")
    stored = appliance.settings.models_dir / one.file
    models.delete(administrator, one.id)
    assert stored.is_file()
    models.delete(administrator, other.id)
    assert not stored.exists()
    assert last_event(appliance)[0] == "model.deleted"
    assert take_in(imports, administrator, path).id == "tiny@2"


def test_a_modelfile_comes_along_and_is_refused_where_it_is_unknown(appliance, imports, administrator, source):
    path = model_file(source)
    modelfile = source / "Modelfile"
    modelfile.write_text("FROM ./tiny.gguf\nSYSTEM Answer briefly.\nPARAMETER temperature 0.2\n")
    version = take_in(imports, administrator, path, modelfile=modelfile)
    assert "Answer briefly." in version.prompt["modelfile"]
    modelfile.write_text("FROM x\nEXECUTE rm\n")
    with pytest.raises(InvalidInput) as refusal:
        take_in(imports, administrator, path, name="other", modelfile=modelfile)
    assert refusal.value.stable_code == "modelfile.instruction"
    assert last_event(appliance) == ("model.imported", "failure", {"reason": "modelfile.instruction"})


def test_a_signature_counts_while_its_key_is_trusted(appliance, imports, administrator, alice, source):
    path, key = model_file(source), Ed25519PrivateKey.generate()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    public = write(source / "key.pub", base64.b64encode(key.public_key().public_bytes_raw()))
    signature = write(source / "tiny.sig", base64.b64encode(key.sign(signed_text(digest))))

    def refused(code: str, file: Path = signature) -> None:
        with pytest.raises(InvalidInput) as refusal:
            take_in(imports, administrator, path, signature=file)
        assert refusal.value.stable_code == code
        assert last_event(appliance) == ("model.imported", "failure", {"reason": code})

    refused("model.signature_untrusted")
    with pytest.raises(Denied):
        appliance.model_signers.trust(alice, public, "somebody")
    signer = appliance.model_signers.trust(administrator, public, "Model desk")
    assert last_event(appliance) == ("signer.trusted", "success", {"fingerprint": signer.fingerprint})
    refused("model.signature", write(source / "short.sig", b"abc"))
    refused("model.signature_untrusted", write(source / "other.sig", key.sign(signed_text("0" * 64))))
    refused("model.signature_untrusted", write(source / "raw.sig", key.sign(digest.encode())))
    assert take_in(imports, administrator, path, signature=signature).signer == signer.fingerprint
    appliance.model_signers.distrust(administrator, signer.fingerprint[:12])
    assert last_event(appliance)[0] == "signer.distrusted"
    assert appliance.model_signers.list(administrator) == []
    refused("model.signature_untrusted")


def test_a_key_that_is_none_is_refused(appliance, administrator, source):
    for content in (b"", b"x" * 31, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(InvalidInput) as refusal:
            appliance.model_signers.trust(administrator, write(source / "key", content), "x")
        assert refusal.value.stable_code == "model.signer_key"
    with pytest.raises(NotFound):
        appliance.model_signers.distrust(administrator, "0" * 64)


def test_what_is_verified_is_told_for_each_version(appliance, imports, administrator, source):
    good = take_in(imports, administrator, model_file(source))
    bad = take_in(imports, administrator, model_file(source, **{"llama.context_length": 256}))
    (appliance.settings.models_dir / bad.file).write_bytes(b"something else")
    results = {result.version.id: result for result in appliance.model_measuring.verify(administrator)}
    assert results[good.id].problem is None
    assert results[bad.id].code == "setup.model_digest"
    assert last_event(appliance) == ("model.verified", "failure", {"versions": 2, "failed": 1})
    assert [result.version.id for result in appliance.model_measuring.verify(administrator, good.id)] == [good.id]
    assert last_event(appliance) == ("model.verified", "success", {"versions": 1, "failed": 0})


def test_what_needs_a_connection_is_refused_until_there_is_a_window(appliance, imports, administrator):
    with pytest.raises(Unavailable) as refusal:
        imports.pull(administrator, "qwen3-0.6b", Order())
    assert refusal.value.stable_code == "model.pull_closed"
    assert "Qwen/Qwen3-0.6B-GGUF" in refusal.value.sentence
    with pytest.raises(Unavailable) as refusal:
        imports.pull(administrator, "https://models.example/x.gguf", Order())
    assert refusal.value.stable_code == "model.pull_closed"
    with pytest.raises(NotFound):
        imports.pull(administrator, "no-such-model", Order())
    assert last_event(appliance) == ("model.imported", "failure", {"reason": "model.not_in_catalogue"})


def test_an_installed_package_is_pulled_by_its_name_in_the_catalogue(appliance, imports, administrator):
    version = imports.pull(administrator, "smollm2-135m-instruct", Order())
    assert (version.id, version.quantisation, version.licence) == ("smollm2-135m-instruct@1", "Q4_1", "Apache-2.0")


def test_a_local_ollama_s_own_files_are_taken_and_checked(imports, administrator, source, tmp_path):
    content = gguf()
    digest = hashlib.sha256(content).hexdigest()
    store = tmp_path / "ollama"
    manifest = store / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    manifest.parent.mkdir(parents=True)
    (store / "blobs").mkdir()
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": len(content)},
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "1" * 64, "size": 3},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    blob = write(store / "blobs" / f"sha256-{digest}", content)
    version = imports.pull(administrator, "ollama:tiny", Order(), ollama_dir=store)
    assert (version.id, version.source) == ("tiny@1", "Ollama: tiny:latest")
    blob.write_bytes(gguf(METADATA | {"llama.context_length": 99}))
    with pytest.raises(InvalidInput) as refusal:
        imports.pull(administrator, "ollama:tiny", Order(name="other"), ollama_dir=store)
    assert refusal.value.stable_code == "model.digest"
    for name, code in (("tiny:other", "model.no_source"), ("../../x", "model.name"), ("big-cloud", "model.cloud")):
        with pytest.raises(InvalidInput) as refusal:
            imports.pull(administrator, f"ollama:{name}", Order(), ollama_dir=store)
        assert refusal.value.stable_code == code
    manifest.write_text(
        json.dumps({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../etc"}]})
    )
    with pytest.raises(InvalidInput) as refusal:
        imports.pull(administrator, "ollama:tiny", Order(), ollama_dir=store)
    assert refusal.value.stable_code == "model.ollama"


def test_an_adapter_of_a_modelfile_is_stored_verified_and_goes_with_its_version(
    appliance, models, imports, administrator, source
):
    path = model_file(source)
    modelfile = source / "Modelfile"
    modelfile.write_text("FROM ./tiny.gguf\nADAPTER ./house.gguf\n")

    def refused() -> None:
        with pytest.raises(InvalidInput) as refusal:
            take_in(imports, administrator, path, modelfile=modelfile)
        assert refusal.value.stable_code == "model.adapter"

    refused()  # not there
    adapter = model_file(source, "house.gguf")
    refused()  # a whole model
    model_file(source, "house.gguf", **{"general.type": "adapter", "general.architecture": "bert"})
    refused()  # of another architecture
    model_file(source, "house.gguf", **{"general.type": "adapter"})
    with pytest.raises(InvalidInput):
        take_in(imports, administrator, path, modelfile=modelfile, encrypt=True)
    version = take_in(imports, administrator, path, modelfile=modelfile)
    opened = appliance.models.open_version(version.id)
    ((stored, scale),) = opened.adapters
    assert (stored.read_bytes(), scale) == (adapter.read_bytes(), 1.0)
    stored.write_bytes(b"something else")
    with pytest.raises(SetupError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "setup.model_digest"
    models.delete(administrator, version.id)
    assert not stored.exists()


def test_how_far_an_import_is_is_told_while_it_is_copied_and_while_it_is_read(imports, administrator, source):
    heard: list[tuple[int, int]] = []
    path = model_file(source)
    imports.take_in(administrator, path, Order(), watch=lambda done, total: heard.append((done, total)))
    assert heard == [(path.stat().st_size, path.stat().st_size)] * 2
