"""What retention believes of the clock, so that one that was set ahead does not empty the box.

With each care the clock is compared with how long this machine has run since. Where it went ahead by more than a day beyond
that, it was set, or the machine was off: then it is believed after the machine has run with it for another day, and until then
only the time counts that it ran. A clock that goes back is believed at once, since things only stay longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, inspect, select, update

from appliance.retention.store import put_rule, rules
from appliance.storage.clock import DAY_MS, now_ms
from appliance.storage.database import Database
from appliance.storage.tables import retention_clock

PATIENCE_MS = DAY_MS
"""So much the clock may go ahead of the time run; one that went further is believed after the machine ran so long with it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A look at the clocks: the time of day, and the one that only counts on, which starts anew with each boot."""

    wall_ms: int
    boot_id: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Belief:
    """`believed_ms` is the latest moment that counts; the rest is the last look, and the time run with a clock that is ahead."""

    believed_ms: int
    wall_ms: int
    boot_id: str
    mono_ms: int
    waited_ms: int = 0

    @property
    def doubtful(self) -> bool:
        """Whether the clock is ahead of what is believed."""
        return self.wall_ms > self.believed_ms


def looked(before: Belief | None, now: Reading) -> Belief:
    """What is believed after another look; pure. The first look is believed, there is nothing yet to compare it with."""
    if before is None:
        return Belief(now.wall_ms, now.wall_ms, now.boot_id, now.mono_ms)
    ran = max(0, now.mono_ms - before.mono_ms) if now.boot_id == before.boot_id else 0
    if now.wall_ms <= before.believed_ms + ran + PATIENCE_MS:
        return Belief(now.wall_ms, now.wall_ms, now.boot_id, now.mono_ms)
    set_again = now.wall_ms > before.wall_ms + ran + PATIENCE_MS
    waited = 0 if set_again else before.waited_ms + ran
    believed = now.wall_ms if waited >= PATIENCE_MS else before.believed_ms + ran
    return Belief(believed, now.wall_ms, now.boot_id, now.mono_ms, 0 if believed == now.wall_ms else waited)


def belief_of(connection: Connection) -> Belief | None:
    """As the last look left it; None before the first."""
    row = connection.execute(select(retention_clock)).one_or_none()
    return None if row is None else Belief(row.believed_ms, row.wall_ms, row.boot_id, row.mono_ms, row.waited_ms)


def forget_run(connection: Connection) -> None:
    """For a database of any age that was put back: what this machine ran since then, the box did not see."""
    if inspect(connection).has_table(retention_clock.name):
        connection.execute(update(retention_clock).values(boot_id=""))


class RetentionClock:
    """The clocks of this machine, as retention looks at them."""

    def __init__(
        self,
        database: Database,
        boot_id: str,
        wall_ms: Callable[[], int] = now_ms,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._database = database
        self._boot_id = boot_id
        self._wall_ms = wall_ms
        self._mono_ns = mono_ns

    def look(self, connection: Connection) -> Belief:
        """Compare the clocks, and keep what came of it. Inside a write transaction."""
        belief = self.believed(connection)
        connection.execute(delete(retention_clock))
        connection.execute(insert(retention_clock).values(id=1, **asdict(belief)))
        return belief

    def believed(self, connection: Connection) -> Belief:
        """What a look would find now; nothing is kept."""
        reading = Reading(self._wall_ms(), self._boot_id, self._mono_ns() // 1_000_000)
        return looked(belief_of(connection), reading)

    def care(self) -> int:
        """A look, and no grace stays longer than it can be; 1 while the clock is not believed."""
        with self._database.write() as connection:
            belief = self.look(connection)
            for subject, rule in rules(connection).items():
                kept = rule.not_later_than(belief.wall_ms)
                if kept != rule:
                    put_rule(connection, subject, kept)
        return int(belief.doubtful)
