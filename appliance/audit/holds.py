"""Who is held: until an officer lifts it, what is theirs is not deleted with the account, erased in the log or removed by age.

What a hold is for stands sealed in the log, beside the leaf that placed it; the table says only that there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, ScalarSelect, delete, insert, select

from appliance.errors import Conflict
from appliance.storage.clock import now_ms
from appliance.storage.tables import holds, principals


@dataclass(frozen=True, slots=True)
class Hold:
    """`placed_seq` is the entry of the log that placed it; both people are pseudonyms."""

    pseudonym: str
    placed_by: str
    placed_ms: int
    placed_seq: int


def is_held(connection: Connection, pseudonym: str) -> bool:
    """Whether this person is held."""
    return connection.execute(select(holds.c.pseudonym).where(holds.c.pseudonym == pseudonym)).first() is not None


def require_not_held(connection: Connection, pseudonym: str) -> None:
    """Raise `Conflict` (`person.held`). Whoever deletes or erases asks inside the transaction that does it."""
    if is_held(connection, pseudonym):
        raise Conflict("An officer holds this person; it can be done once the hold is lifted.", code="person.held")


def require_none_placed_by(connection: Connection, pseudonym: str) -> None:
    """Raise `Conflict` (`audit.holds_placed`): with what is sealed of that officer, the reasons of standing holds would go."""
    if connection.execute(select(holds.c.pseudonym).where(holds.c.placed_by == pseudonym)).first() is not None:
        raise Conflict(
            "Holds that this person placed still stand, and their reasons would be erased. Lift them and place them anew first.",
            code="audit.holds_placed",
        )


def held_people() -> ScalarSelect[str]:
    """Ids of those who are held, as a condition of queries."""
    joined = select(principals.c.id).join(holds, holds.c.pseudonym == principals.c.pseudonym)
    return joined.scalar_subquery()


def all_holds(connection: Connection) -> list[Hold]:
    """The oldest first."""
    return [Hold(*row) for row in connection.execute(select(holds).order_by(holds.c.placed_seq))]


def place(connection: Connection, pseudonym: str, *, by: str, seq: int) -> None:
    """Raises `Conflict` (`hold.placed`) where there is one."""
    if is_held(connection, pseudonym):
        raise Conflict("This person is held already.", code="hold.placed")
    connection.execute(insert(holds).values(pseudonym=pseudonym, placed_by=by, placed_ms=now_ms(), placed_seq=seq))


def lift(connection: Connection, pseudonym: str) -> None:
    """Raises `Conflict` (`hold.none`) where there is none."""
    if not connection.execute(delete(holds).where(holds.c.pseudonym == pseudonym)).rowcount:
        raise Conflict("This person is not held.", code="hold.none")
