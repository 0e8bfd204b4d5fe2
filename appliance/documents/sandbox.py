"""Start the child that reads a file, and trust nothing it says.

The file travels as an anonymous memory file, never as plain text on disk. The child gets an empty environment, that one
descriptor and two pipes; its answers are length-checked, typed and counted, and it is killed at the end whatever happened.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from appliance.documents.models import PAGE_SEPARATOR, Heading, Page, ParsedDocument
from appliance.documents.parsing.messages import (
    LENGTH,
    MESSAGE_BYTES,
    PAGE_CHARACTERS,
    PAGES_LIMIT,
    Answer,
    Finished,
    LocateJob,
    Order,
    PageText,
    ParseJob,
    Picture,
    Progress,
    Rectangles,
    Refused,
    RenderJob,
)
from appliance.documents.rejections import rejected
from appliance.language.seen import one_line

_READ_BYTES = 1024 * 1024
_WAIT_MS = 1_000
_TITLE_CHARACTERS = 500
_LABEL_CHARACTERS = 200
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_END_S = 2
"""How long a child that has closed its mouth may take to end by itself."""
_decoder = msgspec.msgpack.Decoder(Answer)

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What a child may use: megabytes of address space, seconds of wall and processor time, megabytes of text."""

    memory_mb: int
    timeout_s: int
    output_mb: int


def parse_in_child(
    pieces: Iterable[bytes],
    media_type: str,
    limits: ParseLimits,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    on_wait: Callable[[], None] = lambda: None,
) -> ParsedDocument:
    """The text of a file, page by page. Raises `DocumentRejected` with the reason.

    `on_wait` is called about once a second while the child says nothing. What it or `on_progress` raises ends the child.
    """
    pages: list[Page] = []
    headings: list[Heading] = []
    start = 0
    left = limits.output_mb * 1_000_000
    for answer in _ask(pieces, ParseJob(media_type), limits, on_wait):
        match answer:
            case Progress(done=done, total=total):
                total = max(1, total)
                on_progress(min(max(0, done), total), total)
            case PageText(text=text, label=label):
                left -= len(text.encode("utf-8", "surrogatepass"))
                if left < 0 or len(text) > PAGE_CHARACTERS or len(answer.headings) > len(text):
                    raise rejected("document.too_large")
                if len(pages) >= PAGES_LIMIT:
                    raise rejected("document.too_many_pages")
                hidden = max(0, min(answer.hidden, PAGE_CHARACTERS))
                pages.append(Page(len(pages) + 1, start, text, one_line(label)[:_LABEL_CHARACTERS], hidden))
                headings += _placed(answer, start)
                start += len(text) + len(PAGE_SEPARATOR)
            case Finished(title=title):
                return ParsedDocument(tuple(pages), tuple(headings), one_line(title)[:_TITLE_CHARACTERS])
            case _:
                break
    raise rejected("document.parser_crashed")


def render_page_in_child(pieces: Iterable[bytes], number: int, width: int, limits: ParseLimits) -> bytes:
    """A page of a PDF as PNG. Raises `DocumentRejected`."""
    for answer in _ask(pieces, RenderJob(number, width), limits):
        if isinstance(answer, Picture):
            return answer.png
    raise rejected("document.parser_crashed")


def locate_in_child(pieces: Iterable[bytes], number: int, start: int, end: int, limits: ParseLimits) -> list[Rectangle]:
    """Where characters of a PDF page stand, as shares of its width and height. Raises `DocumentRejected`."""
    for answer in _ask(pieces, LocateJob(number, start, end), limits):
        if isinstance(answer, Rectangles):
            return [(_share(left), _share(top), _share(right), _share(bottom)) for left, top, right, bottom in answer.items]
    raise rejected("document.parser_crashed")


def _share(number: float) -> float:
    """Within the page; what is no number at all (NaN) is its edge."""
    return min(max(0.0, number), 1.0)


def _placed(page: PageText, offset: int) -> list[Heading]:
    inside = len(page.text)
    return [
        Heading(level, offset + start, offset + end)
        for level, start, end in page.headings
        if 0 <= start < end <= inside and level >= 1
    ]


def _ask(
    pieces: Iterable[bytes],
    job: ParseJob | RenderJob | LocateJob,
    limits: ParseLimits,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[Answer]:
    """Everything the child answers until it ends; a refusal is raised."""
    with _memory_file(pieces) as descriptor:
        order = Order(job, descriptor, limits.memory_mb, limits.timeout_s, limits.output_mb * 1_000_000)
        with _child(order, descriptor) as process:
            longest = MESSAGE_BYTES[type(job)]
            for answer in _answers(process, longest, time.monotonic() + limits.timeout_s, on_wait):
                if isinstance(answer, Refused):
                    raise rejected(answer.code)
                yield answer


@contextmanager
def _memory_file(pieces: Iterable[bytes]) -> Iterator[int]:
    descriptor = os.memfd_create("document", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            for piece in pieces:
                file.write(piece)
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _child(order: Order, descriptor: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "appliance.documents.parsing.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
        pass_fds=(descriptor,),
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.msgpack.encode(order))
            process.stdin.close()
        yield process
    finally:
        # it leads a group of its own: what a taken-over child started ends with it
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _answers(process: subprocess.Popen[bytes], longest: int, deadline: float, on_wait: Callable[[], None]) -> Iterator[Answer]:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    received = bytearray()
    while True:
        waiting_ms = (deadline - time.monotonic()) * 1_000
        if waiting_ms <= 0:
            raise rejected("document.parser_timeout")
        if not poll.poll(min(waiting_ms, _WAIT_MS)):
            on_wait()
            continue
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:
            _explain_end(process)
        received += piece
        while len(received) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(received)
            if length > longest:
                raise rejected("document.too_large")
            if len(received) < LENGTH.size + length:
                break
            body = bytes(received[LENGTH.size : LENGTH.size + length])
            del received[: LENGTH.size + length]
            try:
                yield _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeError):
                raise rejected("document.parser_crashed") from None


def _explain_end(process: subprocess.Popen[bytes]) -> NoReturn:
    """A child that ends without `Finished` was stopped by a limit or brought down by the file."""
    try:
        status = process.wait(_END_S)
    except subprocess.TimeoutExpired:
        # it lives on without a word: one that was taken over, since ours ends with its last message
        raise rejected("document.parser_crashed") from None
    raise rejected("document.parser_timeout" if status == -signal.SIGXCPU else "document.parser_crashed")
