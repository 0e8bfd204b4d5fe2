"""Who acts: the principal, its roles and its groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

EVERYONE, EVERYONE_NAME = "everyone", "Everyone"
"""Id and name of the built-in group that every account belongs to."""


class Role(StrEnum):
    """What a person is here to do. A person may hold several, but never officer and administrator together."""

    EMPLOYEE = "employee"
    OFFICER = "officer"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, the nobody before sign-in, or the box itself; loaded afresh for each request."""

    id: str
    name: str
    pseudonym: str
    roles: frozenset[Role] = field(default_factory=frozenset)
    groups: frozenset[str] = field(default_factory=frozenset)
    key_id: str = ""
    """Of the API key by which the person acts; the audit log says it with each of these acts."""
    factor_shown: bool = False
    """In the session by which they act the identity provider vouched for a second factor that counts here."""


NOBODY = Principal(id="nobody", name="nobody", pseudonym="nobody")
"""Who acts before sign-in."""

SYSTEM = Principal(id="system", name="system", pseudonym="system")
"""The box acting for itself: migrations, sweeps, start and stop. It holds no role and may read no document."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person as administrators see one: the principal, when it was made, and since when it is disabled (milliseconds).

    `has_factor`: a code is asked for when they sign in.
    """

    principal: Principal
    created_ms: int
    disabled_ms: int | None = None
    has_factor: bool = False
    keys: int = 0
    """How many API keys they have, as those are told who keep accounts; not looked up for signing in."""
    provider: str = ""
    """`allowed` to come in through the identity provider, or `linked` to a person of it; looked up as `keys` is."""


@dataclass(frozen=True, slots=True)
class Group:
    """Several people under one name; `members` holds their ids."""

    id: str
    name: str
    members: frozenset[str] = field(default_factory=frozenset)
