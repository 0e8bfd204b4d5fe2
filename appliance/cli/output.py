"""What a command says: sentences for people, or one JSON document on the last line."""

from __future__ import annotations

import json
import sys

from appliance.errors import ApplianceError


class Output:
    """Progress goes to stderr, so that stdout holds the result alone."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def progress(self, line: str) -> None:
        """A step of long work."""
        print(line, file=sys.stderr, flush=True)

    def part(self, line: str) -> None:
        """A line of the result as soon as it is known; with `--json` nothing, since the document comes whole."""
        if not self.as_json:
            print(line, flush=True)

    def result(self, document: dict[str, object], *lines: str) -> None:
        """The outcome: `document` with `--json`, else the lines."""
        if self.as_json:
            print(json.dumps(document, ensure_ascii=False, separators=(",", ":")), flush=True)
        elif lines:
            print("\n".join(lines), flush=True)

    def failure(self, error: ApplianceError) -> None:
        """What went wrong, in one sentence, with the code for programs."""
        if self.as_json:
            print(json.dumps({"error": error.diagnostics()}, ensure_ascii=False), flush=True)
        print(f"cloister: {error.sentence}", file=sys.stderr, flush=True)
