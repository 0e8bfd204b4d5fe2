"""The chat template that a model's own file carries, for models that do not know ChatML."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.errors import SetupError
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
        tokens: list[int] = []
        for place, part in enumerate(parts):
            text = messages[int(part)].text if place % 2 else part
            tokens += self._native.tokenise(text, special=place % 2 == 0)
        if self._bos is not None and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        return tokens


def _refuse(reason: str) -> None:
    raise TemplateError(reason)


def _unusable(reason: str) -> SetupError:
    return SetupError(f"The chat template of the language model cannot be used: {reason}.", code="setup.model_template")
