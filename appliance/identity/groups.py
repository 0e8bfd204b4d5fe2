"""The SQL of groups of people. Everybody belongs to the built-in one, which has no row and never changes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, update

from appliance.errors import Conflict, NotFound
from appliance.identity.models import EVERYONE, EVERYONE_NAME, Group
from appliance.identity.store import clean_name, comparable_name
from appliance.storage.tables import group_members, groups, principals

# Cyrillic and Greek letters that nobody can tell from Latin ones
_LOOKS = str.maketrans("авекмнорстухіјѕԁһԛԝαβεηικμνορτυχ", "abekmhopctyxijsdhqwabehikmvoptyx")


def load_groups(connection: Connection) -> list[Group]:
    """Every group with its members, the built-in one first, then by name."""
    everybody = frozenset(connection.execute(select(principals.c.id).where(principals.c.deleted_ms.is_(None))).scalars())
    members: dict[str, set[str]] = {}
    for row in connection.execute(select(group_members)):
        members.setdefault(row.group_id, set()).add(row.principal_id)
    made = [Group(row.id, row.name, frozenset(members.get(row.id, ()))) for row in connection.execute(select(groups))]
    return [Group(EVERYONE, EVERYONE_NAME, everybody), *sorted(made, key=lambda group: (group.name.casefold(), group.id))]


def group_names(connection: Connection) -> dict[str, str]:
    """Names by id, the built-in group's too."""
    made = connection.execute(select(groups.c.id, groups.c.name)).tuples()
    return {EVERYONE: EVERYONE_NAME, **dict(made.all())}


def group_called(connection: Connection, name: str) -> Group:
    """The group of that id, else of that name in whatever case. Raises `NotFound` (`group.not_found`)."""
    known = load_groups(connection)
    found = [group for group in known if group.id == name] or [
        group for group in known if comparable_name(group.name) == comparable_name(name)
    ]
    if not found:
        raise NotFound(f"There is no group named {name}.", code="group.not_found")
    return found[0]


def require_changeable(connection: Connection, group_id: str) -> Group:
    """A group that people made. Raises `Conflict` (`group.built_in`) for that of everybody, `NotFound` (`group.not_found`)."""
    if group_id == EVERYONE:
        raise Conflict(f"Everybody belongs to {EVERYONE_NAME}; that group stays as it is.", code="group.built_in")
    row = connection.execute(select(groups).where(groups.c.id == group_id)).first()
    if row is None:
        raise NotFound("There is no such group.", code="group.not_found")
    found = connection.execute(select(group_members.c.principal_id).where(group_members.c.group_id == group_id))
    return Group(row.id, row.name, frozenset(found.scalars()))


def insert_group(connection: Connection, name: str) -> Group:
    """A new group without members. Raises `InvalidInput` (`group.name`), `Conflict` (`group.name_taken`)."""
    group = Group(secrets.token_hex(16), _free_name(connection, name))
    connection.execute(insert(groups).values(id=group.id, name=group.name))
    return group


def rename_group(connection: Connection, group_id: str, name: str) -> str:
    """Replace the name; what it is now. Raises as `insert_group` does."""
    cleaned = _free_name(connection, name, but=group_id)
    connection.execute(update(groups).where(groups.c.id == group_id).values(name=cleaned))
    return cleaned


def delete_group(connection: Connection, group_id: str) -> None:
    """The group and its memberships."""
    connection.execute(delete(groups).where(groups.c.id == group_id))


def insert_members(connection: Connection, group_id: str, people: Iterable[str]) -> None:
    for person_id in people:
        connection.execute(insert(group_members).values(group_id=group_id, principal_id=person_id))


def delete_members(connection: Connection, group_id: str, people: Iterable[str]) -> None:
    for person_id in people:
        gone = delete(group_members).where(group_members.c.group_id == group_id, group_members.c.principal_id == person_id)
        connection.execute(gone)


def _free_name(connection: Connection, name: str, *, but: str | None = None) -> str:
    """The name as it is kept. Raises `Conflict` where another group has it, in whatever case, or one that looks the same."""
    cleaned = clean_name(name, code="group.name")
    for group_id, taken in group_names(connection).items():
        if group_id != but and _look(taken) == _look(cleaned):
            raise Conflict(f"There is a group named {taken} already, or one that looks the same.", code="group.name_taken")
    return cleaned


def _look(name: str) -> str:
    return comparable_name(name).translate(_LOOKS)
