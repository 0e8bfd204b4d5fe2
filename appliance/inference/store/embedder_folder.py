"""Reads a folder with an embedding model: an ONNX graph, its tokenizer, and what is said beside them of length and pooling.

Taken in as sentence-transformers publishes them (`tokenizer.json`, `config.json`, `1_Pooling/config.json`, the graph at the top
or in `onnx/`), and kept flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import InvalidInput
from appliance.inference.store.contents import Content, content_of, read_json, refuse_code
from appliance.inference.store.embedding_form import CLS, LONGEST_PREFIX, MEAN, EmbeddingForm
from appliance.inference.store.genai_folder import CONFIG
from appliance.inference.store.versions import Facts

GRAPH_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
VECTORS = ("embedding", "sentence_embedding", "last_hidden_state", "token_embeddings")
"""Outputs that may hold vectors, best first: of whole texts, else of their tokens."""

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_POOLING_FILE = "pooling.json"
_PROMPTS_FILE = "config_sentence_transformers.json"
_BESIDE = {
    TOKENIZER_FILE: TOKENIZER_FILE,
    "config.json": "config.json",
    "sentence_bert_config.json": "sentence_bert_config.json",
    _PROMPTS_FILE: _PROMPTS_FILE,
    "1_Pooling/config.json": _POOLING_FILE,
    _POOLING_FILE: _POOLING_FILE,
    "LICENSE": "LICENSE",
}
_MEANS = {"pooling_mode_mean_tokens": MEAN, "pooling_mode_cls_token": CLS}
_LEAST, _MOST = 32, 32_768  # tokens


def graphs_in(folder: Path) -> list[Path]:
    """The graphs of an embedding model in this folder; none where it is no such folder."""
    if not (folder / TOKENIZER_FILE).is_file():
        return []
    return [path for place in (folder, folder / "onnx") for path in sorted(place.glob("*.onnx")) if path.is_file()]


def files_for(graph: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """What is taken in with one of the graphs of a folder, and how it is called in the store.

    Raises `InvalidInput` for links and for contents that nobody asked for.
    """
    for path, name in ((graph, GRAPH_FILE), *((folder / path, name) for path, name in _BESIDE.items())):
        if not path.exists():
            continue
        if path.is_symlink():
            raise InvalidInput(f"{path.name} is a link; a model consists of plain files.", code="model.embedder_folder")
        content = content_of(path)
        refuse_code(path, content)
        if content is not Content.ONNX and content not in {Content.JSON, Content.TEXT}:
            raise InvalidInput(f"{path.name} holds {content.value} content.", code="model.unknown_content")
        yield path, name


def read_embedder(folder: Path) -> Facts:
    """What the folder holds.

    Raises `InvalidInput`: `model.not_embedder`, `.genai_config`, `.onnx_damaged`, `.no_context`, `.pooling`, `.prompts`, `.json`.
    """
    parameters, quantisation, vocabulary = _graph(folder / GRAPH_FILE)
    pooling, prefixes = pooling_of(folder), _prefixes(folder)
    config = _table(folder / "config.json")
    return Facts(
        format="onnx",
        kind="embedding",
        title=folder.name,
        architecture=str(config.get("model_type") or "unknown")[:60],
        quantisation=quantisation,
        parameters_m=round(parameters / 1e6, 1),
        context_tokens=_context(folder, config),
        kv_bytes_per_token=0,
        vocabulary=vocabulary,
        chat_template=False,
        licence="",
        form=EmbeddingForm(pooling, 0, *prefixes) if any(prefixes) or pooling != MEAN else None,
    )


def _prefixes(folder: Path) -> tuple[str, str]:
    """What its makers put before questions and passages. Raises `InvalidInput` (`model.prompts`)."""
    prompts = _table(folder / _PROMPTS_FILE).get("prompts")
    told = prompts if isinstance(prompts, dict) else {}
    found = [next((told[name] for name in names if told.get(name)), "") for names in (("query",), ("passage", "document"))]
    if any(not isinstance(text, str) or len(text) > LONGEST_PREFIX for text in found):
        raise InvalidInput("What this embedding model wants before its texts is no short text.", code="model.prompts")
    return found[0], found[1]


def pooling_of(folder: Path) -> str:
    """How vectors of tokens become one: their mean where nothing is said. Raises `InvalidInput` (`model.pooling`)."""
    said = [name for name, value in _table(folder / _POOLING_FILE).items() if name.startswith("pooling_mode_") and value is True]
    if len(said) > 1 or any(name not in _MEANS for name in said):
        raise InvalidInput(
            "This embedding model joins its vectors in a way that is not known here; mean and CLS are.", code="model.pooling"
        )
    return _MEANS[said[0]] if said else MEAN


def _context(folder: Path, config: dict[str, Any]) -> int:
    """Tokens it reads at once: what its makers used it with, else what it has places for."""
    tokenizer = read_json(folder / TOKENIZER_FILE)
    truncation = tokenizer.get("truncation") if isinstance(tokenizer, dict) else None
    said = (
        _table(folder / "sentence_bert_config.json").get("max_seq_length"),
        truncation.get("max_length") if isinstance(truncation, dict) else None,
        config.get("max_position_embeddings"),
    )
    places = said[2] if isinstance(said[2], int) else _MOST
    found = next((value for value in said if isinstance(value, int) and not isinstance(value, bool)), 0)
    if not _LEAST <= found <= _MOST:
        raise InvalidInput(
            "This embedding model does not say how many tokens it reads (sentence_bert_config.json: max_seq_length).",
            code="model.no_context",
        )
    return min(found, places)


def _table(path: Path) -> dict[str, Any]:
    read = read_json(path) if path.is_file() else {}
    return read if isinstance(read, dict) else {}


def _graph(path: Path) -> tuple[int, str, int]:
    """Number of parameters, how most are stored, and the size of the token table."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, ValueError) as error:
        raise InvalidInput("The graph of this model is damaged.", code="model.onnx_damaged") from error
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {given.name for given in graph.input} - constants
    if "logits" in {given.name for given in graph.output} and any(name.startswith("past") for name in inputs):
        raise InvalidInput(
            f"This is the graph of a language model, and its folder has no {CONFIG}: without it no runtime here can use it.",
            code="model.genai_config",
        )
    if not {"input_ids", "attention_mask"} <= inputs <= _INPUTS or not any(given.name in VECTORS for given in graph.output):
        raise InvalidInput(
            "This ONNX graph is no embedding model: one takes input_ids and attention_mask and gives "
            f"{', '.join(VECTORS[:-1])} or {VECTORS[-1]}.",
            code="model.not_embedder",
        )
    counts, rows = dict[str, int](), 0
    for tensor in graph.initializer:
        if tensor.external_data:
            raise InvalidInput(
                "The weights of this graph lie in another file; save the model as one file.", code="model.embedder_folder"
            )
        size = 1
        for length in tensor.dims:
            size *= length
        if len(tensor.dims) > 1:
            kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
            counts[kind] = counts.get(kind, 0) + size
            rows = max(rows, tensor.dims[0])
    main = max(counts, key=lambda name: counts[name], default="")
    return sum(counts.values()), {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "int8"}.get(main, main), rows
