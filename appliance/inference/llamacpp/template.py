"""Chat templates: the one that a model's own file carries, for models that do not know ChatML, and the one of a Modelfile."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.errors import InvalidInput, SetupError
from appliance.inference.chat_template import ChatTemplate
from appliance.inference.conversation_template import ConversationTemplate
from appliance.inference.llamacpp.native import NativeModel
from appliance.inference.models import PromptMessage


class Template:
    """The model's own template; only what it writes itself may hold markers."""

    def __init__(self, native: NativeModel, template: str) -> None:
        self._native = native
        self._bos, names = native.sentence_tokens()
        self._template = ChatTemplate(template, names)

    def turns(self, messages: Sequence[PromptMessage]) -> list[int]:
        return _tokens_of(self._native, self._template.parts(messages, for_answer=False), messages, self._bos)

    def render(self, messages: Sequence[PromptMessage]) -> list[int]:
        return _tokens_of(self._native, self._template.parts(messages, for_answer=True), messages, self._bos)


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
