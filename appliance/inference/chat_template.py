"""Prompts for models that come as a folder with a tokenizer and a chat template of their own.

A template joins markers and message text into one string, and a tokenizer cannot tell a marker from text that merely looks like
one: a document could open a turn of its own. So the template is filled with placeholders; markers are looked up in what the
template itself wrote, and the messages are put in as text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.errors import SetupError
from appliance.inference.models import PromptMessage


class Tokenizer(Protocol):
    """The part of the tokenizers library that is used."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Any: ...
    def token_to_id(self, token: str) -> int | None: ...


class ChatTokenizer:
    """The tokenizer and the chat template of a model folder. Raises `SetupError` where one is missing or unusable."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        described = read_json(folder / "tokenizer_config.json")
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
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(_template_of(folder, described))
        except TemplateError as error:
            raise _unusable(str(error)) from error
        self._names = {name: _text(described.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The prompt, ready for the answer. Raises `SetupError` (`setup.model_template`)."""
        return self._tokens(messages, for_answer=True)

    def opening(self, message: PromptMessage) -> int:
        """How many tokens the turn of a first message takes; how far a prompt is the same for everybody who begins with it."""
        return len(self._tokens([message], for_answer=False))

    def decoder(self) -> AnswerDecoder:
        return AnswerDecoder(self._reading)

    def _tokens(self, messages: Sequence[PromptMessage], *, for_answer: bool) -> list[int]:
        key = secrets.token_hex(8)
        shown = [{"role": message.role, "content": f"[{key}.{number}]"} for number, message in enumerate(messages)]
        try:
            written = self._template.render(messages=shown, add_generation_prompt=for_answer, **self._names)
        except TemplateError as error:
            raise _unusable(str(error)) from error
        parts = re.split(rf"\[{key}\.(\d+)\]", written)
        if sorted(parts[1::2], key=int) != [str(number) for number in range(len(messages))]:
            raise _unusable("it leaves out a message")
        tokens: list[int] = []
        for marker, text in self._runs(parts, messages):
            tokens += self._writing.encode(text, add_special_tokens=False).ids
            if marker is not None:
                tokens.append(marker)
        return tokens

    def _runs(self, parts: list[str], messages: Sequence[PromptMessage]) -> Iterator[tuple[int | None, str]]:
        """Stretches of text, each up to a marker of the template or the end."""
        text = ""
        for place, part in enumerate(parts):
            if place % 2:
                text += messages[int(part)].text
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
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        return separate.read_text(encoding="utf-8")
    template = described.get("chat_template")
    if isinstance(template, list):  # several under names
        template = next((one.get("template") for one in template if one.get("name") == "default"), None)
    if not isinstance(template, str):
        raise _unusable("the folder has none")
    return template


def _text(token: Any) -> str:
    """A token as the description writes it: a string, or an object that holds one."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else ""


def _refuse(reason: str) -> None:
    raise TemplateError(reason)


def _unusable(reason: str) -> SetupError:
    return SetupError(f"The model's chat template cannot be used: {reason}.", code="setup.model_template")
