"""The Jinja chat template that a model brings along, in its file or its folder. Pure.

A template joins markers and message text into one string, and a tokenizer cannot tell a marker from text that merely looks like
one: a document could open a turn of its own. So the template is filled with placeholders, and only what it wrote itself may
become markers.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.errors import SetupError
from appliance.inference.models import PromptMessage


class ChatTemplate:
    """A template that was read; `names` are the texts of tokens it may ask for, as `bos_token`."""

    def __init__(self, text: str, names: Mapping[str, str]) -> None:
        """Raises `SetupError` (`setup.model_template`)."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(text)
        except TemplateError as error:
            raise unusable(str(error)) from error
        self._names = names

    def parts(self, messages: Sequence[PromptMessage], *, for_answer: bool) -> list[str | int]:
        """What the template writes; a number stands for the text of the message in that place.

        Raises `SetupError` (`setup.model_template`) where the template refuses, leaves out a message or turns them round.
        """
        key = secrets.token_hex(8)
        shown = [{"role": message.role, "content": f"[{key}.{number}]"} for number, message in enumerate(messages)]
        try:
            written = self._template.render(messages=shown, add_generation_prompt=for_answer, **self._names)
        except TemplateError as error:
            raise unusable(str(error)) from error
        parts = re.split(rf"\[{key}\.(\d+)\]", written)
        if parts[1::2] != [str(number) for number in range(len(messages))]:
            raise unusable("it leaves out a message or turns them round")
        return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def unusable(reason: str) -> SetupError:
    """The error for a template that no prompt can be written with."""
    return SetupError(f"The chat template of the language model cannot be used: {reason}.", code="setup.model_template")


def _refuse(reason: str) -> None:
    raise TemplateError(reason)
