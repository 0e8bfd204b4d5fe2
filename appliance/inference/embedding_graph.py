"""The embedding model as an ONNX graph with 8-bit weights, built from the published weights without their training framework.

The graph is all-MiniLM-L6-v2: BERT with 6 layers of 384 (Devlin et al. 2018), mean pooling over the real tokens and L2
normalisation (Reimers and Gurevych 2019). Weights are symmetric int8 with one scale per output column; activations are
quantised while running, one scale per matrix ("dynamic" quantisation). The token table is stored as int8 with one scale per
row, which saves 35 MB in each process that embeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LAYERS = 6
HEADS = 12
DIMENSIONS = 384
_CONTRIB = "com.microsoft"
_EPSILON = 1e-12

Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Graph:
    """Nodes and constants gathered while the model is written down."""

    weights: Mapping[str, Floats]
    levels: int
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def node(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants[name] = value
        return name

    def dense(self, source: str, names: list[str], output: str) -> str:
        """One int8 matrix product for all layers in `names`, side by side; they share their input."""
        matrix = np.concatenate([self.weights[f"{name}.weight"] for name in names]).T
        bias = np.concatenate([self.weights[f"{name}.bias"] for name in names])
        rounded, scales = quantise(matrix, axis=0, levels=self.levels)
        inputs = [
            source,
            self.constant(f"{output}.int8", rounded),
            self.constant(f"{output}.scale", scales),
            "",
            self.constant(f"{output}.bias", bias),
        ]
        return self.node("DynamicQuantizeMatMul", inputs, output, domain=_CONTRIB)

    def normalised_sum(self, left: str, right: str, name: str, output: str) -> str:
        scale = self.constant(f"{output}.weight", self.weights[f"{name}.weight"])
        shift = self.constant(f"{output}.bias", self.weights[f"{name}.bias"])
        inputs = [left, right, scale, shift]
        return self.node("SkipLayerNormalization", inputs, output, domain=_CONTRIB, epsilon=_EPSILON)


def quantise(matrix: Floats, *, axis: int, levels: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """`matrix` rounded to integers of at most `levels`, and the scale of each slice across `axis`."""
    scales = np.maximum(np.abs(matrix).max(axis=axis), 1e-12) / levels
    spread = np.expand_dims(scales, axis)
    return np.rint(matrix / spread).astype(np.int8), scales.astype(np.float32)


def build_embedding_graph(weights_path: Path, graph_path: Path, *, levels: int = 127) -> None:
    """Write the graph for the safetensors file `weights_path` to `graph_path`.

    `levels` is 127 for eight bits. Processors without VNNI instructions add two products in 16 bits and overflow silently;
    64 levels keep them exact.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    graph = _Graph(load_file(weights_path), levels)
    hidden = _embeddings(graph)
    graph.node("Cast", ["attention_mask"], "key_mask", to=TensorProto.INT32)
    for layer in range(LAYERS):
        hidden = _layer(graph, hidden, layer)
    _pooling(graph, hidden)
    shape = ["batch", "length"]
    body = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSIONS])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIB, 1)]
    onnx.save(helper.make_model(body, opset_imports=opsets, ir_version=9), graph_path)


def _embeddings(graph: _Graph) -> str:
    table = "embeddings.word_embeddings.weight"
    rounded, scales = quantise(graph.weights[table], axis=1, levels=127)
    kinds = graph.weights["embeddings.token_type_embeddings.weight"]
    places = graph.weights["embeddings.position_embeddings.weight"] + kinds[0]
    from onnx import TensorProto

    graph.node("Gather", [graph.constant("words.int8", rounded), "input_ids"], "words.rounded")
    graph.node("Cast", ["words.rounded"], "words.float", to=TensorProto.FLOAT)
    graph.node("Gather", [graph.constant("words.scale", scales[:, None]), "input_ids"], "words.scales")
    graph.node("Mul", ["words.float", "words.scales"], "words")
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    start, axes = graph.constant("zero", np.array([0])), graph.constant("first", np.array([0]))
    graph.node("Slice", [graph.constant("places.table", places), start, "length", axes], "places")
    graph.node("Add", ["words", "places"], "embedded")
    scale = graph.constant("embedded.weight", graph.weights["embeddings.LayerNorm.weight"])
    shift = graph.constant("embedded.bias", graph.weights["embeddings.LayerNorm.bias"])
    return graph.node("LayerNormalization", ["embedded", scale, shift], "hidden", axis=-1, epsilon=_EPSILON)


def _layer(graph: _Graph, hidden: str, number: int) -> str:
    path, label = f"encoder.layer.{number}", f"layer{number}"
    parts = [f"{path}.attention.self.{part}" for part in ("query", "key", "value")]
    graph.dense(hidden, parts, f"{label}.qkv")
    for index, part in enumerate(("query", "key", "value")):
        edges = [graph.constant(f"edge{place}", np.array([place * DIMENSIONS])) for place in (index, index + 1)]
        graph.node("Slice", [f"{label}.qkv", *edges, graph.constant("last", np.array([2]))], f"{label}.{part}")
    mixed = graph.node(
        "MultiHeadAttention",
        [f"{label}.query", f"{label}.key", f"{label}.value", "", "key_mask"],
        f"{label}.mixed",
        domain=_CONTRIB,
        num_heads=HEADS,
    )
    projected = graph.dense(mixed, [f"{path}.attention.output.dense"], f"{label}.projected")
    middle = graph.normalised_sum(projected, hidden, f"{path}.attention.output.LayerNorm", f"{label}.middle")
    wide = graph.dense(middle, [f"{path}.intermediate.dense"], f"{label}.wide")
    curved = graph.node("Gelu", [wide], f"{label}.curved", domain=_CONTRIB)
    narrow = graph.dense(curved, [f"{path}.output.dense"], f"{label}.narrow")
    return graph.normalised_sum(narrow, middle, f"{path}.output.LayerNorm", f"{label}.hidden")


def _pooling(graph: _Graph, hidden: str) -> None:
    from onnx import TensorProto

    graph.node("Cast", ["attention_mask"], "weight.flat", to=TensorProto.FLOAT)
    graph.node("Unsqueeze", ["weight.flat", graph.constant("middle.axis", np.array([1]))], "weight")
    # scaling by the number of tokens would be undone by the normalisation, so the mean is a plain sum
    graph.node("MatMul", ["weight", hidden], "sum.wide")
    graph.node("Squeeze", ["sum.wide", "middle.axis"], "sum")
    graph.node("LpNormalization", ["sum"], "embedding", axis=-1, p=2)
