"""The SQL of people. Whatever weakens or changes an account ends its sessions here, so that no caller can forget to.

So do its API keys, where somebody who should not have had the account may have made one. Callers record
them by the ids they are given.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, inspect, select, update

from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity import factor_store
from appliance.identity.api_keys import count_keys
from appliance.identity.models import EVERYONE, Account, Principal, Role
from appliance.identity.provider import links
from appliance.storage import tables
from appliance.storage.clock import now_ms

_MAX_NAME = 200


def clean_name(name: str, *, code: str = "person.name") -> str:
    """The form in which a name of anything is kept. Raises `InvalidInput` (`code`) for an empty, over-long or unprintable one."""
    cleaned = " ".join(unicodedata.normalize("NFKC", name).split())
    if not cleaned or len(cleaned) > _MAX_NAME or not cleaned.isprintable():
        raise InvalidInput(f"A name has 1 to {_MAX_NAME} printable characters.", code=code)
    return cleaned


def comparable_name(name: str) -> str:
    """What two spellings of one name have in common: whatever finds, counts or blocks by name goes by this alone."""
    lowered = " ".join(unicodedata.normalize("NFKC", name).split()).lower()
    # once more: a capital and its accent can be two characters where the small letter with it is one
    return unicodedata.normalize("NFKC", lowered)


def check_roles(roles: Iterable[Role]) -> frozenset[Role]:
    """The roles as a set. Raises `InvalidInput` for none, and for officer with administrator: nobody audits themselves."""
    chosen = frozenset(roles)
    if not chosen:
        raise InvalidInput("Choose at least one role; an account that may do nothing is disabled instead.", code="person.no_role")
    if {Role.OFFICER, Role.ADMINISTRATOR} <= chosen:
        raise InvalidInput("Nobody may be compliance officer and administrator at once.", code="person.roles_conflict")
    return chosen


def create_principal(connection: Connection, *, name: str, password_hash: str, roles: Iterable[Role]) -> Principal:
    """A new account. Raises `Conflict` when somebody has that name already, in whatever case."""
    cleaned, chosen = clean_name(name), check_roles(roles)
    if principal_by_name(connection, cleaned, include_disabled=True):
        raise Conflict("Somebody has that name already.", code="person.name_taken")
    principal = Principal(
        id=secrets.token_hex(16),
        name=cleaned,
        pseudonym=secrets.token_hex(16),
        roles=chosen,
        groups=frozenset({EVERYONE}),
    )
    connection.execute(
        insert(tables.principals).values(
            id=principal.id,
            name=cleaned,
            pseudonym=principal.pseudonym,
            password_hash=password_hash,
            created_ms=now_ms(),
        )
    )
    _insert_roles(connection, principal.id, chosen)
    return principal


def load_principal(connection: Connection, principal_id: str, *, key_id: str = "") -> Principal | None:
    """The person with today's roles and groups, acting by that API key; None for an unknown id and for a disabled account."""
    row = connection.execute(
        select(tables.principals).where(tables.principals.c.id == principal_id, tables.principals.c.disabled_ms.is_(None))
    ).first()
    return replace(_principals(connection, [row])[0], key_id=key_id) if row else None


def pseudonym_of(connection: Connection, principal_id: str) -> str:
    """Also that of a disabled or deleted account: whose words are sealed does not change. Empty for an unknown id."""
    wanted = select(tables.principals.c.pseudonym).where(tables.principals.c.id == principal_id)
    return connection.execute(wanted).scalar() or ""


def principal_by_name(connection: Connection, name: str, *, include_disabled: bool = False) -> Principal | None:
    """The person of that name, upper and lower case alike."""
    row = _row_by_name(connection, name)
    if row is None or (row.disabled_ms is not None and not include_disabled):
        return None
    return _principals(connection, [row])[0]


def credentials(connection: Connection, name: str) -> tuple[Account, str] | None:
    """The account of that name and its password hash, for signing in only."""
    row = _row_by_name(connection, name)
    return (_account(connection, row), row.password_hash) if row else None


def load_account(connection: Connection, principal_id: str) -> Account | None:
    """The account, disabled or not; None for an unknown id and for one that was deleted."""
    there = tables.principals.c.deleted_ms.is_(None)
    row = connection.execute(select(tables.principals).where(tables.principals.c.id == principal_id, there)).first()
    if row is None:
        return None
    keys, way = count_keys(connection, principal_id), links.ways(connection, principal_id)
    return replace(_account(connection, row), keys=keys.get(principal_id, 0), provider=way.get(principal_id, ""))


def require_account(connection: Connection, principal_id: str) -> Account:
    """The account, disabled or not. Raises `NotFound` where there is none, or none any more."""
    account = load_account(connection, principal_id)
    if account is None:
        raise NotFound("There is no such person.", code="person.not_found")
    return account


def list_principals(connection: Connection) -> list[Account]:
    """All accounts by name, the disabled ones too."""
    there = select(tables.principals).where(tables.principals.c.deleted_ms.is_(None))
    rows = connection.execute(there.order_by(func.lower(tables.principals.c.name))).all()
    people = _principals(connection, rows)
    having, keys, ways = factor_store.holders(connection), count_keys(connection), links.ways(connection)
    return [
        Account(person, row.created_ms, row.disabled_ms, person.id in having, keys.get(person.id, 0), ways.get(person.id, ""))
        for person, row in zip(people, rows, strict=True)
    ]


def pseudonyms(connection: Connection) -> dict[str, str]:
    """Of all accounts, the disabled ones too, by id."""
    there = select(tables.principals.c.id, tables.principals.c.pseudonym).where(tables.principals.c.deleted_ms.is_(None))
    return dict(connection.execute(there).tuples().all())


def has_pseudonym(connection: Connection, pseudonym: str) -> bool:
    """Whether an account has, or had, this pseudonym."""
    # nobody's; and the driver raises for half of a surrogate pair
    if not pseudonym.isascii():
        return False
    return (
        connection.execute(select(tables.principals.c.id).where(tables.principals.c.pseudonym == pseudonym)).first() is not None
    )


def was_deleted(connection: Connection, pseudonym: str) -> bool:
    """Whether the account that had this pseudonym was deleted."""
    gone = (tables.principals.c.pseudonym == pseudonym, tables.principals.c.deleted_ms.is_not(None))
    return connection.execute(select(tables.principals.c.id).where(*gone)).first() is not None


def deleted_pseudonyms(connection: Connection) -> list[str]:
    """The account deleted last first."""
    gone = select(tables.principals.c.pseudonym).where(tables.principals.c.deleted_ms.is_not(None))
    return list(connection.execute(gone.order_by(tables.principals.c.deleted_ms.desc())).scalars())


def count_accounts(connection: Connection) -> int:
    """Those that are there, the disabled ones too."""
    there = select(func.count()).select_from(tables.principals).where(tables.principals.c.deleted_ms.is_(None))
    return connection.execute(there).scalar_one()


def count_principals(connection: Connection) -> int:
    """How many accounts there are or were: a box that was set up once stays so."""
    return connection.execute(select(func.count()).select_from(tables.principals)).scalar_one()


def set_roles(connection: Connection, principal_id: str, roles: Iterable[Role]) -> None:
    """Replace the roles and end the person's sessions. Raises `Conflict` rather than leave the box without administrator."""
    chosen = check_roles(roles)
    require_account(connection, principal_id)
    if Role.ADMINISTRATOR not in chosen:
        _require_other_administrator(connection, principal_id)
    connection.execute(delete(tables.roles).where(tables.roles.c.principal_id == principal_id))
    _insert_roles(connection, principal_id, chosen)
    end_sessions(connection, principal_id)


def set_disabled(connection: Connection, principal_id: str, *, disabled: bool) -> list[str]:
    """Disable or enable an account; its sessions and keys end. Ids of the keys. Raises `Conflict` for the last administrator."""
    require_account(connection, principal_id)
    if disabled:
        _require_other_administrator(connection, principal_id)
    connection.execute(
        update(tables.principals).where(tables.principals.c.id == principal_id).values(disabled_ms=now_ms() if disabled else None)
    )
    end_sessions(connection, principal_id)
    return end_keys(connection, principal_id)


def set_password(connection: Connection, principal_id: str, password_hash: str) -> list[str]:
    """Replace the password hash and end the person's sessions and keys. Ids of the keys."""
    require_account(connection, principal_id)
    replace_hash(connection, principal_id, password_hash)
    end_sessions(connection, principal_id)
    return end_keys(connection, principal_id)


def replace_hash(connection: Connection, principal_id: str, password_hash: str) -> None:
    """Store the same password under newer parameters; sessions live on."""
    connection.execute(
        update(tables.principals).where(tables.principals.c.id == principal_id).values(password_hash=password_hash)
    )


def delete_account(connection: Connection, principal_id: str, by: str) -> list[str]:
    """Leave a row without a name, that nobody finds by name, list or id.

    Roles, memberships, second factor, the way in through the provider, sessions and keys go.

    `by` is the id of whoever does it. What the person had elsewhere is the caller's to remove. Ids of the keys.
    """
    factor_store.delete_factor(connection, principal_id)
    for table in (tables.roles, tables.group_members, tables.provider_links):
        connection.execute(delete(table).where(table.c.principal_id == principal_id))
    end_sessions(connection, principal_id)
    # the column wants something that is there once; `clean_name` lets nobody have this
    nameless = {"name": f"\x7f{principal_id}", "password_hash": "", "deleted_ms": now_ms(), "deleted_by": by}
    connection.execute(update(tables.principals).where(tables.principals.c.id == principal_id).values(nameless))
    return end_keys(connection, principal_id)


def end_sessions(connection: Connection, principal_id: str) -> None:
    """Delete all sessions of a person."""
    connection.execute(delete(tables.sessions).where(tables.sessions.c.principal_id == principal_id))


def end_keys(connection: Connection, principal_id: str) -> list[str]:
    """Delete all API keys of a person, the expired ones too; their ids."""
    theirs = delete(tables.api_keys).where(tables.api_keys.c.principal_id == principal_id)
    return sorted(connection.execute(theirs.returning(tables.api_keys.c.id)).scalars())


def end_everything(connection: Connection) -> tuple[int, int]:
    """Delete all sessions and all API keys of everybody, in a database of any age; how many of each.

    For one that was put back: what was ended since it was made would be open again.
    """
    has_keys = inspect(connection).has_table(tables.api_keys.name)
    keys = connection.execute(delete(tables.api_keys)).rowcount if has_keys else 0
    return connection.execute(delete(tables.sessions)).rowcount, keys


def _row_by_name(connection: Connection, name: str) -> Row[Any] | None:
    wanted = comparable_name(name)
    there = tables.principals.c.deleted_ms.is_(None)
    rows = connection.execute(select(tables.principals.c.id, tables.principals.c.name).where(there)).all()
    # the database lowers ASCII only
    match = next((row.id for row in rows if comparable_name(row.name) == wanted), None)
    return connection.execute(select(tables.principals).where(tables.principals.c.id == match)).first() if match else None


def _account(connection: Connection, row: Row[Any]) -> Account:
    has_factor = factor_store.has_factor(connection, row.id)
    return Account(_principals(connection, [row])[0], row.created_ms, row.disabled_ms, has_factor)


def _principals(connection: Connection, rows: Sequence[Row[Any]]) -> list[Principal]:
    held: dict[str, set[Role]] = {row.id: set() for row in rows}
    joined: dict[str, set[str]] = {row.id: {EVERYONE} for row in rows}
    only = list(held) if len(held) == 1 else None
    roles, members = select(tables.roles), select(tables.group_members)
    if only:
        roles = roles.where(tables.roles.c.principal_id.in_(only))
        # by each group in turn, which the primary key serves: asked for a person alone it would read all members of all groups
        each = select(tables.groups.c.id)
        members = members.where(tables.group_members.c.group_id.in_(each), tables.group_members.c.principal_id.in_(only))
    for role in connection.execute(roles):
        held[role.principal_id].add(Role(role.role))
    for member in connection.execute(members):
        joined[member.principal_id].add(member.group_id)
    return [Principal(row.id, row.name, row.pseudonym, frozenset(held[row.id]), frozenset(joined[row.id])) for row in rows]


def _insert_roles(connection: Connection, principal_id: str, roles: frozenset[Role]) -> None:
    for role in sorted(roles):
        connection.execute(insert(tables.roles).values(principal_id=principal_id, role=str(role)))


def _require_other_administrator(connection: Connection, principal_id: str) -> None:
    active = (
        select(tables.roles.c.principal_id)
        .join(tables.principals, tables.principals.c.id == tables.roles.c.principal_id)
        .where(tables.roles.c.role == str(Role.ADMINISTRATOR), tables.principals.c.disabled_ms.is_(None))
    )
    administrators = {row.principal_id for row in connection.execute(active)}
    if administrators == {principal_id}:
        raise Conflict("The last administrator must stay one.", code="person.last_administrator")
    if principal_id in administrators and links.has_password(connection, principal_id):
        links.require_other_password(connection, principal_id)
