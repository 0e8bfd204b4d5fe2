"""The templates of Modelfiles: the part of Go's text/template that chat templates use, evaluated over plain values. Pure.

Text, fields, variables, `if`, `range`, `with`, pipelines and a dozen functions (https://pkg.go.dev/text/template). What is not
known is refused when the template is read, never skipped: a template that is half understood writes another conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.inference.go_template.expressions import wrong
from appliance.inference.go_template.pieces import written
from appliance.inference.go_template.reading import Reader

_LIMIT = 50_000
_OUTPUT_LIMIT = 2_000_000


class GoTemplate:
    """A template that was read. `fields` are the names that it asks for, with a dot or after a variable."""

    def __init__(self, text: str) -> None:
        """Raises `InvalidInput` (`modelfile.template`)."""
        if len(text) > _LIMIT:
            raise wrong(f"it has more than {_LIMIT:,} characters")
        reader = Reader(text)
        self._pieces = reader.block({"$"}, 0, top=True)
        self.fields = frozenset(reader.fields)

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises `InvalidInput` (`modelfile.template`) where a value is not what the template takes it for."""
        found, length = [], 0
        try:
            for text in written(self._pieces, values, {"$": [values]}):
                length += len(text)
                if length > _OUTPUT_LIMIT:
                    raise wrong("it writes without end")
                found.append(text)
        except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
            raise wrong(f"a value is not what it takes it for ({error})") from error
        return "".join(found)
