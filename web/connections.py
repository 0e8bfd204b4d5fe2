"""What a connection may do before anybody knows whose it is: say a request in time, and say its length once.

Whenever it is the other side's turn (a request is not complete, an answer is not fetched, nothing is asked), the connection
stands in one line for the whole server. A line that is full lets go of whoever was silent longest: whoever says what they want
in one breath finds the door open, however many stand there with half a sentence.
"""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from functools import partial
from logging import Filter, LogRecord
from time import monotonic
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""From the first byte, or from the beginning, to the end of a request's head."""

SILENCE_S = 30.0
"""Between two pieces of a body, and until a full pipe takes more of an answer."""

LINE_LIMIT = 512
_DESCRIPTORS = 65_536
_LOG_AGAIN_S = 60.0


class _OneLength(h11.Connection):
    """Refuses requests whose length is told in two ways: somebody between may have read the other one (RFC 9112, 6.1)."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request) and {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
            raise h11.RemoteProtocolError("two lengths")
        return event


class Line:
    """Those who are waited for, longest silent first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: OrderedDict[TimedConnection, None] = OrderedDict()

    def join(self, connection: TimedConnection) -> None:
        self._waiting[connection] = None
        self._waiting.move_to_end(connection)
        if len(self._waiting) > self._limit:
            first, _ = self._waiting.popitem(last=False)
            first.transport.abort()

    def leave(self, connection: TimedConnection) -> None:
        self._waiting.pop(connection, None)


class TimedConnection(H11Protocol):
    def __init__(self, line: Line, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _OneLength(h11.SERVER)
        self._line = line
        self._timer: asyncio.TimerHandle | None = None
        self._head_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._take_turns()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._take_turns()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take_turns()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take_turns()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is None or self._unread():
            self._take_turns()
        else:
            self._rest()
            self._line.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _take_turns(self) -> None:
        """After anything that may have changed whose turn it is. Time for a head runs on while its bytes come in."""
        unread, awaited = self._unread(), self.conn.their_state
        head = awaited is h11.IDLE and not unread
        if not (head and self._head_begun):
            self._rest()
        if self._timer is None and (unread or awaited in {h11.IDLE, h11.SEND_BODY}):
            self._head_begun = head
            self._timer = self.loop.call_later(HEAD_S if head else SILENCE_S, self._out_of_time)
        if self._timer is not None:
            self._line.join(self)

    def _unread(self) -> bool:
        """Whether there is more of an answer than the network took."""
        return self.transport.get_write_buffer_size() > 0

    def _rest(self) -> None:
        self._head_begun = False
        self._line.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        body = self.conn.their_state is h11.SEND_BODY
        if self._head_begun or self._unread() or (body and not self.flow.read_paused):
            self.transport.abort()
        elif body:
            self._take_turns()  # it is we who do not listen


def timed_connections(limit: int = LINE_LIMIT) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection of one server; `limit` may be waited for at a time."""
    return cast("type[asyncio.Protocol]", partial(TimedConnection, Line(limit)))


def allow_connections() -> None:
    """As many descriptors as this process may have; the soft limit is often 1,024, for programs that use select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _DESCRIPTORS) if hard >= 0 else _DESCRIPTORS, hard))


class SeldomFull(Filter):
    """That no connection could be taken is said once a minute: asyncio says it for each that waits, each second."""

    def __init__(self) -> None:
        super().__init__()
        self._again = 0.0

    def filter(self, record: LogRecord) -> bool:
        if not record.getMessage().startswith("socket.accept() out of system resource"):
            return True
        now = monotonic()
        if now < self._again:
            return False
        self._again = now + _LOG_AGAIN_S
        return True
