"""The decoder of the Llama family (Touvron et al. 2023) as an ONNX graph, its weights left in the blocks they were published in.

A block of Q4_1 is level * scale + offset; ONNX Runtime's matrix product knows level and zero point, which is a whole number. The
offset that is left over is the same for all 32 weights of a block, so it is multiplied with the sum of their inputs: a second
product 32 times smaller. That keeps every published weight exactly as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInput
from appliance.inference.onnx_folder.gguf import BLOCK, Blocks, GgufFile

_CONTRIB = "com.microsoft"
_EIGHT_BIT_ACTIVATIONS = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model."""

    layers: int
    width: int
    inner: int
    heads: int
    key_heads: int
    vocabulary: int
    context_tokens: int
    rotation: float
    epsilon: float

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def shape_of(source: GgufFile) -> Shape:
    """The sizes that the file states. Raises `InvalidInput` (`model.not_convertible`) for any other family of models."""
    settings = source.settings
    try:
        if settings["general.architecture"] != "llama":
            raise InvalidInput("Only models of the Llama family are converted.", code="model.not_convertible")
        return Shape(
            layers=settings["llama.block_count"],
            width=settings["llama.embedding_length"],
            inner=settings["llama.feed_forward_length"],
            heads=settings["llama.attention.head_count"],
            key_heads=settings["llama.attention.head_count_kv"],
            vocabulary=len(settings["tokenizer.ggml.tokens"]),
            context_tokens=settings["llama.context_length"],
            rotation=settings["llama.rope.freq_base"],
            epsilon=settings["llama.attention.layer_norm_rms_epsilon"],
        )
    except KeyError as error:
        raise InvalidInput(f"The file does not state {error.args[0]}.", code="model.not_convertible") from error


@dataclass(slots=True)
class _Graph:
    """Nodes and constants gathered while the model is written down."""

    source: GgufFile
    shape: Shape
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)

    def node(self, operator: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, list(outputs), domain=domain, name=outputs[0], **attributes))
        return outputs[0]

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def product(self, inputs: str, names: list[str], output: str) -> str:
        """`inputs` times all the matrices in `names`, side by side."""
        parts = [self.source.matrix(f"{name}.weight") for name in names]
        return self.blocks_product(inputs, _stack(parts), output)

    def blocks_product(self, inputs: str, blocks: Blocks, output: str) -> str:
        rows, count, _ = blocks.levels.shape
        levels = self.constant(f"{output}.levels", _packed(blocks))
        scales = self.constant(f"{output}.scales", blocks.scales.reshape(-1))
        left_over = blocks.offsets + (1 << (blocks.bits - 1)) * blocks.scales
        exact = not left_over.any()
        product = self.node(
            "MatMulNBits",
            [inputs, levels, scales],
            output if exact else f"{output}.levelled",
            domain=_CONTRIB,
            K=count * BLOCK,
            N=rows,
            bits=blocks.bits,
            block_size=BLOCK,
            accuracy_level=_EIGHT_BIT_ACTIVATIONS,
        )
        if exact:
            return product
        rest = self.constant(f"{output}.left_over", np.ascontiguousarray(left_over.T))
        self.node("MatMul", [self._block_sums(inputs), rest], f"{output}.rest")
        return self.node("Add", [product, f"{output}.rest"], output)

    def _block_sums(self, inputs: str) -> str:
        if inputs not in self.sums:
            by_block = self.constant("by_block", np.array([0, 0, -1, BLOCK]))
            self.node("Reshape", [inputs, by_block], f"{inputs}.blocks")
            axis = self.constant("last", np.array([-1]))
            self.sums[inputs] = self.node("ReduceSum", [f"{inputs}.blocks", axis], f"{inputs}.sums", keepdims=0)
        return self.sums[inputs]

    def normalised(self, inputs: list[str], name: str, output: str) -> str:
        """Root-mean-square normalisation (Zhang and Sennrich 2019); of a sum, which is kept as `output`.sum, if two are given."""
        weight = self.constant(f"{output}.weight", self.source.vector(f"{name}.weight"))
        if len(inputs) == 1:
            return self.node("SimplifiedLayerNormalization", [*inputs, weight], output, axis=-1, epsilon=self.shape.epsilon)
        outputs = [output, "", "", f"{output}.sum"]
        return self.node(
            "SkipSimplifiedLayerNormalization", [*inputs, weight], *outputs, domain=_CONTRIB, epsilon=self.shape.epsilon
        )


def write_graph(source: GgufFile, path: Path) -> None:
    """Write the decoder with its memory of keys and values as inputs and outputs, as ONNX Runtime GenAI wants it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = shape_of(source)
    graph = _Graph(source, shape)
    _lengths(graph)
    _rotations(graph)
    stream, added = _embeddings(graph), ""
    for layer in range(shape.layers):
        stream, added = _layer(graph, layer, stream, added)
    _logits(graph, stream, added)
    past = ["batch", shape.key_heads, "past", shape.head_width]
    present = ["batch", shape.key_heads, "total", shape.head_width]
    memory = [f"{layer}.{part}" for layer in range(shape.layers) for part in ("key", "value")]
    tensor: Any = helper.make_tensor_value_info
    body = helper.make_graph(
        graph.nodes,
        "decoder",
        [
            tensor("input_ids", TensorProto.INT64, ["batch", "length"]),
            tensor("attention_mask", TensorProto.INT64, ["batch", "total"]),
            *(tensor(f"past_key_values.{name}", TensorProto.FLOAT, past) for name in memory),
        ],
        [
            tensor("logits", TensorProto.FLOAT, ["batch", 1, shape.vocabulary]),
            *(tensor(f"present.{name}", TensorProto.FLOAT, present) for name in memory),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_CONTRIB, 1)]
    onnx.save(helper.make_model(body, opset_imports=opsets, ir_version=10), path)


def _lengths(graph: _Graph) -> None:
    from onnx import TensorProto

    one = graph.constant("one", np.array([1]))
    graph.node("ReduceSum", ["attention_mask", one], "known", keepdims=0)
    graph.node("Sub", ["known", one], "last_place")
    graph.node("Cast", ["last_place"], "last_places", to=TensorProto.INT32)
    graph.node("Shape", ["attention_mask"], "mask_shape")
    graph.node("Gather", ["mask_shape", graph.constant("second", np.array(1))], "all_places", axis=0)
    graph.node("Cast", ["all_places"], "total_length", to=TensorProto.INT32)


def _rotations(graph: _Graph) -> None:
    """Rotary position embedding (Su et al. 2021)."""
    half = graph.shape.head_width // 2
    speeds = graph.shape.rotation ** (-np.arange(half, dtype=np.float64) / half)
    angles = np.outer(np.arange(graph.shape.context_tokens), speeds)
    graph.constant("cosines", np.cos(angles).astype(np.float32))
    graph.constant("sines", np.sin(angles).astype(np.float32))


def _embeddings(graph: _Graph) -> str:
    """The token table: 8-bit levels, shared with the last product."""
    from onnx import TensorProto

    blocks = graph.source.matrix("token_embd.weight")
    if blocks.bits != 8:
        raise InvalidInput("The token table of this file is not stored in 8 bits.", code="model.not_convertible")
    graph.constant("logits.levels", blocks.levels)
    graph.constant("words.scales", blocks.scales[..., None])
    graph.node("Gather", ["logits.levels", "input_ids"], "words.levels")
    graph.node("Cast", ["words.levels"], "words.unsigned", to=TensorProto.FLOAT)
    graph.node("Sub", ["words.unsigned", graph.constant("words.zero", np.float32(128))], "words.signed")
    graph.node("Gather", ["words.scales", "input_ids"], "words.scale")
    graph.node("Mul", ["words.signed", "words.scale"], "words.blocks")
    return graph.node("Reshape", ["words.blocks", graph.constant("joined", np.array([0, 0, -1]))], "words")


def _layer(graph: _Graph, number: int, stream: str, added: str) -> tuple[str, str]:
    """The stream and what is to be added to it, after one layer."""
    path, label, shape = f"blk.{number}", f"layer{number}", graph.shape
    before = graph.normalised([stream, added] if added else [stream], f"{path}.attn_norm", f"{label}.before")
    stream = f"{before}.sum" if added else stream
    graph.product(before, [f"{path}.attn_{part}" for part in "qkv"], f"{label}.qkv")
    past = [f"past_key_values.{number}.{part}" for part in ("key", "value")]
    present = [f"present.{number}.{part}" for part in ("key", "value")]
    graph.node(
        "GroupQueryAttention",
        [f"{label}.qkv", "", "", *past, "last_places", "total_length", "cosines", "sines"],
        f"{label}.mixed",
        *present,
        domain=_CONTRIB,
        num_heads=shape.heads,
        kv_num_heads=shape.key_heads,
        do_rotary=1,
        rotary_interleaved=1,  # GGUF keeps the pairs of the Llama family side by side
    )
    projected = graph.product(f"{label}.mixed", [f"{path}.attn_output"], f"{label}.projected")
    middle = graph.normalised([stream, projected], f"{path}.ffn_norm", f"{label}.middle")
    graph.product(middle, [f"{path}.ffn_gate", f"{path}.ffn_up"], f"{label}.wide")
    halves = graph.constant("halves", np.array([shape.inner, shape.inner]))
    graph.node("Split", [f"{label}.wide", halves], f"{label}.gate", f"{label}.up", axis=-1)
    graph.node("QuickGelu", [f"{label}.gate"], f"{label}.open", domain=_CONTRIB, alpha=1.0)
    graph.node("Mul", [f"{label}.open", f"{label}.up"], f"{label}.gated")
    return f"{middle}.sum", graph.product(f"{label}.gated", [f"{path}.ffn_down"], f"{label}.narrow")


def _logits(graph: _Graph, stream: str, added: str) -> None:
    """Of the last place alone: the product with the token table is a fifth of all work."""
    graph.normalised([stream, added], "output_norm", "final")
    ends = [graph.constant(name, np.array([value])) for name, value in (("minus_one", -1), ("end", 2**62), ("places_axis", 1))]
    graph.node("Slice", ["final", *ends], "final.last")
    graph.blocks_product("final.last", graph.source.matrix("token_embd.weight"), "logits")


def _stack(parts: list[Blocks]) -> Blocks:
    if len({part.bits for part in parts}) != 1:
        raise InvalidInput("Matrices that belong together are stored in different ways.", code="model.not_convertible")
    levels, scales, offsets = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("levels", "scales", "offsets")
    )
    return Blocks(parts[0].bits, levels, scales, offsets)


def _packed(blocks: Blocks) -> npt.NDArray[np.uint8]:
    if blocks.bits == 8:
        return blocks.levels
    packed: npt.NDArray[np.uint8] = blocks.levels[..., 0::2] | (blocks.levels[..., 1::2] << np.uint8(4))
    return packed
