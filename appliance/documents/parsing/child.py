"""The process in which a file is read: `python -m appliance.documents.parsing.child`.

It is born with an empty environment and two pipes, takes one order, gives up everything it will not need, and only then
looks at the file. Whatever the file does to the parser, it can at most end this process.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import msgspec

from appliance.documents.parsing.confinement import confine
from appliance.documents.parsing.messages import (
    Finished,
    LocateJob,
    Order,
    ParseJob,
    Picture,
    Rectangles,
    Refused,
    RenderJob,
    send,
)
from appliance.errors import DocumentRejected


def main() -> None:
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    out = os.fdopen(os.dup(1), "wb")
    # a library that prints must not write into the stream of messages
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # the spreadsheet library would load it, and with it threads, which are not allowed here, for types no file holds
    sys.modules["numpy"] = None  # type: ignore[assignment]
    confine(memory_mb=order.memory_mb, cpu_s=order.cpu_s)
    try:
        _work(order, out)
    except DocumentRejected as error:
        send(out, Refused(error.stable_code))
    except (MemoryError, RecursionError) as error:
        code = "document.parser_memory" if isinstance(error, MemoryError) else "document.unsafe"
        del error
        send(out, Refused(code))
    except Exception:  # noqa: BLE001 - a parser may raise anything over a broken file, and the person needs one answer
        send(out, Refused("document.corrupt"))
    # no interpreter shutdown: parsers keep native state whose clean-up is not needed and may crash
    os._exit(0)


def _work(order: Order, out: BinaryIO) -> None:
    path = f"/proc/self/fd/{order.descriptor}"
    match order.job:
        case ParseJob(media_type=media_type):
            from appliance.documents.parsing.dispatch import parse

            title = parse(media_type, path, lambda message: send(out, message), output_bytes=order.output_bytes)
            send(out, Finished(title[:500]))
        case RenderJob(number=number, width=width):
            from appliance.documents.parsing.pdf import render_page

            send(out, Picture(render_page(path, number, width)))
        case LocateJob(number=number, start=start, end=end):
            from appliance.documents.parsing.pdf import locate

            send(out, Rectangles(locate(path, number, start, end)))


if __name__ == "__main__":
    main()
