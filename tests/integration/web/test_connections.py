"""Who says half a request is let go, who says its length twice is refused, and nobody else waits for either."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from web import connections

pytestmark = pytest.mark.anyio
HALF = b"GET / HTTP/1.1\r\nHost: box\r\nX-A: "
WHOLE = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: box\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def application(scope, receive, send) -> None:
    """Reads the body, then answers with as many bytes as the query says."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(scope["query_string"] or 1)):
        await send({"type": "http.response.body", "body": b"x" * 1_000, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(limit: int = connections.LINE_LIMIT):
    """Gives a function that opens a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        http = connections.timed_connections(limit)
        server = uvicorn.Server(uvicorn.Config(application, http=http, lifespan="off", log_config=None, timeout_keep_alive=5))
        serving = asyncio.create_task(server.serve([listener]))
        opened = []

        async def connect(said: bytes = b""):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            opened.append(writer)
            writer.write(said)
            return reader, writer

        try:
            yield connect
        finally:
            for writer in opened:
                writer.transport.abort()
            server.should_exit = True
            await serving


async def ended(reader: asyncio.StreamReader, within: float = 3.0) -> bytes:
    """What came until the other side closed; fails where it does not."""
    said = b""
    with suppress(ConnectionError):
        said = await asyncio.wait_for(reader.read(), within)
    return said


async def answered(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 3)


@pytest.mark.parametrize("said", [b"", HALF, WHOLE + HALF, POST + b"Content-Length: 9\r\n\r\nhalf"], ids=str)
async def test_what_is_not_said_in_time_is_not_waited_for(monkeypatch, said: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    monkeypatch.setattr(connections, "SILENCE_S", 0.3)
    async with serving() as connect:
        reader, writer = await connect()
        if said.startswith(WHOLE):
            writer.write(WHOLE)
            await answered(reader)
            said = HALF
        writer.write(said)
        assert await ended(reader) == b""


async def test_a_head_that_drips_is_no_more_in_time(monkeypatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.4)
    async with serving() as connect:
        reader, writer = await connect(HALF)
        end = asyncio.create_task(ended(reader))
        for _ in range(20):
            if end.done():
                break
            writer.write(b"x")
            await asyncio.sleep(0.1)
        assert end.done()
        await end


async def test_an_answer_that_nobody_fetches_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(connections, "SILENCE_S", 0.3)
    async with serving() as connect:
        reader, writer = await connect(WHOLE.replace(b"/", b"/?50000", 1))
        writer.transport.pause_reading()
        await asyncio.sleep(1)
        writer.transport.resume_reading()
        assert len(await ended(reader)) < 50_000_000


async def test_bodies_that_go_on_slow_answers_and_idle_browsers_are_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    monkeypatch.setattr(connections, "SILENCE_S", 0.3)
    async with serving() as connect:
        reader, writer = await connect(POST + b"Content-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        assert b"200 OK" in await answered(reader)
        writer.write(WHOLE.replace(b"/", b"/slow", 1))
        assert b"200 OK" in await answered(reader)
        await asyncio.sleep(0.6)
        writer.write(WHOLE)
        assert b"200 OK" in await answered(reader)


async def test_a_full_line_lets_go_of_who_was_silent_longest() -> None:
    async with serving(limit=4) as connect:
        half = [(await connect(HALF))[0] for _ in range(10)]
        for _ in range(3):
            reader, _ = await connect(WHOLE)
            assert b"200 OK" in await answered(reader)
        # three that were answered wait for what is asked next
        assert [await ended(reader) for reader in half[:9]] == [b""] * 9
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(half[9].read(), 0.2)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_length_told_in_two_ways_is_refused_and_the_connection_closed(order: int) -> None:
    lengths = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"][::order]
    async with serving() as connect:
        reader, _ = await connect(POST + b"".join(lengths) + b"\r\n0\r\n\r\n" + WHOLE)
        said = await ended(reader)
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1
    assert b"connection: close" in said.lower()


async def test_that_no_connection_can_be_taken_is_said_once_a_minute(monkeypatch, caplog) -> None:
    now = 100.0
    monkeypatch.setattr(connections, "monotonic", lambda: now)
    seldom = connections.SeldomFull()

    def passes(words: str) -> bool:
        return seldom.filter(logging.LogRecord("asyncio", logging.ERROR, "", 0, words, None, None))

    told = [passes("socket.accept() out of system resource\nsocket: <x>") for _ in range(3)]
    assert told == [True, False, False]
    assert passes("Task exception was never retrieved")
    now += connections._LOG_AGAIN_S
    assert passes("socket.accept() out of system resource\nsocket: <y>")
