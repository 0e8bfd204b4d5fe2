"""LoRA adapters in llama.cpp: one changes what is answered by as much as it is applied, and one for other weights is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.bootstrap import Appliance
from appliance.errors import SetupError
from appliance.identity.models import Principal
from appliance.inference.llamacpp import LlamaCppRuntime
from appliance.inference.llamacpp.native import Adapter
from appliance.inference.loading import Loader
from appliance.inference.models import CompletionRequest, PromptMessage
from appliance.inference.pool import RuntimeKey
from appliance.inference.runtime import Runtime
from appliance.inference.sources import LANGUAGE_MODEL, locate
from appliance.inference.store import ModelStore
from appliance.inference.store.importing import Order
from tests.unit.inference.gguf_samples import gguf, tensor

pytestmark = pytest.mark.models
METADATA: dict[str, object] = {
    "general.architecture": "llama",
    "general.type": "adapter",
    "adapter.type": "lora",
    "adapter.lora.alpha": 4.0,
}
WIDTH, RANK, LAYERS = 576, 4, 30  # of SmolLM2 135M
ASKED = CompletionRequest((PromptMessage("user", "What is the capital city of Japan?"),), 8)


def adapter(file: Path, width: int = WIDTH) -> Path:
    """Random numbers beside what each layer's attention gives on."""
    drawn = np.random.default_rng(7)
    described, data = [], b""
    for layer in range(LAYERS):
        for part, shape in (("lora_a", (width, RANK)), ("lora_b", (RANK, width))):
            described.append(tensor(f"blk.{layer}.attn_output.weight.{part}", shape, 0, len(data)))
            data += drawn.normal(0, 0.2, shape).astype("<f4").tobytes()
    file.write_bytes(gguf(METADATA, tensors=tuple(described), data_bytes=0) + data)
    return file


def answer(runtime: Runtime) -> str:
    try:
        return "".join(delta.text for delta in runtime.complete(ASKED))
    finally:
        runtime.close()


def opened(models_dir: Path, *adapters: Adapter) -> LlamaCppRuntime:
    model = ModelStore(models_dir).active("language")
    return LlamaCppRuntime(model, models_dir / model.file, 256, 2, slots=1, adapters=adapters)


def test_one_for_weights_of_another_shape_is_refused(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refusal:
        opened(models_dir, Adapter(adapter(tmp_path / "other.gguf", width=512)))
    assert refusal.value.stable_code == "inference.adapter"


def test_it_applies_as_strongly_as_it_is_told_to(models_dir: Path, tmp_path: Path) -> None:
    file = adapter(tmp_path / "house.gguf")
    without = answer(opened(models_dir))
    assert answer(opened(models_dir, Adapter(file, 0.0))) == without
    assert answer(opened(models_dir, Adapter(file))) != without


def test_a_version_answers_with_the_adapter_of_its_modelfile(
    appliance: Appliance, administrator: Principal, tmp_path: Path
) -> None:
    adapter(tmp_path / "house.gguf")
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text("FROM .\nADAPTER ./house.gguf\n")
    importing, weights = appliance.model_importing, locate(LANGUAGE_MODEL)
    plain = importing.take_in(administrator, weights, Order(name="plain"))
    adapted = importing.take_in(administrator, weights, Order(name="adapted", modelfile=modelfile))
    load = Loader(appliance.models, lambda: appliance.gate, context_tokens=256, threads=2, slots=1)
    answers = {version.id: answer(load(RuntimeKey("llamacpp", version.id))) for version in (plain, adapted)}
    assert len(set(answers.values())) == 2, answers
