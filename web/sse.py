"""Server-sent events (WHATWG HTML, section 9.2): frames, keep-alive comments, and an end when the session or the server ends.

A handler authorises first, then returns `event_stream(request, source)`, where `source` is an async iterator of `Event`. When the
source is silent a comment goes out, so that proxies keep the connection; a browser that lost it comes back with `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec
from litestar import Request
from litestar.response import Stream

from appliance.errors import ApplianceError
from web.authentication import session_alive
from web.errors import report

KEEP_ALIVE_S = 15.0
ASKED_S = 1.0
"""How old the word that the session stands may be when something is sent; many pieces a second are not as many questions."""

_ASK_AGAIN_S = 0.25
RETRY_MS = 1_000
"""How long a browser waits before it connects again."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is JSON on one line, `id` is what the browser sends back as `Last-Event-ID`."""

    name: str
    data: str
    id: str | None = None

    def encode(self) -> bytes:
        mark = f"id: {self.id}\n" if self.id is not None else ""
        # JSON holds no line end of the protocol; those that only Unicode calls so (U+2028, U+0085) are text like any other
        return f"{mark}event: {self.name}\ndata: {self.data}\n\n".encode()


def event_stream(request: Request[Any, Any, Any], source: AsyncIterator[Event]) -> Stream:
    """The response that sends `source` until it ends, the session ends or the server shuts down."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_frames(request, source), media_type="text/event-stream", headers=headers)


async def _frames(request: Request[Any, Any, Any], source: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    closing = asyncio.ensure_future(request.app.state.closing.wait())
    pending = asyncio.ensure_future(anext(source))
    checked = monotonic()
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            done, _ = await asyncio.wait({pending, closing}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if closing in done:
                return
            if monotonic() - checked >= ASKED_S:
                checked = monotonic()
                if not await asyncio.to_thread(session_alive, request):
                    return
            if not done:
                yield b": keep-alive\n\n"
                continue
            event = _result(pending)
            if event is None:
                return
            yield event.encode()
            if event.name == "problem":
                return
            pending = asyncio.ensure_future(anext(source))
    finally:
        closing.cancel()
        while not pending.done():
            pending.cancel()  # one that falls on the very end of a read is lost: ask again
            await asyncio.wait({pending}, timeout=_ASK_AGAIN_S)
        # how it ended has been told already, or there is nobody left to tell
        await asyncio.gather(closing, pending, return_exceptions=True)
        await source.aclose()  # type: ignore[attr-defined]


def _result(pending: asyncio.Future[Event]) -> Event | None:
    """The next event; None at the end. The response has begun, so errors can only be told as an event."""
    try:
        return pending.result()
    except StopAsyncIteration:
        return None
    except ApplianceError as error:
        return Event("problem", _json(error.diagnostics()))
    except Exception as error:  # noqa: BLE001  the status line is sent; the log keeps what happened
        return Event("problem", _json(report("stream.failed", error)))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
