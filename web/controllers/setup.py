"""The first administrator, by the one-time link that `cloister up` prints."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Controller, Request, Response, get, post
from litestar.params import FromQuery, JSONBody
from litestar.response import Redirect, Template

from appliance.administration.samples import load_handbook
from appliance.audit.events import EventName
from appliance.errors import ApplianceError
from appliance.policy.actions import Action
from web.authentication import session_cookie, source_of
from web.dependencies import Box, Jobs
from web.guards import declares
from web.navigation import home
from web.pages import page
from web.schemas.sessions import CompleteSetup, SetupCompleted


class SetupController(Controller):
    @get("/setup", opt=declares(Action.SESSION_CREATE, unaudited="an empty form"), sync_to_thread=True)
    def setup_page(self, request: Request[Any, Any, Any], appliance: Box, token: FromQuery[str] = "") -> Template | Redirect:
        spent = not appliance.setup.needed()
        if spent and (not token or request.scope["auth"] is not None):
            return Redirect("/", status_code=303)
        return page(request, "setup.html", token=token, spent=spent, status_code=410 if spent else 200)

    @post("/api/setup", opt=declares(Action.SETUP_COMPLETE, EventName.PERSON_CREATED), sync_to_thread=True)
    def complete(
        self, request: Request[Any, Any, Any], appliance: Box, queue: Jobs, data: JSONBody[CompleteSetup]
    ) -> Response[SetupCompleted]:
        principal = appliance.setup.complete(data.token, data.name, data.password)
        token = appliance.sessions.sign_in(data.name, data.password, source_of(request))
        loaded: list[str] = []
        if data.load_handbook:
            try:
                loaded = load_handbook(appliance.collections, appliance.documents.begin_upload, principal)
            except ApplianceError as error:
                # the account exists and the link is spent: a missing sample must not leave the administrator outside
                structlog.get_logger("web").error("handbook.failed", **error.diagnostics())
        for document_id in loaded:
            queue.enqueue_ingest(document_id)
        completed = SetupCompleted(principal.name, home(appliance, principal), len(loaded))
        return Response(completed, cookies=[session_cookie(appliance.settings, token)])
