"""The front door: is it open, and where does one go from it."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get
from litestar.response import Redirect

from appliance.errors import Denied
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.navigation import START, home


class HealthController(Controller):
    """Is the front door open, and where does one go from it."""

    @get("/health", opt=declares(Action.HEALTH_READ, unaudited="says only that the process answers"))
    async def health(self) -> dict[str, str]:
        return {"status": "ok"}

    @get("/", opt=declares(Action.SESSION_CREATE, unaudited="a redirect that reveals nothing"), sync_to_thread=True)
    def start(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> Redirect:
        if request.scope["auth"] is None and appliance.setup.needed():
            return Redirect("/setup", status_code=303)
        place = home(appliance, principal)
        if place == START:
            raise Denied("Your account has no role yet; an administrator can give it one.", code="session.no_role")
        return Redirect(place, status_code=303)
