"""One's own account: the page, which is all that is open to whoever still lacks a second factor that their role asks for."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get
from litestar.response import Template

from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page


class AccountController(Controller):
    @get(
        "/account",
        opt=declares(Action.ACCOUNT_READ, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def account_page(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> Template:
        return page(request, "account.html", must_enrol=not appliance.factors.may_act(principal))
