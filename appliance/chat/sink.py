"""Where a growing answer is shown while it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog


class DeltaSink(Protocol):
    """What the answering side tells a watcher. The row in the database is the truth, the sink a live view of it."""

    def reset(self, attempt: int) -> None:
        """The answer starts, or starts again after a crash: forget what was shown."""

    def stage(self, name: str) -> None:
        """What is happening now: `searching`, `reading N` (passages), `writing`, `again` (a second try), `checking`."""

    def delta(self, text: str, offset: int) -> None:
        """The next piece of text; `offset` counts the characters shown before it."""

    def finished(self, message_id: str) -> None:
        """The answer is stored, in whatever state; read it from the database."""


class SilentSink:
    """Shows nothing: for callers that only want the stored answer."""

    def reset(self, attempt: int) -> None: ...

    def stage(self, name: str) -> None: ...

    def delta(self, text: str, offset: int) -> None: ...

    def finished(self, message_id: str) -> None: ...


class ToleratingSink:
    """Passes everything on until the sink behind it fails, then goes quiet: nobody watching must not cost the answer."""

    def __init__(self, sink: DeltaSink, message_id: str) -> None:
        self._sink: DeltaSink = sink
        self._message_id = message_id

    def reset(self, attempt: int) -> None:
        self._tell(lambda sink: sink.reset(attempt))

    def stage(self, name: str) -> None:
        self._tell(lambda sink: sink.stage(name))

    def delta(self, text: str, offset: int) -> None:
        self._tell(lambda sink: sink.delta(text, offset))

    def finished(self, message_id: str) -> None:
        self._tell(lambda sink: sink.finished(message_id))

    def _tell(self, word: Callable[[DeltaSink], None]) -> None:
        try:
            word(self._sink)
        except Exception as error:  # noqa: BLE001 - whatever broke the live view, the answer goes on
            structlog.get_logger().warning("sink_failed", message_id=self._message_id, error=type(error).__name__)
            self._sink = SilentSink()
