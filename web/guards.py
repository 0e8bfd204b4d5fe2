"""The one guard: who is asking, is it for an API key, did our page make the request, is a second factor missing, is it allowed?

Every handler declares `opt=declares(Action..., EventName...)`. What declares nothing is refused, automatic OPTIONS handlers
included. Acts on one collection, document or conversation are decided in the services, which know the object; the guard still
demands a session for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar.handlers import BaseRouteHandler

from appliance.audit.events import EventName
from appliance.errors import Denied, NotSignedIn
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import NOBODY, Principal
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE, AUDIT_LOG, Resource
from web.authentication import Connection, authenticate, presented_key, source_of

SAFE_METHODS = frozenset({"GET", "HEAD"})
WITHOUT_SESSION = frozenset({Action.ASSET_READ, Action.HEALTH_READ})
"""No session is looked up for these: style sheets and the health check cost no query."""

ANONYMOUS = WITHOUT_SESSION | {Action.SESSION_CREATE, Action.SETUP_COMPLETE}
"""Decided for NOBODY, whoever asks."""

WITHOUT_FACTOR = ANONYMOUS | {Action.ACCOUNT_READ, Action.FACTOR_CREATE, Action.SESSION_DELETE}
"""Open to somebody who lacks the second factor that their role asks for: what it takes to set one up, or to leave."""

OPEN_TO_KEYS: Mapping[KeyScope, frozenset[Action]] = {
    KeyScope.ASK: frozenset(
        {
            Action.CONVERSATION_CREATE,
            Action.CONVERSATION_LIST,
            Action.CONVERSATION_READ,
            Action.DOCUMENT_LIST,
            Action.FEEDBACK_GIVE,
            Action.MESSAGE_ASK,
            Action.MESSAGE_STOP,
        }
    ),
    KeyScope.DOCUMENTS: frozenset({Action.DOCUMENT_LIST, Action.DOCUMENT_READ, Action.DOCUMENT_UPLOAD}),
}
"""All that a request by API key may ask for, below /api; what is not here is refused to every key. Nothing in it destroys."""

IN_SERVICE = frozenset(
    {
        Action.COLLECTION_DELETE,
        Action.COLLECTION_UPDATE,
        Action.CONVERSATION_DELETE,
        Action.CONVERSATION_READ,
        Action.DOCUMENT_DELETE,
        Action.DOCUMENT_READ,
        Action.DOCUMENT_UPLOAD,
        Action.FEEDBACK_GIVE,
        Action.MESSAGE_ASK,
        Action.MESSAGE_STOP,
    }
)
"""Acts on one object; the service that loads the object asks the policy."""

RESOURCES: Mapping[Action, Resource] = {
    action: AUDIT_LOG if action.startswith(("audit:", "hold:")) else APPLIANCE for action in Action if action not in IN_SERVICE
}


def declares(action: Action, event: EventName | None = None, *, unaudited: str = "") -> dict[str, Any]:
    """What a handler does (`opt=`): its action and the audit event it leaves, or the reason why it leaves none."""
    if (event is None) == (not unaudited):
        raise ValueError("declare either an event or the reason for none")
    return {"action": action, "event": event, "unaudited": unaudited}


async def authorise_request(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raises `Denied`, `NotSignedIn` or, where policy hides the object, `NotFound`."""
    action = handler.opt.get("action")
    if not isinstance(action, Action) or _method(connection) == "OPTIONS":
        raise Denied("This address does nothing that anybody may do.", code="route.undeclared")
    await asyncio.to_thread(_authorise, connection, action)


def _method(connection: Connection) -> str:
    return str(connection.scope.get("method", ""))  # web sockets have none


def _authorise(connection: Connection, action: Action) -> None:
    key = None if action in WITHOUT_SESSION else presented_key(connection)
    connection.state["api_key"] = key
    if key is not None:
        principal, token = _by_key(connection, key, action), None
    else:
        principal, token = (NOBODY, None) if action in WITHOUT_SESSION else authenticate(connection)
    connection.scope["user"] = principal
    connection.scope["auth"] = token
    if principal is NOBODY and action not in ANONYMOUS:
        raise NotSignedIn("Please sign in.")
    if _method(connection) not in SAFE_METHODS:
        _require_own_page(connection, token)
    if action not in WITHOUT_FACTOR:
        connection.app.state.appliance.factors.require(principal, action)
    if action not in IN_SERVICE:
        asking = NOBODY if action in ANONYMOUS else principal
        connection.app.state.appliance.access.require(asking, action, RESOURCES[action])


def _by_key(connection: Connection, key: str, action: Action) -> Principal:
    """Whose key it is. The cookie is not looked at: a key that does not count is a refusal, whoever is signed in beside it."""
    keys = connection.app.state.appliance.api_keys
    admitted = keys.admit(key, source_of(connection))
    is_open = any(action in OPEN_TO_KEYS[scope] for scope in admitted.scopes)
    if not is_open or not connection.scope["path"].startswith("/api/"):
        keys.refuse_act(admitted.principal, action)
    principal: Principal = admitted.principal
    return principal


def _require_own_page(connection: Connection, token: str | None) -> None:
    """Refuse requests that another site made the browser send (cross-site request forgery)."""
    if token is not None:
        if not connection.app.state.appliance.sessions.csrf_valid(token, connection.headers.get("x-csrf-token", "")):
            raise Denied("This page is out of date. Reload it and try again.", code="csrf.mismatch")
        return
    # Before sign-in, and with a key, there is no secret to repeat. Browsers always name the origin of a POST; what names none is
    # no browser.
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    foreign_site = site is not None and site not in {"same-origin", "none"}
    foreign_origin = origin is not None and origin.split("://")[1:] != [connection.headers.get("host")]
    if foreign_site or foreign_origin:
        raise Denied("This request came from another site.", code="csrf.origin")
