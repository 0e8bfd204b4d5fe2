"""The session cookie and what it says about who is asking."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from appliance.identity.models import NOBODY, Principal
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
    return Cookie(
        key=cookie_name(settings),
        value="",
        path="/",
        httponly=True,
        samesite="strict",
        secure=settings.cookie_secure,
        max_age=0,
    )


def authenticate(connection: Connection) -> tuple[Principal, str | None]:
    """Who is asking and by which session token; `(NOBODY, None)` without a living session. Reads the database."""
    appliance = connection.app.state.appliance
    token = connection.cookies.get(cookie_name(appliance.settings))
    if not token:
        return NOBODY, None
    principal = appliance.sessions.principal(token)
    return (principal, token) if principal is not None else (NOBODY, None)


def csrf_token(connection: Connection) -> str:
    """The token that unsafe requests of this session must repeat in `X-CSRF-Token`; empty without a session."""
    token = connection.scope.get("auth")
    return connection.app.state.appliance.sessions.csrf_token(token) if token else ""


def session_alive(connection: Connection) -> bool:
    """Whether the session that opened this connection still stands and its person may act; long streams ask again and again."""
    token = connection.scope.get("auth")
    appliance = connection.app.state.appliance
    principal = None if token is None else appliance.sessions.principal(token)
    return principal is not None and appliance.factors.may_act(principal)
