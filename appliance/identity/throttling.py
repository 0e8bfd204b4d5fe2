"""Slows down guessing of passwords, per name and per source.

A try is counted before the password is looked at, so that a hundred parallel guesses are a hundred tries. A name is blocked for
at most a minute, since anybody can block somebody else's name; a source is blocked for longer, and has more tries, since many
people may share one address. Subjects are keyed digests: the table names nobody.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from appliance.errors import Throttled
from appliance.storage.tables import throttles

_FORGET_MS = 60 * 60 * 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Tries that cost nothing, and the longest block, which each further try doubles towards."""

    kind: str
    free_tries: int
    longest_block_ms: int


NAME_LIMIT = Limit("name", free_tries=5, longest_block_ms=60_000)
SOURCE_LIMIT = Limit("source", free_tries=50, longest_block_ms=15 * 60_000)


def subject(key: bytes, limit: Limit, value: str) -> str:
    """The digest under which tries of this name or source are counted."""
    return hmac.new(key, f"throttle/{limit.kind}/{value}".encode(), hashlib.sha256).hexdigest()


def count_try(connection: Connection, limit: Limit, digest: str, now: int) -> int:
    """Count one try; for how many seconds it blocks the next one, if it turns out wrong.

    Raises `Throttled` while the subject is blocked; such tries are not counted.
    """
    row = connection.execute(select(throttles).where(throttles.c.subject == digest)).first()
    failures = 0
    if row is not None:
        wait_ms = row.blocked_until_ms - now
        # longer than its tries can give: the clock was set back, and nobody is locked out for as long as that
        if 0 < wait_ms <= _block_ms(limit, row.failures):
            raise Throttled("Too many tries. Wait a moment.", code="session.throttled", retry_after_s=-(-wait_ms // 1_000))
        failures = row.failures if -wait_ms < _FORGET_MS else 0
    failures += 1
    block_ms = _block_ms(limit, failures)
    values = {"failures": failures, "blocked_until_ms": now + block_ms}
    if row is None:
        connection.execute(insert(throttles).values(subject=digest, **values))
    else:
        connection.execute(update(throttles).where(throttles.c.subject == digest).values(**values))
    return block_ms // 1_000


def block_facts(blocked_s: int) -> dict[str, str | int]:
    """What the record of a refused try says of the block that begins with it; nothing where none does."""
    return {"blocked_s": blocked_s} if blocked_s else {}


def forgive(connection: Connection, digest: str, now: int) -> None:
    """Take back the try that turned out right."""
    connection.execute(
        update(throttles)
        .where(throttles.c.subject == digest, throttles.c.failures > 0)
        .values(failures=throttles.c.failures - 1, blocked_until_ms=now)
    )


def clear(connection: Connection, digest: str) -> None:
    """Forget all tries of a subject."""
    connection.execute(delete(throttles).where(throttles.c.subject == digest))


def forget_old(connection: Connection, now: int) -> None:
    """Drop what no longer counts."""
    connection.execute(delete(throttles).where(throttles.c.blocked_until_ms < now - _FORGET_MS))


def _block_ms(limit: Limit, failures: int) -> int:
    # the exponent is capped well above the longest block
    return 0 if failures < limit.free_tries else min(limit.longest_block_ms, 1_000 << min(failures - limit.free_tries, 20))
