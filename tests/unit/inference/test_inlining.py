"""Weights beside a graph are joined with it, and what is wrong with either is said as an error of ours."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from appliance.errors import SetupError
from appliance.inference.genai.inlining import whole_graphs

WEIGHTS = bytes(range(16))


def graph(**outside: str) -> bytes:
    """One tensor of four numbers, which lies where `outside` says."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in outside.items():
        tensor.external_data.add(key=key, value=value)
    content: bytes = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    return content


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 50,
        graph(offset="0"),
        graph(location="gone"),
        graph(location=".."),
        graph(location="weights", offset="x"),
        graph(location="weights", offset="-5"),
        graph(location="weights", offset="9" * 30),
        graph(location="weights", length="17"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "weights").write_bytes(WEIGHTS)
    with pytest.raises(SetupError) as refused:
        list(whole_graphs(tmp_path))
    assert refused.value.stable_code == "inference.folder"


def test_no_weights_from_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(WEIGHTS)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph(location="../weights"))
    with pytest.raises(SetupError):
        list(whole_graphs(folder))


def test_weights_are_joined_with_their_graph(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph(location="weights", offset="4", length="8"))
    (tmp_path / "weights").write_bytes(WEIGHTS)
    ((name, content),) = whole_graphs(tmp_path)
    (tensor,) = onnx.load_from_string(content).graph.initializer
    assert (name, tensor.raw_data, len(tensor.external_data)) == ("model.onnx", WEIGHTS[4:12], 0)
