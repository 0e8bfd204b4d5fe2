"""The SQL of who may come in through the provider: a person of it is known by issuer and subject, never by a name alone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from appliance.errors import Conflict
from appliance.identity.models import Role
from appliance.storage.tables import principals, provider_links, roles


@dataclass(frozen=True, slots=True)
class Link:
    """Of one account. `subject` is None until the first sign-in."""

    principal_id: str
    issuer: str | None
    subject: str | None


def linked_to(connection: Connection, issuer: str, subject: str) -> str | None:
    """The id of the account that this person of the provider has."""
    wanted = select(provider_links.c.principal_id).where(provider_links.c.issuer == issuer, provider_links.c.subject == subject)
    return connection.execute(wanted).scalar()


def load_link(connection: Connection, principal_id: str) -> Link | None:
    row = connection.execute(select(provider_links).where(provider_links.c.principal_id == principal_id)).first()
    return Link(row.principal_id, row.issuer, row.subject) if row else None


def allow(connection: Connection, principal_id: str, now_ms: int) -> None:
    """Whoever the provider first calls by the name of this account is linked to it."""
    connection.execute(insert(provider_links).values(principal_id=principal_id, allowed_ms=now_ms))


def bind(connection: Connection, principal_id: str, issuer: str, subject: str, now_ms: int) -> None:
    """Link an account that is allowed and not linked yet; from now on issuer and subject alone count."""
    unbound = provider_links.c.principal_id == principal_id, provider_links.c.subject.is_(None)
    connection.execute(update(provider_links).where(*unbound).values(issuer=issuer, subject=subject, linked_ms=now_ms))


def unlink(connection: Connection, principal_id: str) -> None:
    connection.execute(delete(provider_links).where(provider_links.c.principal_id == principal_id))


def ways(connection: Connection, principal_id: str | None = None) -> dict[str, str]:
    """`allowed` or `linked`, by the id of each account that may come in through the provider, or of that one."""
    wanted = select(provider_links.c.principal_id, provider_links.c.subject)
    if principal_id is not None:
        wanted = wanted.where(provider_links.c.principal_id == principal_id)
    return {row.principal_id: "allowed" if row.subject is None else "linked" for row in connection.execute(wanted)}


def has_password(connection: Connection, principal_id: str) -> bool:
    """Whether this account has a password of the box; where it has none, no password opens it."""
    wanted = select(principals.c.password_hash).where(principals.c.id == principal_id)
    return bool(connection.execute(wanted).scalar())


def require_other_password(connection: Connection, principal_id: str) -> None:
    """Some administrator can always come in while the provider is away.

    Raises `Conflict` (`person.last_password`) where no other than this one has a password of the box.
    """
    of, others = principals.c, (roles.c.role == str(Role.ADMINISTRATOR), roles.c.principal_id != principal_id)
    able = (
        select(of.id).join(roles, roles.c.principal_id == of.id).where(*others, of.disabled_ms.is_(None), of.password_hash != "")
    )
    if connection.execute(able.limit(1)).first() is None:
        raise Conflict(
            "No other administrator has a password of this box: nobody could come in while the provider is away.",
            code="person.last_password",
        )
