"""Folders that are encrypted at rest answer and embed from memory as they do from the disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from appliance.inference.embedder import load_embedder
from appliance.inference.genai.native import GenaiModel
from appliance.inference.genai.runtime import GenaiRuntime
from appliance.inference.models import CompletionRequest, Model, PromptMessage
from appliance.inference.store.importing import Order
from appliance.inference.store.sealed_folder import SealedFolder
from appliance.inference.store.sealed_memory import SealedMemory
from tests.integration.inference.test_embedder_folders import folder as embedder_folder

QUESTION = CompletionRequest((PromptMessage("user", "Name a colour."),), 8)


def in_memory(folder: Path) -> SealedFolder:
    return SealedFolder((path.name, SealedMemory([path.read_bytes()])) for path in folder.iterdir())


def test_an_embedding_model_embeds_from_memory(appliance, administrator, tmp_path):
    source, importing = embedder_folder(tmp_path), appliance.model_importing
    open_, sealed = (
        importing.take_in(administrator, source, Order(name=name, encrypt=name == "sealed")) for name in ("open", "sealed")
    )
    assert (sealed.encrypted, sealed.sha256) == (True, open_.sha256)
    texts = ["gate north porter", "north gate"]
    vectors = [load_embedder(appliance.models, threads=1, model_id=version.id).embed(texts) for version in (open_, sealed)]
    assert np.array_equal(*vectors)


@pytest.mark.models
def test_a_language_model_answers_from_memory(genai_model: Model, genai_folder: Path):
    def answer(folder: Path) -> str:
        runtime = GenaiRuntime(genai_model, folder, 512, 2)
        try:
            sealed.close()
            return "".join(delta.text for delta in runtime.complete(QUESTION))
        finally:
            runtime.close()

    sealed = in_memory(genai_folder)
    told = answer(sealed.path)
    assert told == answer(genai_folder) != ""


@pytest.mark.models
def test_weights_that_lie_beside_their_graph_are_joined_with_it_in_memory(genai_folder: Path, tmp_path: Path):
    import onnx

    beside = Path(shutil.copytree(genai_folder, tmp_path / "beside", ignore=shutil.ignore_patterns("*.onnx")))
    graph = json.loads((genai_folder / "genai_config.json").read_text())["model"]["decoder"]["filename"]
    onnx.save(
        onnx.load(genai_folder / graph),
        beside / graph,
        save_as_external_data=True,
        location="weights.onnx.data",
        size_threshold=256,
    )
    assert (beside / graph).stat().st_size < (beside / "weights.onnx.data").stat().st_size
    scores = []
    for folder in (genai_folder, beside):
        sealed = in_memory(folder)
        model = GenaiModel(sealed.path, context_tokens=64, threads=2, device="cpu")
        sealed.close()
        model.read([1, 2, 3])
        scores.append(model.scores().copy())
        model.close()
    assert np.array_equal(*scores)
