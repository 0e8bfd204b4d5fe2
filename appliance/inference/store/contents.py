"""What kind of thing a file is, by its bytes; its name is never believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from appliance.errors import InvalidInput

_HEAD_BYTES = 4_096
_MAX_SAFETENSORS_HEADER = 100_000_000


class Content(StrEnum):
    """Kinds of files a model may come as or along with."""

    GGUF = "GGUF"
    ONNX = "ONNX graph"
    ZIP = "zip archive"
    PICKLE = "Python pickle"
    SAFETENSORS = "safetensors"
    JSON = "JSON"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


def content_of(path: Path) -> Content:
    """The kind of a file, from its first bytes."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return next(content for content, fits in _TESTS if fits(head))


def refuse_code(path: Path, content: Content) -> None:
    """Raise `InvalidInput` (`model.pickle`) for what would run code where it is loaded."""
    if content is Content.PICKLE:
        raise InvalidInput(
            f"{path.name} is a Python pickle: loading it would run code from the file. Only GGUF files and ONNX Runtime GenAI "
            "folders are accepted.",
            code="model.pickle",
        )


def read_json(path: Path, limit_bytes: int = 64_000_000) -> object:
    """Raises `InvalidInput` (`model.json`) for what is no JSON or too large to be a configuration."""
    if path.stat().st_size > limit_bytes:
        raise InvalidInput(f"{path.name} is too large for a configuration file.", code="model.json")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is not valid JSON.", code="model.json") from error


def _is_pickle(head: bytes) -> bool:
    # protocol 2 and later announce themselves; torch's older files begin with a pickled magic number
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5:
        return True
    # protocols 0 and 1 are text-like: a GLOBAL or a MARK, and a STOP at the end of what is short enough to see
    return head[:1] in {b"c", b"(", b"]", b"}"} and head.rstrip().endswith(b".") and b"\n" in head and not _is_json_like(head)


def _is_json_like(head: bytes) -> bool:
    try:
        json.loads(head)
    except ValueError:
        return False
    return True


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not just a character cut by our own limit
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER


def _is_onnx(head: bytes) -> bool:
    # a serialised ModelProto begins with field 1, ir_version, a small number (onnx.proto)
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] <= 30 and head[2] in {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}


# in this order: the first that fits decides
_TESTS: tuple[tuple[Content, Callable[[bytes], bool]], ...] = (
    (Content.EMPTY, lambda head: not head),
    (Content.GGUF, lambda head: head.startswith(b"GGUF")),
    (Content.ZIP, lambda head: head.startswith((b"PK\x03\x04", b"PK\x05\x06"))),
    (Content.PICKLE, _is_pickle),
    (Content.SAFETENSORS, _is_safetensors),
    (Content.JSON, lambda head: head.lstrip()[:1] in {b"{", b"["} and _is_text(head)),
    (Content.TEXT, _is_text),
    (Content.ONNX, _is_onnx),
    (Content.UNKNOWN, lambda _: True),
)
