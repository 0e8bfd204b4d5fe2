"""Frames of an event stream survive any text, and a reader who leaves takes everything along."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from web import sse


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\n", "\r\n", "\n\nevent: done"])
def test_no_text_ends_a_line_of_the_protocol(mark: str) -> None:
    data = json.dumps({"text": f"high{mark}water"}, ensure_ascii=False)
    frame = sse.Event("delta", data, "1-0").encode().decode()
    assert frame.replace(data, "DATA") == "id: 1-0\nevent: delta\ndata: DATA\n\n"
    assert not {"\r", "\n"} & set(data)


@pytest.mark.anyio
async def test_nothing_more_is_sent_to_whom_the_session_was_taken_from(monkeypatch) -> None:
    alive = True
    now = 0.0
    monkeypatch.setattr(sse, "monotonic", lambda: now)
    monkeypatch.setattr(sse, "session_alive", lambda _: alive)

    async def talkative():
        while True:
            yield sse.Event("documents", "{}")

    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(closing=asyncio.Event())))
    frames = sse._frames(request, talkative())
    assert (await anext(frames)).startswith(b"retry")
    assert b"documents" in await anext(frames)
    now += sse.ASKED_S
    assert b"documents" in await anext(frames)
    alive = False
    now += sse.ASKED_S
    assert [frame async for frame in frames] == []


@pytest.mark.anyio
async def test_a_reader_who_leaves_at_the_first_byte_leaves_nothing_running() -> None:
    ended = asyncio.Event()

    async def silent():
        try:
            await asyncio.sleep(3_600)
            yield sse.Event("never", "{}")
        finally:
            ended.set()

    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(closing=asyncio.Event())))
    before = asyncio.all_tasks()
    frames = sse._frames(request, silent())
    assert (await anext(frames)).startswith(b"retry")
    await asyncio.sleep(0)  # the source is being asked
    await frames.aclose()
    assert ended.is_set()
    assert asyncio.all_tasks() == before
