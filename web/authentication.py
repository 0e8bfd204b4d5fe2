"""Who is asking: by the session cookie, or by an API key, and never by one where the other was meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from appliance.identity.models import NOBODY, Principal
from appliance.identity.provider.tries import LASTS_S
from appliance.settings import Settings

Connection = ASGIConnection[Any, Any, Any, Any]


def cookie_name(settings: Settings) -> str:
    """With `__Host-` browsers accept the cookie only over HTTPS and only from this very host."""
    return "__Host-cloister" if settings.cookie_secure else "cloister"


def session_cookie(settings: Settings, token: str) -> Cookie:
    """No expiry: the browser forgets the cookie when it closes, and the server decides when the session ends."""
    return Cookie(
        key=cookie_name(settings), value=token, path="/", httponly=True, samesite="strict", secure=settings.cookie_secure
    )


def ended_cookie(settings: Settings) -> Cookie:
    return replace(session_cookie(settings, ""), max_age=0)


def try_cookie_name(settings: Settings) -> str:
    return f"{cookie_name(settings)}-provider"


def try_cookie(settings: Settings, sealed: str) -> Cookie:
    """What a browser keeps while it is at the identity provider. Lax: it is sent along when that one sends the browser back."""
    return Cookie(
        key=try_cookie_name(settings),
        value=sealed,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.cookie_secure,
        max_age=LASTS_S,
    )


def ended_try_cookie(settings: Settings) -> Cookie:
    return replace(try_cookie(settings, ""), max_age=0)


def authenticate(connection: Connection) -> tuple[Principal, str | None]:
    """Who is asking by the cookie and its session token; `(NOBODY, None)` without a living session. Reads the database."""
    appliance = connection.app.state.appliance
    token = connection.cookies.get(cookie_name(appliance.settings))
    if not token:
        return NOBODY, None
    principal = appliance.sessions.principal(token)
    return (principal, token) if principal is not None else (NOBODY, None)


def presented_key(connection: Connection) -> str | None:
    """What stands where an API key belongs, also where it cannot be one; None where the request has no such header."""
    given = connection.headers.getall("authorization", [])
    if not given:
        return None
    scheme, _, rest = given[0].partition(" ")
    return rest.strip() if len(given) == 1 and scheme.lower() == "bearer" else ""


def source_of(connection: Connection) -> str:
    """Where a try to sign in, or a key, comes from: told by the trusted front, which adds whom it saw at the end."""
    peer = connection.client.host if connection.client else "local"
    if peer != connection.app.state.appliance.settings.trusted_proxy:
        return peer
    # all of its lines: there are fronts that add one of their own below what they were told
    told = ",".join(connection.headers.getall("x-forwarded-for", [])).rpartition(",")[2].strip()
    return _without_port(told) or peer


def _without_port(told: str) -> str:
    """Some fronts add it, and it is another with each connection: tries are counted by address."""
    if told.startswith("["):
        return told[1:].partition("]")[0]
    return told.partition(":")[0] if told.count(":") == 1 else told


def csrf_token(connection: Connection) -> str:
    """The token that unsafe requests of this session must repeat in `X-CSRF-Token`; empty without a session."""
    token = connection.scope.get("auth")
    return connection.app.state.appliance.sessions.csrf_token(token) if token else ""


def session_alive(connection: Connection) -> bool:
    """Whether the session or key that opened this connection still stands and its person may act; long streams ask again."""
    token, key = connection.scope.get("auth"), connection.state.get("api_key")
    appliance = connection.app.state.appliance
    if key is not None:
        principal = appliance.api_keys.principal(key)
    else:
        principal = None if token is None else appliance.sessions.principal(token)
    return principal is not None and appliance.factors.may_act(principal)
