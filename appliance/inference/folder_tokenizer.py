"""Prompts for models that come as a folder with a tokenizer and a chat template of their own.

Markers are looked up in what the template itself wrote; the messages are put in as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.errors import SetupError
from appliance.inference.chat_template import ChatTemplate, unusable
from appliance.inference.models import PromptMessage

DESCRIPTION = "tokenizer_config.json"
SEPARATE_TEMPLATE = "chat_template.jinja"


class ChatTokenizer:
    """The tokenizer and the chat template of a model folder. Raises `SetupError` where one is missing or unusable."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        described = self._described = read_json(folder / DESCRIPTION)
        content = read_json(folder / "tokenizer.json")
        self._reading = Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = content.get("added_tokens") or []
        self._markers = {str(token["content"]): int(token["id"]) for token in added}
        for token in added:  # text may not become one of the others either
            token["special"] = True
        self._writing = Tokenizer.from_str(json.dumps(content))
        self._writing.encode_special_tokens = True
        pattern = "|".join(map(re.escape, sorted(self._markers, key=len, reverse=True)))
        self._marker_pattern = re.compile(f"({pattern})" if pattern else "(?!)")
        names = {name: _text(described.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
        self._template = ChatTemplate(_template_of(folder, described), names)

    def for_others(self) -> dict[str, Any]:
        """The description of the folder, for a library that fills in the template by itself: with the one that is used here."""
        return self._described | {"chat_template": self._template.for_others()}

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The prompt, ready for the answer. Raises `SetupError` (`setup.model_template`)."""
        return self._tokens(messages, for_answer=True)

    def opening(self, message: PromptMessage) -> int:
        """How many tokens the turn of a first message takes; how far a prompt is the same for everybody who begins with it.

        None where the template gives it no turn of its own.
        """
        try:
            return len(self._tokens([message], for_answer=False))
        except SetupError:
            return 0

    def without_markers(self, text: str) -> str:
        """For libraries that take text alone: each marker in it broken by a space of no width."""
        return self._marker_pattern.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)

    def decoder(self) -> AnswerDecoder:
        return AnswerDecoder(self._reading)

    def _tokens(self, messages: Sequence[PromptMessage], *, for_answer: bool) -> list[int]:
        tokens: list[int] = []
        for marker, text in self._runs(self._template.parts(messages, for_answer=for_answer), messages):
            tokens += self._writing.encode(text, add_special_tokens=False).ids
            if marker is not None:
                tokens.append(marker)
        return tokens

    def _runs(self, parts: Sequence[str | int], messages: Sequence[PromptMessage]) -> Iterator[tuple[int | None, str]]:
        """Stretches of text, each up to a marker of the template or the end."""
        text = ""
        for part in parts:
            if isinstance(part, int):
                text += messages[part].text
                continue
            for index, piece in enumerate(self._marker_pattern.split(part)):
                if index % 2:
                    yield self._markers[piece], text
                    text = ""
                else:
                    text += piece
        yield None, text


class AnswerDecoder:
    """Tokens of one answer to text; characters made of several tokens come whole."""

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def add(self, token: int) -> str:
        return self._stream.step(self._tokenizer, token) or ""


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file of the folder. Raises `SetupError` (`inference.folder`) with the file's name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        content = None
    except (OSError, ValueError) as error:
        raise SetupError(
            f"The file {path.name} of the model folder {path.parent.name} is damaged.", code="inference.folder"
        ) from error
    if not isinstance(content, dict):
        raise SetupError(f"The model folder {path.parent.name} has no usable {path.name}.", code="inference.folder")
    return content


def _template_of(folder: Path, described: dict[str, Any]) -> str:
    separate = folder / SEPARATE_TEMPLATE
    if separate.is_file():
        return separate.read_text(encoding="utf-8")
    template = described.get("chat_template")
    if isinstance(template, list):  # several under names
        template = next((one.get("template") for one in template if one.get("name") == "default"), None)
    if not isinstance(template, str):
        raise unusable("the folder has none")
    return template


def _text(token: Any) -> str:
    """A token as the description writes it: a string, or an object that holds one."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else ""
