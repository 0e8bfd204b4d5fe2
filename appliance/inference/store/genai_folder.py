"""Reads a folder for ONNX Runtime GenAI: its configuration, its graphs, and that nothing in it could run code or lead outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import InvalidInput
from appliance.inference.store.contents import Content, content_of, read_json, refuse_code
from appliance.inference.store.memory import kv_bytes_per_token
from appliance.inference.store.versions import Facts

CONFIG = "genai_config.json"
_MAX_FILES = 200
_WEIGHTS = (".onnx.data", ".onnx_data", ".bin.data")
_HARMLESS = {Content.JSON, Content.TEXT, Content.EMPTY, Content.ONNX}
_LIBRARIES = (".so", ".dll", ".dylib")


def folder_files(folder: Path) -> list[Path]:
    """The files of the folder in a fixed order. Raises `InvalidInput` for links, folders in it, and contents nobody asked for."""
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if len(found) > _MAX_FILES:
        raise InvalidInput(
            f"The folder {folder.name} holds {len(found)} files; that is no model folder.", code="model.genai_folder"
        )
    for path in found:
        if path.is_symlink() or not path.is_file():
            raise InvalidInput(f"{folder.name}/{path.name} is no plain file; a model folder is flat.", code="model.genai_folder")
        content = content_of(path)
        refuse_code(path, content)
        weights = path.name.endswith(_WEIGHTS) and content not in {Content.ZIP, Content.GGUF}
        tokenizer = path.suffix == ".model" and content is Content.UNKNOWN  # a SentencePiece vocabulary
        if content not in _HARMLESS and not weights and not tokenizer:
            raise InvalidInput(
                f"{folder.name}/{path.name} holds {content.value} content, which a model folder has no use for.",
                code="model.unknown_content",
            )
    return found


def read_genai(folder: Path) -> Facts:
    """What the folder holds. Raises `InvalidInput`: `model.genai_config`, `.genai_code`, `.genai_folder`, `.json`."""
    config_file = folder / CONFIG
    if not config_file.is_file():
        raise InvalidInput(
            f"The folder {folder.name} has no {CONFIG}, so it is no folder for ONNX Runtime GenAI.", code="model.genai_config"
        )
    files = folder_files(folder)
    config = read_json(config_file)
    refuse_libraries(config)
    model = config.get("model") if isinstance(config, dict) else None
    decoder = model.get("decoder") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(decoder, dict):
        raise _incomplete("it describes no decoder")
    graph = folder / _text(decoder, "filename")
    if graph not in files:
        raise _incomplete(f"it names the graph {graph.name}, which is not there")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise _incomplete(f"the file {name} is missing beside it")
    head = _number(decoder, "head_size", 1, 8_192)
    opened = _opened(graph)
    parameters, quantisation = _weights(opened, folder)
    return Facts(
        format="genai",
        kind="language",
        title=folder.name,
        architecture=_text(model, "type")[:60],
        quantisation=quantisation,
        parameters_m=round(parameters / 1e6, 1),
        context_tokens=_number(model, "context_length", 1, 100_000_000),
        kv_bytes_per_token=kv_bytes_per_token(
            layers=_number(decoder, "num_hidden_layers", 1, 10_000),
            kv_heads=_number(decoder, "num_key_value_heads", 1, 10_000),
            key_length=head,
            value_length=head,
            number_bytes=_cache_number_bytes(opened),
        ),
        vocabulary=_number(model, "vocab_size", 1, 10_000_000),
        chat_template=_has_template(folder),
        licence="",
    )


def refuse_libraries(value: object) -> None:
    """Raise `InvalidInput` (`model.genai_code`) where the configuration would load native code of its own."""
    for key, text in _texts(value):
        if "library" in key.lower() or text.lower().endswith(_LIBRARIES):
            raise InvalidInput(
                "The configuration of this model wants to load a program library of its own; such models are not accepted.",
                code="model.genai_code",
            )


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name), ""
            yield from _texts(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value


def _opened(path: Path) -> Any:
    """The graph without its weights."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise InvalidInput(f"The graph {path.name} is damaged.", code="model.onnx_damaged") from error


def _cache_number_bytes(model: Any) -> int:
    """Bytes of a number among the keys and values that the graph is given back; graphs for processors mostly keep 32 bits."""
    from onnx import TensorProto

    narrow = {TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2, TensorProto.INT8: 1, TensorProto.UINT8: 1}
    kinds = {tensor.type.tensor_type.elem_type for tensor in model.graph.input if tensor.name.startswith("past")}
    return max((narrow.get(kind, 4) for kind in kinds), default=4)


def _weights(model: Any, folder: Path) -> tuple[int, str]:
    """Number of parameters and how they are stored. Raises `InvalidInput` where weights are said to lie outside of the folder."""
    import onnx

    parameters, types = 0, dict[str, int]()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and not (Path(entry.value).name == entry.value and (folder / entry.value).is_file()):
                raise InvalidInput(
                    f"The graph of {folder.name} wants weights from {entry.value[:80]}, which is not in its folder.",
                    code="model.genai_folder",
                )
        count = 1
        for size in tensor.dims:
            count *= size
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        if name in {"float", "float16", "bfloat16"} and not tensor.name.endswith(("_scales", ".scales", "_cache")):
            parameters += count
            types[name] = types.get(name, 0) + count
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            attributes = {attribute.name: attribute.i for attribute in node.attribute}
            count = attributes.get("K", 0) * attributes.get("N", 0)
            parameters += count
            name = f"int{attributes.get('bits', 4)}"
            types[name] = types.get(name, 0) + count
    main = max(types, key=lambda name: types[name], default="")
    return parameters, {"float": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(main, main)


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    config = read_json(folder / "tokenizer_config.json")
    return isinstance(config, dict) and bool(config.get("chat_template"))


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value or Path(value).name != value:
        raise _incomplete(f"its entry {key} is missing or unusable")
    return value


def _number(table: dict[str, Any], key: str, least: int, most: int) -> int:
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _incomplete(f"its entry {key} is missing or impossible")
    return value


def _incomplete(what: str) -> InvalidInput:
    return InvalidInput(f"The model folder cannot be used: in {CONFIG}, {what}.", code="model.genai_config")
