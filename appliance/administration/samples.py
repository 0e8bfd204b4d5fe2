"""A sample handbook of a ferry company that does not exist, so that the first question takes a minute.

Its facts agree with each other and are made for trying things out: follow-ups (a meeting changes the night supplement the
handbook names), tables, several formats, and questions that the documents do not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from appliance.administration.collections import Collections
from appliance.identity.models import EVERYONE, Principal

HANDBOOK_DIR = Path(__file__).parent / "handbook"
COLLECTION_NAME = "Sample handbook"

SUGGESTED_QUESTIONS = (
    "How many days of annual leave are there, and how many may be carried over?",
    "What is the limit for a hotel per night?",
    "When do the ferries stop sailing in a storm?",
    "What did the staff council decide about the night supplement?",
)
"""Answered by the handbook; for the empty chat of somebody who has it."""


class Uploaded(Protocol):
    """The document an upload became."""

    @property
    def id(self) -> str: ...


class OpenUpload(Protocol):
    """An upload in progress, as `DocumentService.begin_upload` gives it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, piece: bytes, /) -> None: ...

    def commit(self) -> tuple[Uploaded, bool]: ...


def load_handbook(
    collections: Collections, begin_upload: Callable[[Principal, str, str], OpenUpload], principal: Principal
) -> list[str]:
    """Upload the handbook into a new collection that everyone may read; ids of the documents, for the caller to enqueue.

    `principal` must be allowed to administer collections and to upload; the collection opens to everyone only when it is full.
    """
    collection_id = collections.create(principal, COLLECTION_NAME, contributors={f"principal:{principal.id}"})
    ids = [_upload(begin_upload(principal, collection_id, path.name), path) for path in handbook_files()]
    collections.update(principal, collection_id, readers={f"group:{EVERYONE}"})
    return ids


def handbook_files() -> list[Path]:
    """The handbook's files by name."""
    return sorted(path for path in HANDBOOK_DIR.iterdir() if path.is_file() and not path.name.startswith((".", "_")))


def _upload(opened: OpenUpload, path: Path) -> str:
    with opened as upload:
        upload.write(path.read_bytes())
        document, _ = upload.commit()
        return document.id
