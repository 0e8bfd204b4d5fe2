"""The SQL of second factors and recovery codes. What is begun and not confirmed counts for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from appliance.identity.models import Role
from appliance.identity.recovery_codes import digest
from appliance.storage.tables import principals, recovery_codes, roles, second_factors


@dataclass(frozen=True, slots=True, repr=False)
class Factor:
    """What the box shares with somebody's app. `confirmed_ms` is None until a first code was accepted."""

    secret: str
    confirmed_ms: int | None
    last_step: int


def load_factor(connection: Connection, principal_id: str) -> Factor | None:
    """Confirmed or only begun."""
    row = connection.execute(select(second_factors).where(second_factors.c.principal_id == principal_id)).first()
    return Factor(row.secret, row.confirmed_ms, row.last_step) if row else None


def has_factor(connection: Connection, principal_id: str) -> bool:
    """Whether a code is asked for when this person signs in."""
    factor = load_factor(connection, principal_id)
    return factor is not None and factor.confirmed_ms is not None


def holders(connection: Connection) -> frozenset[str]:
    """Ids of everybody who has one."""
    having = select(second_factors.c.principal_id).where(second_factors.c.confirmed_ms.is_not(None))
    return frozenset(connection.execute(having).scalars())


def count_of(connection: Connection, among: Iterable[Role], *, lacking: bool = False) -> int:
    """How many active accounts hold one of these roles; with `lacking` only those without a second factor.

    Who has no password comes in through the identity provider alone, and shows one there or stays out.
    """
    held = select(roles.c.principal_id).where(roles.c.role.in_([str(role) for role in among]))
    active = (principals.c.disabled_ms.is_(None), principals.c.deleted_ms.is_(None), principals.c.id.in_(held))
    counted = select(func.count()).select_from(principals).where(*active)
    if lacking:
        counted = counted.where(principals.c.id.not_in(holders(connection)), principals.c.password_hash != "")
    return connection.execute(counted).scalar_one()


def begin_factor(connection: Connection, principal_id: str, secret: str, now: int) -> None:
    """In place of one that was begun before."""
    connection.execute(delete(second_factors).where(second_factors.c.principal_id == principal_id))
    connection.execute(insert(second_factors).values(principal_id=principal_id, secret=secret, begun_ms=now, last_step=0))


def confirm_factor(connection: Connection, principal_id: str, step: int, now: int) -> None:
    """From now on it counts; the code of `step` is spent."""
    confirmed = {"confirmed_ms": now, "last_step": step}
    connection.execute(update(second_factors).where(second_factors.c.principal_id == principal_id).values(confirmed))


def spend_step(connection: Connection, principal_id: str, step: int) -> None:
    """No code of this step or of an earlier one is accepted again."""
    connection.execute(update(second_factors).where(second_factors.c.principal_id == principal_id).values(last_step=step))


def delete_factor(connection: Connection, principal_id: str) -> None:
    """With its recovery codes."""
    for table in (second_factors, recovery_codes):
        connection.execute(delete(table).where(table.c.principal_id == principal_id))


def replace_recovery_codes(connection: Connection, principal_id: str, codes: Iterable[str]) -> None:
    """Those of before are of no use any more."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.principal_id == principal_id))
    for code in codes:
        connection.execute(insert(recovery_codes).values(principal_id=principal_id, code_sha256=digest(code)))


def spend_recovery_code(connection: Connection, principal_id: str, typed: str) -> bool:
    """Whether it was one of theirs; it is none from now on."""
    theirs = (recovery_codes.c.principal_id == principal_id, recovery_codes.c.code_sha256 == digest(typed))
    return connection.execute(delete(recovery_codes).where(*theirs)).rowcount == 1


def count_recovery_codes(connection: Connection, principal_id: str) -> int:
    """How many are left."""
    left = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.principal_id == principal_id)
    return connection.execute(left).scalar_one()
