"""Signing in and out, and one's own password."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromQuery, JSONBody
from litestar.response import Redirect, Template

from appliance.audit.events import EventName
from appliance.errors import NotSignedIn
from appliance.policy.actions import Action
from web.authentication import ended_cookie, session_cookie, source_of
from web.dependencies import Box, Caller
from web.guards import declares
from web.navigation import landing, local_path
from web.pages import page
from web.schemas.sessions import PasswordChange, PasswordChanged, SignedIn, SignIn


class SessionsController(Controller):
    @get("/sign-in", opt=declares(Action.SESSION_CREATE, unaudited="an empty form"), sync_to_thread=True)
    def sign_in_page(
        self,
        request: Request[Any, Any, Any],
        appliance: Box,
        principal: Caller,
        next: FromQuery[str] = "",  # noqa: A002
    ) -> Template | Redirect:
        target = local_path(next)
        if request.scope["auth"] is not None:
            return Redirect(landing(appliance, principal, target), status_code=303)
        setup, provider = appliance.setup.needed(), appliance.provider_sign_in.name
        return page(request, "sign_in.html", next=target, needs_setup=setup, provider=provider)

    @post("/api/sessions", opt=declares(Action.SESSION_CREATE, EventName.SESSION_CREATED), sync_to_thread=True)
    def sign_in(self, request: Request[Any, Any, Any], appliance: Box, data: JSONBody[SignIn]) -> Response[SignedIn]:
        token = appliance.sessions.sign_in(data.name, data.password, source_of(request), data.code)
        principal = appliance.sessions.principal(token)
        if principal is None:
            raise NotSignedIn("This account was closed a moment ago.")
        signed_in = SignedIn(principal.name, sorted(principal.roles), landing(appliance, principal, data.next))
        return Response(signed_in, cookies=[session_cookie(appliance.settings, token)])

    @delete("/api/sessions/current", opt=declares(Action.SESSION_DELETE, EventName.SESSION_DELETED), sync_to_thread=True)
    def sign_out(self, request: Request[Any, Any, Any], appliance: Box) -> Response[None]:
        appliance.sessions.sign_out(request.scope["auth"])
        return Response(None, cookies=[ended_cookie(appliance.settings)], status_code=204)

    @post(
        "/api/password",
        opt=declares(Action.PASSWORD_CHANGE, EventName.PASSWORD_CHANGED),
        status_code=200,
        sync_to_thread=True,
    )
    def change_password(
        self, request: Request[Any, Any, Any], appliance: Box, principal: Caller, data: JSONBody[PasswordChange]
    ) -> Response[PasswordChanged]:
        token = appliance.people.change_password(principal, request.scope["auth"], data.current, data.new)
        changed = PasswordChanged(appliance.sessions.csrf_token(token))
        return Response(changed, cookies=[session_cookie(appliance.settings, token)])
