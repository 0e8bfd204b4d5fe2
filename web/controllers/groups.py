"""Groups of people, for administrators."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from litestar.response import Template

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.pages import page
from web.schemas.groups import GroupCreated, GroupName, GroupOut, Membership, NewGroup


class GroupsController(Controller):
    @get(
        "/admin/groups",
        opt=declares(Action.GROUP_LIST, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def groups_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_groups.html")

    @get("/api/groups", opt=declares(Action.GROUP_LIST, EventName.GROUP_LISTED), sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller) -> list[GroupOut]:
        return [GroupOut.of(detail) for detail in appliance.groups.list(principal)]

    @post("/api/groups", opt=declares(Action.GROUP_CREATE, EventName.GROUP_CREATED), sync_to_thread=True)
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewGroup]) -> GroupCreated:
        return GroupCreated(appliance.groups.create(principal, data.name, data.people).id)

    @patch(
        "/api/groups/{group_id:str}",
        opt=declares(Action.GROUP_RENAME, EventName.GROUP_RENAMED),
        status_code=204,
        sync_to_thread=True,
    )
    def rename(self, appliance: Box, principal: Caller, group_id: FromPath[str], data: JSONBody[GroupName]) -> None:
        appliance.groups.rename(principal, group_id, data.name)

    @post(
        "/api/groups/{group_id:str}/members",
        opt=declares(Action.MEMBER_ADD, EventName.MEMBER_ADDED),
        status_code=204,
        sync_to_thread=True,
    )
    def add(self, appliance: Box, principal: Caller, group_id: FromPath[str], data: JSONBody[Membership]) -> None:
        appliance.groups.add(principal, group_id, data.people)

    @delete(
        "/api/groups/{group_id:str}/members",
        opt=declares(Action.MEMBER_REMOVE, EventName.MEMBER_REMOVED),
        sync_to_thread=True,
    )
    def remove(self, appliance: Box, principal: Caller, group_id: FromPath[str], data: JSONBody[Membership]) -> None:
        appliance.groups.remove(principal, group_id, data.people)

    @delete("/api/groups/{group_id:str}", opt=declares(Action.GROUP_DELETE, EventName.GROUP_DELETED), sync_to_thread=True)
    def delete(self, appliance: Box, principal: Caller, group_id: FromPath[str]) -> None:
        appliance.groups.delete(principal, group_id)
