"""The state of the box, for administrators."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, Request, get
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.processes import read_processes
from web.schemas.administration import BoxOut, DiskOut
from web.schemas.quality import AlertOut


class BoxController(Controller):
    @get(
        "/admin/box",
        opt=declares(Action.BOX_READ, unaudited="an empty frame; what it shows comes by the JSON route"),
        sync_to_thread=True,
    )
    def box_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_box.html")

    @get("/api/box", opt=declares(Action.BOX_READ, EventName.BOX_READ))
    async def read(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> BoxOut:
        state = await asyncio.to_thread(appliance.box.state, principal)
        drifts = await asyncio.to_thread(appliance.quality.lasting)
        running = await read_processes(request.app.state.redis)
        return BoxOut(
            time_ms=running.time_ms,
            problem=running.problem,
            processes=running.processes,
            queues=running.queues,
            documents=dict(state.documents),
            messages=dict(state.messages),
            people=state.people,
            collections=state.collections,
            chunks=state.chunks,
            audit_events=state.audit_events,
            disk=DiskOut(state.disk.total, state.disk.free, state.disk.database, state.disk.blobs, state.disk.models),
            versions=dict(state.versions),
            drifts=[AlertOut.of(alert) for alert in drifts],
        )
