"""The default model as a folder: converted in the store, chosen, asked, and gone back from; what cannot be converted is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.onnx_folder.convert import main
from appliance.inference.selection.models import SelectionRequest
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import VersionState
from tests.unit.inference.gguf_samples import gguf, write

QUESTION = (PromptMessage("user", "What is the capital city of Japan?"),)


def test_what_has_no_such_form_is_refused_and_leaves_nothing(appliance: Appliance, administrator, alice, tmp_path: Path):
    version = appliance.model_importing.take_in(administrator, write(tmp_path / "tiny.gguf", gguf()), Order())
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_conversion.convert(administrator, version.id, print)
    assert refusal.value.stable_code == "model.not_convertible"
    sealed = appliance.model_importing.take_in(administrator, tmp_path / "tiny.gguf", Order(name="sealed", encrypt=True))
    with pytest.raises(InvalidInput, match="encrypted"):
        appliance.model_conversion.convert(administrator, sealed.id, print)
    with pytest.raises(Denied):
        appliance.model_conversion.convert(alice, version.id, print)
    assert len(appliance.models.versions()) == 2
    assert not list(appliance.settings.models_dir.glob("incoming-*"))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04" + bytes(100), gguf()[:200]])
def test_the_script_says_in_one_sentence_what_it_cannot_read(tmp_path: Path, capsys, content: bytes):
    (tmp_path / "odd.gguf").write_bytes(content)
    assert main(["--gguf", str(tmp_path / "odd.gguf"), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("cloister: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "out" / "genai_config.json").exists()


@pytest.mark.models
def test_without_a_chat_template_there_is_no_folder(models_dir: Path, tmp_path: Path, capsys):
    prepared = json.loads((models_dir / "manifest.json").read_text())["models"][0]
    (tmp_path / "mute.gguf").write_bytes(
        (models_dir / prepared["file"]).read_bytes().replace(b".chat_template", b".chat_templaxx")
    )
    assert main(["--gguf", str(tmp_path / "mute.gguf"), "--out", str(tmp_path / "out")]) == 1
    assert "no chat template" in capsys.readouterr().err


@pytest.mark.models
def test_a_converted_version_answers_and_can_be_gone_back_from(appliance: Appliance, administrator, models_dir: Path):
    prepared = json.loads((models_dir / "manifest.json").read_text())["models"][0]
    order = Order(name="smollm2", licence=prepared["licence"])
    before = appliance.model_importing.take_in(administrator, models_dir / prepared["file"], order)
    appliance.model_administration.activate(administrator, before.id)
    made = appliance.model_conversion.convert(administrator, before.id, lambda _: None)
    assert (made.format, made.made_from, made.state) == ("genai", before.id, VersionState.CANDIDATE)
    assert (made.name, made.licence, made.size_class) == (before.name, before.licence, before.size_class)
    with pytest.raises(Conflict):
        appliance.model_conversion.convert(administrator, before.id, lambda _: None)
    appliance.model_administration.activate(administrator, made.id)
    selection = appliance.router.select(SelectionRequest("internal"))
    assert selection.require().offer.runtime == "genai"
    assert {candidate.offer.runtime for candidate in selection.candidates if candidate.offer.model_id == made.id} == {
        "genai",
        "foundry",
    }
    with appliance.router.lend(selection) as runtime:
        answer = "".join(delta.text for delta in runtime.complete(CompletionRequest(QUESTION, 20)))
    assert "Tokyo" in answer
    assert appliance.model_administration.rollback(administrator, made.name).id == before.id
    assert appliance.router.select(SelectionRequest("internal")).require().offer.runtime == "llamacpp"
