"""One's own account: the page, and one's own second factor.

It is all that is open to whoever still lacks a second factor that their role asks for.
"""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import JSONBody
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.authentication import session_cookie
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.schemas.account import FactorBegun, FactorCreated, FactorDeleted, FactorOut, Proof, RecoveryCodes


class AccountController(Controller):
    @get(
        "/account",
        opt=declares(Action.ACCOUNT_READ, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def account_page(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> Template:
        must_enrol = not appliance.factors.may_act(principal)
        own_password = appliance.provider_accounts.has_password(principal)
        return page(request, "account.html", must_enrol=must_enrol, own_password=own_password)

    @get(
        "/api/second-factor",
        opt=declares(Action.ACCOUNT_READ, unaudited="says whether one has a second factor oneself, and nothing else"),
        sync_to_thread=True,
    )
    def second_factor(self, appliance: Box, principal: Caller) -> FactorOut:
        return FactorOut.of(appliance.enrolment.state(principal))

    @post("/api/second-factor", opt=declares(Action.FACTOR_CREATE, EventName.FACTOR_BEGUN), sync_to_thread=True)
    def begin_second_factor(self, appliance: Box, principal: Caller) -> FactorBegun:
        return FactorBegun.of(appliance.enrolment.begin(principal))

    @post(
        "/api/second-factor/confirmation",
        opt=declares(Action.FACTOR_CREATE, EventName.FACTOR_CREATED),
        status_code=200,
        sync_to_thread=True,
    )
    def confirm_second_factor(
        self, request: Request[Any, Any, Any], appliance: Box, principal: Caller, data: JSONBody[Proof]
    ) -> Response[FactorCreated]:
        enrolled = appliance.enrolment.confirm(principal, request.scope["auth"], data.password, data.code)
        created = FactorCreated.of(enrolled, appliance.sessions.csrf_token(enrolled.token))
        return Response(created, cookies=[session_cookie(appliance.settings, enrolled.token)])

    @post(
        "/api/second-factor/recovery-codes",
        opt=declares(Action.FACTOR_RENEW, EventName.FACTOR_RENEWED),
        status_code=200,
        sync_to_thread=True,
    )
    def renew_recovery_codes(self, appliance: Box, principal: Caller, data: JSONBody[Proof]) -> RecoveryCodes:
        return RecoveryCodes(appliance.enrolment.renew(principal, data.password, data.code))

    @delete(
        "/api/second-factor",
        opt=declares(Action.FACTOR_DELETE, EventName.FACTOR_DELETED),
        status_code=200,
        sync_to_thread=True,
    )
    def delete_second_factor(
        self, request: Request[Any, Any, Any], appliance: Box, principal: Caller, data: JSONBody[Proof]
    ) -> Response[FactorDeleted]:
        token = appliance.enrolment.delete(principal, request.scope["auth"], data.password, data.code)
        deleted = FactorDeleted(appliance.sessions.csrf_token(token))
        return Response(deleted, cookies=[session_cookie(appliance.settings, token)])
