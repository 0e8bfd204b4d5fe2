"""Graphs whose weights lie beside them, made whole in memory: ONNX Runtime follows no link to weights, wherever it leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import SetupError


def whole_graphs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each graph of a sealed folder that has weights beside it. Raises `SetupError` (`inference.folder`)."""
    import onnx

    for path in sorted(folder.glob("*.onnx")):
        model = onnx.load(str(path), load_external_data=False)
        outside = [tensor for tensor in model.graph.initializer if tensor.external_data]
        for tensor in outside:
            tensor.raw_data = _weights(folder, {entry.key: entry.value for entry in tensor.external_data})
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        if outside:
            yield path.name, model.SerializeToString()


def _weights(folder: Path, told: dict[str, Any]) -> bytes:
    name, offset, length = Path(told["location"]).name, int(told.get("offset", 0)), int(told.get("length", -1))
    with (folder / name).open("rb") as file:
        file.seek(offset)
        weights = file.read(length)
    if length >= 0 and len(weights) != length:
        raise SetupError(f"The weights of the model folder {folder.name} are incomplete.", code="inference.folder")
    return weights
