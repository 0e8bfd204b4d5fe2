"""Embedding models of others: what is refused at the door, and what a folder as it is published becomes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.administration.embedding import index_states
from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import ApplianceError
from appliance.inference.embedder import load_embedder, open_folder
from appliance.inference.models import Model
from appliance.inference.store.embedder_folder import pooling_of
from appliance.inference.store.embedding_form import CLS, MEAN, EmbeddingForm
from appliance.inference.store.importing import Order
from appliance.settings import Settings
from tests.embedder_samples import projected_embedder

TEXTS = ["The night porter locks the north gate at ten.", "Tomatoes want sun.", "Invoices are paid on Fridays."]


def tiny_graph(
    path: Path, *, inputs=("input_ids", "attention_mask"), output="last_hidden_state", scale=1.0, outside=False
) -> None:
    """A graph that looks tokens up in a table of 32,000 rows of 8 numbers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = (scale * np.random.default_rng(1).standard_normal((32_000, 8))).astype(np.float32)
    stored = numpy_helper.from_array(table, "table")
    if outside:
        onnx.external_data_helper.set_external_data(stored, "elsewhere.bin")
        stored.ClearField("raw_data")
    nodes = [helper.make_node("Gather", ["table", "input_ids"], [output])]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
    gives = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "length", 8])]
    body = helper.make_graph(nodes, "tiny", given, gives, [stored])
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNK]": 0, "gate": 1, "north": 2, "porter": 3, "The": 4}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(path))


def folder(directory: Path, *, pooling: dict | None = None, said: dict | None = None, **graph) -> Path:
    made = directory / "small-embedder"
    (made / "onnx").mkdir(parents=True)
    tiny_graph(made / "onnx" / "model.onnx", **graph)
    tokenizer(made / "tokenizer.json")
    (made / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 64} if said is None else said))
    if pooling is not None:
        (made / "1_Pooling").mkdir()
        (made / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return made


def linked(made: Path) -> Path:
    (made / "config.json").unlink()
    (made / "config.json").symlink_to("/etc/hostname")
    return made


def cut(made: Path) -> Path:
    whole = made / "onnx" / "model.onnx"
    whole.write_bytes(whole.read_bytes()[:-100])
    return made


def with_content(made: Path, name: str, content: bytes) -> Path:
    (made / name).write_bytes(content)
    return made


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a graph of something else": (lambda d: folder(d, inputs=("input_ids", "position_ids")), "model.not_embedder"),
    "one that gives no vectors": (lambda d: folder(d, output="logits"), "model.not_embedder"),
    "weights elsewhere": (lambda d: folder(d, outside=True), "model.embedder_folder"),
    "no length": (lambda d: folder(d, said={}), "model.no_context"),
    "an impossible length": (lambda d: folder(d, said={"max_position_embeddings": 7}), "model.no_context"),
    "prompts that are none": (
        lambda d: with_content(folder(d), "config_sentence_transformers.json", b'{"prompts": {"query": ["q"]}}'),
        "model.prompts",
    ),
    "a prompt as long as a text": (
        lambda d: with_content(folder(d), "config_sentence_transformers.json", b'{"prompts": {"passage": "%s"}}' % (b"p" * 999)),
        "model.prompts",
    ),
    "unknown pooling": (lambda d: folder(d, pooling={"pooling_mode_max_tokens": True}), "model.pooling"),
    "a damaged graph": (lambda d: cut(folder(d)), "model.onnx_damaged"),
    "a link": (lambda d: linked(folder(d)), "model.embedder_folder"),
    "a damaged tokenizer": (lambda d: with_content(folder(d), "tokenizer.json", b'{"model": 1}'), "model.not_embedder"),
    "a tokenizer that is none": (lambda d: with_content(folder(d), "tokenizer.json", b"\x00\x01"), "model.unknown_content"),
    "numbers that are none": (lambda d: folder(d, scale=float("nan")), "model.no_vectors"),
    "two graphs": (lambda d: with_content(folder(d), "onnx/second.onnx", b"\x08\x09\x12\x00"), "model.several"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_embed_is_refused_with_a_reason(appliance, administrator, tmp_path, case):
    make, code = REFUSED[case]
    with pytest.raises(ApplianceError) as refused:
        appliance.model_importing.take_in(administrator, make(tmp_path), Order())
    assert refused.value.stable_code == code
    assert appliance.models.versions() == []
    assert not list((appliance.settings.models_dir / "folders").glob("*"))


def test_a_folder_as_it_is_published_becomes_a_candidate_with_its_facts(appliance, administrator, tmp_path):
    source = folder(
        tmp_path, pooling={"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    )
    version = appliance.model_importing.take_in(administrator, source, Order(licence="mit"))
    assert (version.name, version.kind, version.format, version.quantisation) == ("small-embedder", "embedding", "onnx", "fp32")
    assert (version.context_tokens, version.architecture, version.licence) == (64, "bert", "MIT")
    assert version.measured["dimensions"] == 8
    assert {file.path for file in version.files} == {"model.onnx", "tokenizer.json", "config.json", "pooling.json"}
    assert version.form is not None and version.form.pooling == CLS
    embedder = load_embedder(appliance.models, threads=1, model_id=version.id)
    assert (embedder.sha256, embedder.dimensions, embedder.max_tokens) == (version.sha256, 8, 64)
    first, same, other = embedder.embed(["gate north porter", "gate porter north", "north gate"])
    assert first @ same == pytest.approx(1.0, abs=1e-5), "the first token stands for the text"
    assert first @ other < 0.99
    assert np.linalg.norm(other) == pytest.approx(1.0, abs=1e-5)


def test_what_a_folder_wants_before_its_texts_is_recorded_read_and_part_of_what_its_vectors_are_known_by(
    appliance, administrator, tmp_path
):
    source = folder(tmp_path)
    plain = appliance.model_importing.take_in(administrator, source, Order(name="plain"))
    told = {"prompts": {"query": "north ", "document": "porter north "}}
    with_content(source, "config_sentence_transformers.json", json.dumps(told).encode())
    version = appliance.model_importing.take_in(administrator, source, Order(name="told"))
    assert (plain.form, plain.vectors_sha256) == (None, plain.sha256)
    assert version.form == EmbeddingForm(MEAN, 8, "north ", "porter north ")
    assert version.vectors_sha256 not in {version.sha256, plain.sha256}
    one, other = (load_embedder(appliance.models, threads=1, model_id=item.id) for item in (plain, version))
    assert (other.sha256, other.max_tokens) == (version.vectors_sha256, one.max_tokens - 2)
    assert np.allclose(other.embed(["gate"]), one.embed(["porter north gate"]), atol=1e-6)
    assert np.allclose(other.embed_question("gate").vector, one.embed(["north gate"])[0], atol=1e-6)
    assert np.allclose(one.embed_question("gate").vector, one.embed(["gate"])[0], atol=1e-6)


def test_tokens_are_averaged_where_nothing_else_is_said_and_padding_does_not_count(tmp_path):
    made = folder(tmp_path)
    shutil.move(made / "onnx" / "model.onnx", made / "model.onnx")
    model = Model("m", "embedding", "", "d" * 64, 0, "ONNX", 64, "", active=False)
    assert pooling_of(made) == MEAN != CLS
    embedder = open_folder(model, made, 1)
    alone = embedder.embed(["gate"])[0]
    beside = embedder.embed(["gate", "north porter north porter"])[0]
    assert alone == pytest.approx(beside, abs=1e-6)
    assert embedder.embed_pieces(["gate"])[0].pieces.size == 0


@pytest.fixture
def box(own_models: None, appliance: Appliance) -> Appliance:
    return appliance


@pytest.mark.models
def test_models_prepared_after_the_box_was_opened_are_recorded_before_they_are_used(settings, models_dir, tmp_path):
    appliance = open_appliance(settings, create=True)
    try:
        assert [index.sha256 for index in index_states(appliance.database)] == [""]
        shutil.copytree(models_dir, settings.models_dir, copy_function=os.link, dirs_exist_ok=True)
        assert appliance.embedder.sha256 == index_states(appliance.database)[0].sha256 != ""
    finally:
        appliance.close()


@pytest.mark.models
def test_the_index_names_the_default_model_and_another_real_one_takes_over(box, models_dir, tmp_path):
    administrator = box.setup.complete(box.setup.make_link(), "administrator", "a long enough passphrase")
    (index,) = index_states(box.database)
    default = box.models.active("embedding")
    assert (index.model_id, index.sha256, index.dimensions, index.complete) == (default.id, default.sha256, 384, True)
    collection = next(item.id for item in box.collections.readable(administrator) if item.owner_id == administrator.id)
    for at, text in enumerate(TEXTS):
        with box.documents.begin_upload(administrator, collection, f"{at}.txt") as upload:
            upload.write(text.encode())
            document, _ = upload.commit()
        box.documents.ingest(document.id, "test")

    def first(question: str) -> str:
        return box.search.search(administrator, question, 3)[0].text

    assert first("When is the gate closed?") == TEXTS[0]
    other = box.model_importing.take_in(administrator, projected_embedder(models_dir, tmp_path / "other"), Order(name="other"))
    assert (other.measured["dimensions"], other.context_tokens) == (200, 128)
    box.model_administration.activate(administrator, other.id)
    box.reembedding.run()
    (index,) = index_states(box.database)
    assert (index.model_id, index.sha256, index.dimensions) == (other.id, other.sha256, 200)
    assert box.embedder.dimensions == 200
    assert first("When is the gate closed?") == TEXTS[0]


@pytest.mark.models
def test_a_default_model_prepared_anew_is_embedded_with_before_it_serves(box):
    """The preparation writes another file where its recipe changes; the box takes it up at the next start."""
    manifest = box.settings.models_dir / "manifest.json"
    said = json.loads(manifest.read_text())
    prepared = next(model for model in said["models"] if model["kind"] == "embedding")
    before = box.models.active("embedding")
    content = (box.settings.models_dir / prepared["file"]).read_bytes() + b"\x22\x01x"  # another name of its maker's domain
    draft = box.settings.models_dir / "draft"
    draft.write_bytes(content)
    import hashlib

    prepared["sha256"] = hashlib.sha256(content).hexdigest()
    prepared["size_bytes"] = len(content)
    prepared["file"] = box.models.content.settle_file(draft, prepared["sha256"]).relative_to(box.settings.models_dir).as_posix()
    manifest.unlink()  # a link: the others must keep theirs
    manifest.write_text(json.dumps(said))
    again = open_appliance(box.settings)
    try:
        assert again.models.active("embedding").id == before.id
        serving, building = index_states(again.database)
        assert (serving.sha256, building.sha256) == (before.sha256, prepared["sha256"])
        again.reembedding.run()
        assert again.models.active("embedding").sha256 == prepared["sha256"]
        assert [item.sha256 for item in index_states(again.database)] == [prepared["sha256"]]
    finally:
        again.close()
    third = open_appliance(box.settings)
    third.close()
