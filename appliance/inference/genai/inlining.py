"""Graphs whose weights lie beside them, made whole in memory: ONNX Runtime follows no link to weights, wherever it leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import SetupError


def whole_graphs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each graph of a sealed folder that has weights beside it. Raises `SetupError` (`inference.folder`)."""
    from google.protobuf.message import DecodeError

    for path in sorted(folder.glob("*.onnx")):
        try:
            whole = _whole(path)
        except (DecodeError, KeyError, OSError, ValueError) as error:
            raise SetupError(
                f"The graph {path.name} of the model folder {folder.name} is damaged, or its weights are.",
                code="inference.folder",
            ) from error
        if whole is not None:
            yield path.name, whole


def _whole(path: Path) -> bytes | None:
    """None where no weights lie beside it."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    outside = [tensor for tensor in model.graph.initializer if tensor.external_data]
    for tensor in outside:
        tensor.raw_data = _weights(path.parent, {entry.key: entry.value for entry in tensor.external_data})
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return model.SerializeToString() if outside else None


def _weights(folder: Path, told: dict[str, Any]) -> bytes:
    name, offset, length = Path(told["location"]).name, int(told.get("offset", 0)), int(told.get("length", -1))
    with (folder / name).open("rb") as file:
        file.seek(offset)
        weights = file.read(length)
    if length >= 0 and len(weights) != length:
        raise SetupError(f"The weights of the model folder {folder.name} are incomplete.", code="inference.folder")
    return weights
