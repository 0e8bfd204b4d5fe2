"""The Jinja chat template that a model brings along, in its file or its folder. Pure.

A template joins markers and message text into one string, and a tokenizer cannot tell a marker from text that merely looks like
one: a document could open a turn of its own. So the template is filled with placeholders, and only what it wrote itself may
become markers.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.errors import SetupError
from appliance.inference.models import PromptMessage

NO_THOUGHT = "<think>\n\n</think>\n\n"
"""What models that think aloud first were trained to read where they shall not: it would take the room of the answer."""

_BEGUN_THOUGHT = re.compile(r"<think>\s*\Z")
_TRIED: tuple[tuple[Literal["system", "user", "assistant"], ...], ...] = (
    ("system", "user"),
    ("system", "user", "assistant", "user"),
)


class ChatTemplate:
    """A template that was read and tried; `names` are the texts of tokens it may ask for, as `bos_token`."""

    def __init__(self, text: str, names: Mapping[str, str]) -> None:
        """Raises `SetupError` (`setup.model_template`)."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(text)
        except TemplateError as error:
            raise unusable(str(error)) from error
        self._text, self._names = text, names
        for roles in _TRIED:  # the words are placeholders in `parts`; only roles matter here
            self.parts([PromptMessage(role, "") for role in roles], for_answer=True)

    def parts(self, messages: Sequence[PromptMessage], *, for_answer: bool) -> list[str | int]:
        """What the template writes; a number stands for the text of the message in that place.

        Where it knows no words of the system, or writes them before the last question, they begin the first question.
        Raises `SetupError` (`setup.model_template`) where the template refuses, leaves out a message or turns them round.
        """
        try:
            return self._parts(messages, for_answer=for_answer, joined=False)
        except SetupError:
            if [message.role for message in messages[:2]] != ["system", "user"]:
                raise
        return self._parts(messages, for_answer=for_answer, joined=True)

    def _parts(self, messages: Sequence[PromptMessage], *, for_answer: bool, joined: bool) -> list[str | int]:
        key = secrets.token_hex(8)
        shown = [{"role": message.role, "content": f"[{key}.{number}]"} for number, message in enumerate(messages)]
        if joined:
            shown[:2] = [{"role": "user", "content": "\n\n".join(turn["content"] for turn in shown[:2])}]
        written = self._written(shown, for_answer=for_answer)
        if for_answer:
            written = _BEGUN_THOUGHT.sub(NO_THOUGHT, written)
        parts = re.split(rf"\[{key}\.(\d+)\]", written)
        if parts[1::2] != [str(number) for number in range(len(messages))]:
            raise unusable("it leaves out a message or turns them round")
        return [int(part) if place % 2 else part for place, part in enumerate(parts)]

    def for_others(self) -> str:
        """Its text, for a library that fills it in by itself and asks for thoughts unless told otherwise there."""
        if "<think>" not in self._text:
            return self._text
        written = self._written([{"role": "user", "content": ""}], for_answer=True)
        end = "\n</think>\n\n" if written.endswith("\n") else "\n\n</think>\n\n"
        ending = f"{{% if add_generation_prompt %}}{{{{ '{end}' }}}}{{% endif %}}" if _BEGUN_THOUGHT.search(written) else ""
        return f"{{%- set enable_thinking = false -%}}{self._text}{ending}"

    def _written(self, shown: Sequence[Mapping[str, str]], *, for_answer: bool) -> str:
        given = {**self._names, "messages": shown, "add_generation_prompt": for_answer, "enable_thinking": False}
        try:
            return self._template.render(given)
        except (TemplateError, TypeError) as error:
            raise unusable(str(error)) from error


def keeps_from_thinking(text: str, names: Mapping[str, str]) -> bool:
    """Whether this template writes `NO_THOUGHT` before an answer; not where it cannot be used."""
    try:
        *_, last = ChatTemplate(text, names).parts([PromptMessage("user", "")], for_answer=True)
    except SetupError:
        return False
    return str(last).endswith(NO_THOUGHT)


def unusable(reason: str) -> SetupError:
    """The error for a template that no prompt can be written with."""
    return SetupError(f"The chat template of the language model cannot be used: {reason}.", code="setup.model_template")


def _refuse(reason: str) -> None:
    raise TemplateError(reason)
