"""Signing in through the identity provider: the way there, and what came back."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from appliance.administration.provider.sign_in import ANSWER_PATH, Answer
from appliance.audit.events import EventName
from appliance.errors import NotSignedIn
from appliance.policy.actions import Action
from web.authentication import ended_try_cookie, session_cookie, source_of, try_cookie, try_cookie_name
from web.dependencies import Box, Caller
from web.guards import declares
from web.navigation import landing, local_path
from web.pages import page


class ProviderController(Controller):
    @get(
        "/sign-in/provider",
        opt=declares(Action.SESSION_CREATE, unaudited="sends the browser to the identity provider and keeps nothing"),
        sync_to_thread=True,
    )
    def begin(
        self,
        request: Request[Any, Any, Any],
        appliance: Box,
        principal: Caller,
        next: FromQuery[str] = "",  # noqa: A002
    ) -> Redirect:
        target = local_path(next)
        if request.scope["auth"] is not None:
            return Redirect(landing(appliance, principal, target), status_code=303)
        begun = appliance.provider_sign_in.begin(target)
        return Redirect(begun.address, status_code=303, cookies=[try_cookie(appliance.settings, begun.cookie)])

    @get(ANSWER_PATH, opt=declares(Action.SESSION_CREATE, EventName.SESSION_CREATED), sync_to_thread=True)
    def answer(self, request: Request[Any, Any, Any], appliance: Box) -> Template:
        """A page, not a redirect: browsers send our session cookie only where a page of ours leads on, not another site."""
        settings = appliance.settings
        cookie = request.cookies.get(try_cookie_name(settings), "")
        # by hand: the framework has another meaning for a parameter named state
        answer = Answer(*(request.query_params.get(name, "") for name in ("state", "code", "error", "iss")))
        signed_in = appliance.provider_sign_in.finish(answer, cookie, source_of(request))
        person = appliance.sessions.principal(signed_in.token)
        if person is None:
            raise NotSignedIn("This account was closed a moment ago.", code="session.refused")
        home = landing(appliance, person, signed_in.next)
        shown = page(request, "provider_answered.html", home=home, name=person.name)
        shown.cookies = [session_cookie(settings, signed_in.token), ended_try_cookie(settings)]
        return shown
