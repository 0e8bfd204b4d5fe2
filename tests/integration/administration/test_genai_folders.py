"""Folders for ONNX Runtime GenAI: read, stored as a whole, verified as a whole; nothing in them leads outside or runs."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path


import pytest
from onnx import TensorProto, helper

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, following
from appliance.backup.gathering import ModelParts
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, InvalidInput, SetupError, Unavailable
from appliance.inference.registry import Availability, LoadRequest, runtime_specs
from appliance.inference.selection.offers import offers_of
from appliance.inference.store import importing
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion, StoredFile
from appliance.storage.digests import digest_of

CONFIG = {
    "model": {
        "type": "llama",
        "context_length": 2048,
        "vocab_size": 1000,
        "decoder": {
            "filename": "model.onnx",
            "head_size": 64,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "session_options": {},
        },
    }
}


def graph(location: str = "model.onnx.data") -> bytes:
    """One float table and one matrix of four bits, the matrix's bytes beside the graph."""
    table = helper.make_tensor("embed", TensorProto.FLOAT, [1000, 64], bytes(1000 * 64 * 4), raw=True)
    blocks = TensorProto(name="w_q4", data_type=TensorProto.UINT8, dims=[128, 2, 16], data_location=TensorProto.EXTERNAL)
    blocks.external_data.add(key="location", value=location)
    scales = helper.make_tensor("w_scales", TensorProto.FLOAT, [256], bytes(256 * 4), raw=True)
    node = helper.make_node(
        "MatMulNBits", ["x", "w_q4", "w_scales"], ["y"], domain="com.microsoft", K=64, N=128, bits=4, block_size=32
    )
    shape = helper.make_tensor_value_info
    body = helper.make_graph(
        [node], "g", [shape("x", TensorProto.FLOAT, [1, 64])], [shape("y", TensorProto.FLOAT, [1, 128])], [table, blocks, scales]
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Tiny-Instruct-int4"
    made.mkdir()
    (made / "genai_config.json").write_text(json.dumps(CONFIG))
    (made / "tokenizer.json").write_text("{}")
    (made / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (made / "model.onnx").write_bytes(graph())
    (made / "model.onnx.data").write_bytes(bytes(range(256)) * 16)
    (made / "LICENSE").write_text("\nMIT License\n\nPermission is hereby granted\n")
    return made


def test_a_folder_is_a_candidate_with_its_facts(appliance: Appliance, administrator, folder: Path):
    version = appliance.model_importing.take_in(administrator, folder, Order())
    assert (version.id, version.format, version.quantisation, version.licence) == (
        "tiny-instruct@1",
        "genai",
        "fp32",
        "MIT License",
    )
    assert version.parameters_m == round((1000 * 64 + 64 * 128) / 1e6, 1)
    assert version.context_tokens == 2048
    assert {file.path for file in version.files} == {path.name for path in folder.iterdir()}
    opened = appliance.models.open_version(version.id)
    assert {path.name: path.read_bytes() for path in opened.path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_language_model_without_its_configuration_is_told_so(appliance: Appliance, administrator, folder: Path):
    shape = helper.make_tensor_value_info
    given = [shape("input_ids", TensorProto.INT64, [1, 1]), shape("past_key_values.0.key", TensorProto.FLOAT, [1, 2])]
    node = helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)
    body = helper.make_graph([node], "g", given, [shape("logits", TensorProto.FLOAT, [1, 1])])
    (folder / "model.onnx").write_bytes(helper.make_model(body).SerializeToString())
    (folder / "genai_config.json").unlink()
    with pytest.raises(InvalidInput, match=r"has no genai_config\.json") as refusal:
        appliance.model_importing.take_in(administrator, folder, Order())
    assert refusal.value.stable_code == "model.genai_config"
    with appliance.database.read() as connection:
        record = following(connection, AuditFilter(event=EventName.MODEL_IMPORTED))[-1]
    assert (record.outcome, record.facts) == ("failure", {"reason": "model.genai_config"})


def test_each_file_of_a_folder_is_verified_and_no_other_may_appear(appliance: Appliance, administrator, folder: Path):
    version = appliance.model_importing.take_in(administrator, folder, Order())
    stored = appliance.models.open_version(version.id).path
    stray = stored / "custom.so"
    stray.write_bytes(b"\x7fELF")
    with pytest.raises(SetupError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "setup.model_digest"
    stray.unlink()
    (stored / "tokenizer_config.json").write_text("{}")
    with pytest.raises(SetupError) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "setup.model_digest"


def test_what_a_folder_may_not_hold_is_refused(appliance: Appliance, administrator, folder: Path, tmp_path: Path):
    def refused(code: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            appliance.model_importing.take_in(administrator, folder, Order(name="x"))
        assert refusal.value.stable_code == code
        assert appliance.models.versions() == []

    extra = folder / "extra"
    for content, code in (
        (b"\x7fELF\x02\x01\x01" + bytes(64), "model.unknown_content"),
        (b"\x80\x04\x95" + bytes(20), "model.pickle"),
        (b"PK\x03\x04" + bytes(40), "model.unknown_content"),
        (b"GGUF" + bytes(40), "model.unknown_content"),
    ):
        extra.write_bytes(content)
        refused(code)
    extra.unlink()
    extra.symlink_to("/etc/passwd")
    refused("model.genai_folder")
    extra.unlink()
    extra.mkdir()
    refused("model.genai_folder")
    extra.rmdir()
    for location in ("../../secret", "/etc/passwd", "missing.onnx.data"):
        (folder / "model.onnx").write_bytes(graph(location))
        refused("model.genai_folder")
    (folder / "model.onnx").write_bytes(graph()[:-200])
    refused("model.onnx_damaged")
    (folder / "model.onnx").write_bytes(graph())
    (folder / "tokenizer.json").unlink()
    refused("model.genai_config")


@pytest.mark.parametrize("key", ["head_size", "num_hidden_layers", "num_key_value_heads", "filename"])
def test_a_configuration_without_what_is_needed_is_refused(appliance: Appliance, administrator, folder: Path, key: str):
    decoder = {name: value for name, value in CONFIG["model"]["decoder"].items() if name != key}
    (folder / "genai_config.json").write_text(json.dumps({"model": CONFIG["model"] | {"decoder": decoder}}))
    with pytest.raises(InvalidInput, match=key):
        appliance.model_importing.take_in(administrator, folder, Order())


def test_a_folder_that_is_too_large_to_be_encrypted_is_refused(appliance: Appliance, administrator, folder: Path, monkeypatch):
    monkeypatch.setattr(importing, "MOST_BYTES", 1_000)
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_importing.take_in(administrator, folder, Order(encrypt=True))
    assert refusal.value.stable_code == "model.encryption_unsupported"
    assert list((appliance.settings.models_dir / "encrypted").glob("??/*")) == []


def sealed(appliance: Appliance, administrator, folder: Path, name: str = "tiny") -> ModelVersion:
    return appliance.model_importing.take_in(administrator, folder, Order(name=name, encrypt=True))


def stored_files(appliance: Appliance) -> list[Path]:
    return [path for path in appliance.settings.models_dir.rglob("*") if path.is_file()]


def test_an_encrypted_folder_lies_nowhere_in_plain_and_opens_in_memory_alone(
    appliance: Appliance, administrator, folder: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    version = sealed(appliance, administrator, folder)
    plain = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert (version.encrypted, len(version.files)) == (True, len(plain))
    for path in stored_files(appliance):
        content = path.read_bytes()
        assert not any(words in content for words in (b"genai", b"context_length", b"chat_template", b"MIT License", b"MatMul"))
        assert not any(file.sha256 in str(path) for file in version.files)
    opened = appliance.models.open_version(version.id)
    assert {path.name: path.read_bytes() for path in opened.path.iterdir()} == plain
    assert {str(path.readlink().parent) for path in opened.path.iterdir()} == {"/proc/self/fd"}
    with pytest.raises(PermissionError):
        (opened.path / "tokenizer.json").write_text("{}")
    left = opened.path / "tokenizer.json"
    opened.close()
    opened.close()
    assert not left.parent.exists()
    assert list(tmp_path.glob("cloister-sealed-*")) == []


def test_damage_to_what_is_encrypted_is_found_before_anything_is_loaded(
    appliance: Appliance, administrator, folder: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    version = sealed(appliance, administrator, folder)
    content = appliance.models.content
    graph, beside = (content.sealed_path(file.sha256) for file in version.files if file.path in {"model.onnx", "model.onnx.data"})

    def refused() -> str:
        with pytest.raises(ApplianceError) as refusal:
            appliance.models.open_version(version.id)
        assert list(tmp_path.glob("cloister-sealed-*")) == []
        return refusal.value.stable_code

    whole, other = graph.read_bytes(), beside.read_bytes()
    for damaged in (whole[:-1], whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], b""):
        graph.write_bytes(damaged)
        assert refused() == "blob.damaged"
    graph.write_bytes(other)  # sound, but another file of the same model
    assert refused() == "setup.model_digest"
    graph.unlink()
    assert refused() == "setup.model_missing"
    assert not content.holds(version)
    assert sealed(appliance, administrator, folder, "again").sha256 == version.sha256
    appliance.models.open_version(version.id).close()


def test_a_file_that_two_encrypted_models_have_in_common_goes_with_the_last(appliance: Appliance, administrator, folder: Path):
    first = sealed(appliance, administrator, folder, "first")
    (folder / "genai_config.json").write_text(json.dumps(CONFIG | {"search": {}}))
    second = sealed(appliance, administrator, folder, "second")
    assert {file.path for file in first.files if file not in second.files} == {"genai_config.json"}
    appliance.model_administration.delete(administrator, first.id)
    appliance.models.open_version(second.id).close()
    appliance.model_administration.delete(administrator, second.id)
    assert stored_files(appliance) == []


def test_what_a_killed_import_had_encrypted_goes_unless_it_was_recorded(
    appliance: Appliance, administrator, folder: Path, monkeypatch
):
    kept = sealed(appliance, administrator, folder, "kept")
    (folder / "genai_config.json").write_text(json.dumps(CONFIG | {"search": {}}))
    content, draft = appliance.models.content, appliance.settings.models_dir / "incoming-killed"
    shutil.copytree(folder, draft / "model")
    files = tuple(StoredFile(path.name, digest_of(path), path.stat().st_size) for path in sorted((draft / "model").iterdir()))
    content.encrypt(draft / "model", "", files)
    assert len(list((appliance.settings.models_dir / "encrypted").glob("??/*"))) == len(kept.files) + 1
    content.remove_abandoned()
    assert not draft.exists()
    assert len(list((appliance.settings.models_dir / "encrypted").glob("??/*"))) == len(kept.files)
    appliance.models.open_version(kept.id).close()


def test_a_backup_holds_every_file_of_an_encrypted_folder_once(appliance: Appliance, administrator, folder: Path):
    versions = tuple(sealed(appliance, administrator, folder, name) for name in ("first", "second"))
    with closing(ModelParts(appliance.models.content, versions)) as parts:
        names = {part.name for part, _ in parts.opened}
        assert len(parts.opened) == len(names) == len(versions[0].files)
    stored = (appliance.settings.models_dir / "encrypted").glob("??/*")
    assert names == {f"models/{path.relative_to(appliance.settings.models_dir).as_posix()}" for path in stored}


def test_without_a_place_for_links_an_encrypted_folder_is_not_opened(
    appliance: Appliance, administrator, folder: Path, tmp_path: Path, monkeypatch
):
    version = sealed(appliance, administrator, folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable) as refusal:
        appliance.models.open_version(version.id)
    assert refusal.value.stable_code == "model.no_scratch"


def test_a_runtime_that_reads_from_disks_is_not_offered_what_is_encrypted(appliance: Appliance, administrator, folder: Path):
    version = sealed(appliance, administrator, folder)
    usable = {name: replace(spec, probe=lambda: Availability(usable=True)) for name, spec in runtime_specs().items()}
    offers = {offer.runtime: offer.unusable for offer in offers_of([version], usable, 1_024)}
    assert offers["genai"] == ""
    assert "encrypted" in offers["foundry"]
    with appliance.models.open_version(version.id) as opened, pytest.raises(SetupError) as refusal:
        runtime_specs()["foundry"].load(LoadRequest(version.as_model(), opened.path, 512, 1))
    assert refusal.value.stable_code == "inference.encrypted"
