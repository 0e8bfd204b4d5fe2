"""Chat templates: the one that a model's own file carries, for models that do not know ChatML, and the one of a Modelfile."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.errors import InvalidInput, SetupError
from appliance.inference.conversation_template import ConversationTemplate
from appliance.inference.llamacpp.native import NativeModel
from appliance.inference.models import PromptMessage


class Template:
    """The model's own template, filled with placeholders; only the text between them may hold markers."""

    def __init__(self, native: NativeModel, template: str) -> None:
        self._native = native
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise _unusable(str(error)) from error
        self._bos, self._names = native.sentence_tokens()

    def turns(self, messages: Sequence[PromptMessage]) -> list[int]:
        return self._tokens(messages, for_answer=False)

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        return self._tokens(messages, for_answer=True)

    def _tokens(self, messages: Sequence[PromptMessage], *, for_answer: bool) -> list[int]:
        key = secrets.token_hex(8)
        shown = [{"role": message.role, "content": f"[{key}.{number}]"} for number, message in enumerate(messages)]
        try:
            written = self._template.render(messages=shown, add_generation_prompt=for_answer, **self._names)
        except TemplateError as error:
            raise _unusable(str(error)) from error
        parts = re.split(rf"\[{key}\.(\d+)\]", written)
        if parts[1::2] != [str(number) for number in range(len(messages))]:
            raise _unusable("it leaves out a message or turns them round")
        pieces = [int(part) if place % 2 else part for place, part in enumerate(parts)]
        return _tokens_of(self._native, pieces, messages, self._bos)


class ModelfileTemplate:
    """The TEMPLATE of a version's Modelfile."""

    def __init__(self, native: NativeModel, template: str) -> None:
        self._native = native
        self._bos, _ = native.sentence_tokens()
        try:
            self._template = ConversationTemplate(template)
        except InvalidInput as error:
            raise SetupError(error.sentence, code="setup.model_template") from error

    def turns(self, messages: Sequence[PromptMessage]) -> list[int]:
        """Up to the last word of the last message: what follows it may depend on what comes next."""
        parts = self._template.parts(messages)
        return _tokens_of(self._native, parts[: parts.index(len(messages) - 1) + 1] if messages else [], messages, self._bos)

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        return _tokens_of(self._native, self._template.parts(messages), messages, self._bos)


def _tokens_of(
    native: NativeModel, parts: Sequence[str | int], messages: Sequence[PromptMessage], begin: int | None
) -> list[int]:
    """Only what the template wrote may become a control token; a number stands for the text of a message."""
    tokens: list[int] = []
    for part in parts:
        is_text = isinstance(part, str)
        tokens += native.tokenise(part if isinstance(part, str) else messages[part].text, special=is_text)
    if begin is not None and tokens[:1] != [begin]:
        tokens.insert(0, begin)
    return tokens


def _refuse(reason: str) -> None:
    raise TemplateError(reason)


def _unusable(reason: str) -> SetupError:
    return SetupError(f"The chat template of the language model cannot be used: {reason}.", code="setup.model_template")
