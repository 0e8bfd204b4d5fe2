"""Folders for ONNX Runtime GenAI, made from the default weights once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.inference.models import Model


@pytest.fixture(scope="session")
def genai_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from appliance.inference.onnx_folder.convert import main

    folder = tmp_path_factory.mktemp("genai") / "smollm2"
    assert main(["--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def genai_model(genai_folder: Path) -> Model:
    size = sum(path.stat().st_size for path in genai_folder.iterdir())
    return Model("smollm2-genai", "language", genai_folder.name, "", size, "ONNX int4", 8192, "Apache-2.0", active=True)
