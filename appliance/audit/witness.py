"""The memory of somebody outside the box: the newest checkpoint they saw, on a medium of their own.

A log that was cut, or rewritten by whoever holds its keys, verifies perfectly by itself. It does not continue what was seen.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from appliance.audit.collected_check import CollectedVerdict, is_collected, verify_collected
from appliance.audit.notes import Verifier
from appliance.audit.older import Older, load_older
from appliance.audit.verification import Verdict, verify
from appliance.errors import InvalidInput, Unavailable
from appliance.storage.durable import settle

FORMAT = "cloister-audit-witness/1"


def verify_file(path: Path, verifier: Verifier | None, older: Older | None) -> Verdict | CollectedVerdict:
    """A bundle, or what a collector was sent. Raises as `verify` and `verify_collected` do."""
    return verify_collected(path, verifier, older) if is_collected(path) else verify(path, verifier, older)


def witness(memory: Path, file: Path, verifier: Verifier | None) -> Verdict | CollectedVerdict:
    """Check a file against the memory, and keep its checkpoint there where it holds; else the memory stays as it was.

    Raises as `verify_file` does, and `InvalidInput`: `audit.key_unnamed` where there is neither a memory nor a key, since nobody
    could tell the box's log from another; `audit.occupied` where something else stands in the memory's place, for it is written
    over.
    """
    older = load_older(memory, verifier) if memory.exists() else None
    if older is not None and older.format != FORMAT:
        raise InvalidInput(f"{memory} is no memory, and would be written over: name another file.", code="audit.occupied")
    if older is None and verifier is None:
        raise InvalidInput(
            f"There is no memory at {memory} yet. Name the key with --key, as the page Audit log of the box shows it.",
            code="audit.key_unnamed",
        )
    verdict = verify_file(file, verifier, older)
    seen = {
        "format": FORMAT,
        "verifier_key": str(verdict.verifier),
        "checkpoint": verdict.note,
        "seen": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    draft = memory.with_name(f"{memory.name}.new")
    try:
        draft.write_text(json.dumps(seen) + "\n")
        settle(draft, memory)
    except OSError as error:
        raise Unavailable(f"The checkpoint could not be kept at {memory}: {error.strerror}.", code="audit.not_kept") from error
    return verdict
