"""How a conversation is written down for a model: as its Modelfile says, in ChatML where it knows the markers, or by its own
template.

Markers are told from text that merely looks like one: only what the template itself wrote may become a control token. A document
could open a turn of its own otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from appliance.errors import SetupError
from appliance.inference.llamacpp.native import NativeModel
from appliance.inference.models import PromptMessage


class Dialect(Protocol):
    """A way of writing conversations."""

    def turns(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The turns of the conversation so far, as tokens."""

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        """The same, ready for the answer."""


def dialect_of(native: NativeModel, modelfile_template: str = "") -> Dialect:
    """Raises `SetupError` (`setup.model_template`) for a model that knows neither ChatML nor a template of its own.

    The TEMPLATE of a Modelfile goes before both.
    """
    if modelfile_template:
        from appliance.inference.llamacpp.template import ModelfileTemplate

        return ModelfileTemplate(native, modelfile_template)
    try:
        return _ChatML(native)
    except SetupError:
        template = native.template()
        if not template:
            raise
    from appliance.inference.llamacpp.template import Template

    return Template(native, template)


class _ChatML:
    """Markers are placed by number."""

    def __init__(self, native: NativeModel) -> None:
        self._native = native
        self._start, self._end = native.control_token("<|im_start|>"), native.control_token("<|im_end|>")
        self._newline = native.tokenise("\n", special=False)
        self._opening = [*native.tokenise("assistant\n", special=False), *_no_thought(native)]

    def turns(self, messages: Sequence[PromptMessage]) -> list[int]:
        tokens: list[int] = []
        for message in messages:
            text = self._native.tokenise(f"{message.role}\n{message.text}", special=False)
            tokens += [self._start, *text, self._end, *self._newline]
        return tokens

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        return [*self.turns(messages), self._start, *self._opening]


def _no_thought(native: NativeModel) -> list[int]:
    """What keeps a model from thinking aloud before its answer; nothing for one that does not."""
    text = native.template()
    if "<think>" not in text:
        return []
    from appliance.inference.chat_template import NO_THOUGHT, keeps_from_thinking

    return native.tokenise(NO_THOUGHT, special=True) if keeps_from_thinking(text, native.sentence_tokens()[1]) else []
