"""A Modelfile's TEMPLATE as a way of writing conversations down, for every runtime that writes them itself. Pure.

Two kinds are in use, and mean what they mean to Ollama: one goes over `.Messages`; the older one is written once for each
exchange, of `.System`, `.Prompt` and `.Response`, and stops where the answer belongs.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from appliance.inference.go_template import GoTemplate
from appliance.inference.go_template.expressions import wrong
from appliance.inference.models import PromptMessage

_KNOWN = frozenset(
    {"Messages", "System", "Prompt", "Response", "Role", "Content", "Suffix"}
    # of models that think or call tools: empty here but for IsThinkSet, since nothing is asked of them but an answer
    | {"Tools", "ToolCalls", "ToolName", "Thinking", "Think", "ThinkLevel", "IsThinkSet", "Images"}
    | {"Function", "Name", "Arguments", "Description", "Parameters"}
)
_TRIED = (("system",), ("user",), ("system", "user"), ("system", "user", "assistant", "user"))


class ConversationTemplate:
    """A template that was read and tried: it shows every message once, in order."""

    def __init__(self, text: str) -> None:
        """Raises `InvalidInput` (`modelfile.template`)."""
        template = GoTemplate(text)
        unknown = template.fields - _KNOWN
        if unknown:
            raise wrong(f".{min(unknown)} is not known")
        self._by_messages = "Messages" in template.fields
        if not self._by_messages and "Prompt" not in template.fields:
            raise wrong("it shows neither .Messages nor .Prompt")
        needs_end = not self._by_messages and "Response" not in template.fields
        self._template = GoTemplate(text + "{{ .Response }}") if needs_end else template
        for roles in _TRIED:
            # the words are placeholders in `parts`; only roles matter here
            self.parts([PromptMessage(role, "") for role in roles])  # type: ignore[arg-type]

    def parts(self, messages: Sequence[PromptMessage]) -> list[str | int]:
        """What the template writes, up to the answer; a number stands for the text of the message in that place.

        Text of messages never passes through the template, so that it cannot be taken for markers. Raises `InvalidInput`
        (`modelfile.template`) where the template leaves out a message or turns them round.
        """
        key = secrets.token_hex(8)
        shown = [(message.role, f"[{key}.{number}]") for number, message in enumerate(messages)]
        written = self._of_messages(shown) if self._by_messages else self._of_exchanges(shown, f"[{key}.answer]")
        pieces = re.split(rf"\[{key}\.(\d+)\]", written)
        if pieces[1::2] != [str(number) for number in range(len(messages))]:
            raise wrong("it leaves out a message, shows one twice or turns them round")
        return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]

    def _of_messages(self, shown: Sequence[tuple[str, str]]) -> str:
        return self._template.render(
            {
                "System": "\n\n".join(text for role, text in shown if role == "system"),
                "Messages": [{"Role": role, "Content": text} for role, text in shown],
                "IsThinkSet": True,  # said, and not asked for
            }
        )

    def _of_exchanges(self, shown: Sequence[tuple[str, str]], answer: str) -> str:
        done, exchange = [], {"System": "", "Prompt": "", "Response": ""}
        for role, text in shown:
            begins_anew = exchange["Prompt"] or exchange["Response"] if role == "system" else exchange["Response"]
            if begins_anew:
                done.append(self._template.render(exchange))
                exchange = {"System": "", "Prompt": "", "Response": ""}
            exchange[{"system": "System", "user": "Prompt", "assistant": "Response"}[role]] = text
        last = self._template.render(exchange | {"Response": answer})
        if answer not in last:
            raise wrong("it has no place for the answer")
        return "".join(done) + last[: last.index(answer)]
