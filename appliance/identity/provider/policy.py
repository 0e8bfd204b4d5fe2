"""What `policies/identity.toml` says about the identity provider. Empty: there is none, and nothing is shown or opened."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance.errors import SetupError
from appliance.identity.models import EVERYONE, Role
from appliance.identity.store import comparable_name

_NEEDED = ("name", "issuer", "client_id", "authorization_endpoint", "token_path", "keys_path", "name_claim")
_TEXT_LIMIT = 500
_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_USUAL_SCOPE = "openid profile"
_TEXTS = {**dict.fromkeys(_NEEDED, ""), "groups_claim": "", "scope": _USUAL_SCOPE}
_ENTRIES = {*_TEXTS, "make_accounts", "public_client", "amr", "acr", "mapping"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is in `group` at the provider holds `role` here, or belongs to `box_group` (its id, or its name); one of the two."""

    group: str
    role: Role | None = None
    box_group: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """The one provider. `amr` and `acr` are values of these claims that count as a second factor; empty: none does."""

    name: str
    issuer: str
    client_id: str
    authorization_endpoint: str
    token_path: str
    keys_path: str
    name_claim: str
    groups_claim: str = ""
    scope: str = _USUAL_SCOPE
    make_accounts: bool = False
    public_client: bool = False
    amr: frozenset[str] = frozenset()
    acr: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()


def load_provider(path: Path) -> Provider | None:
    """None where the file is empty. Raises `SetupError` (`setup.identity`) for what is missing, unknown or impossible."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(f"cannot be read: {error}") from error
    return _provider(given) if given else None


def require_own_address(address: str, *, secure: bool) -> str:
    """Where browsers find this box, without a slash at its end. Raises `SetupError` (`setup.settings`).

    It stands in a setting: a Host header says whatever its sender likes, and codes would be sent there.
    """
    parts = urlsplit(address)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if not _may_be_spoken_to(address) or not plain:
        raise SetupError(
            "Setting own_address must say where browsers find this box, as in https://box.example.org: the identity provider "
            "sends people back there.",
            code="setup.settings",
        )
    if parts.scheme == "https" and not secure:
        raise SetupError("Setting cookie_secure must be true where own_address begins with https.", code="setup.settings")
    return address.rstrip("/")


def _provider(given: Mapping[str, Any]) -> Provider:
    unknown = sorted(set(given) - _ENTRIES)
    if unknown:
        raise _wrong(f"unknown entry {unknown[0]!r}")
    missing = [name for name in _NEEDED if name not in given]
    if missing:
        raise _wrong(f"{missing[0]} is missing")
    texts = {name: _text(name, given.get(name, usual)) for name, usual in _TEXTS.items() if name in given or usual}
    rules = _rules(given.get("mapping", []))
    return _possible(
        Provider(
            name=texts["name"],
            issuer=texts["issuer"],
            client_id=texts["client_id"],
            authorization_endpoint=texts["authorization_endpoint"],
            token_path=texts["token_path"],
            keys_path=texts["keys_path"],
            name_claim=texts["name_claim"],
            groups_claim=texts.get("groups_claim", ""),
            scope=texts["scope"],
            make_accounts=_switch("make_accounts", given.get("make_accounts", False)),
            public_client=_switch("public_client", given.get("public_client", False)),
            amr=_several("amr", given.get("amr", [])),
            acr=_several("acr", given.get("acr", [])),
            rules=rules,
        )
    )


def _possible(provider: Provider) -> Provider:
    """As it is, where its parts are what they must be."""
    if not _may_be_spoken_to(provider.issuer) or not _may_be_spoken_to(provider.authorization_endpoint):
        raise _wrong("issuer and authorization_endpoint begin with https://, and have neither a query nor a fragment")
    if not _PATH.fullmatch(provider.token_path) or not _PATH.fullmatch(provider.keys_path):
        raise _wrong("token_path and keys_path are paths at the destination, as in /oauth2/token")
    if "openid" not in provider.scope.split():
        raise _wrong("scope must name openid")
    if provider.rules and not provider.groups_claim:
        raise _wrong("groups_claim is missing: the table of groups needs it")
    if provider.make_accounts and not any(rule.role for rule in provider.rules):
        raise _wrong("make_accounts needs a [[mapping]] with a role: nobody is given one otherwise")
    return provider


def _rules(rows: Any) -> tuple[Rule, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _wrong("mapping is written as [[mapping]]")
    return tuple(_rule(row) for row in rows)


def _rule(row: Mapping[str, Any]) -> Rule:
    if set(row) not in ({"group", "role"}, {"group", "box_group"}):
        raise _wrong("a mapping has a group, and a role or a box_group")
    group = _text("group", row["group"])
    if "role" in row:
        if row["role"] not in {str(role) for role in Role}:
            raise _wrong(f"the roles are {', '.join(Role)}")
        return Rule(group, role=Role(row["role"]))
    box_group = _text("box_group", row["box_group"])
    if comparable_name(box_group) == EVERYONE:
        raise _wrong("everybody belongs to Everyone anyway")
    return Rule(group, box_group=box_group)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"{name} is true or false")
    return value


def _several(name: str, value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        raise _wrong(f"{name} is a list of texts")
    return frozenset(_text(name, item) for item in value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _TEXT_LIMIT or not value.isprintable():
        raise _wrong(f"{name} is a text of 1 to {_TEXT_LIMIT} printable characters")
    return value


def _may_be_spoken_to(address: str) -> bool:
    """By HTTPS; in the clear this machine alone."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.query or parts.fragment or parts.username is not None or not address.isascii():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(what: str) -> SetupError:
    return SetupError(f"identity.toml: {what}.", code="setup.identity")
