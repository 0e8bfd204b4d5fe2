"""Accounts, for administrators."""

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
from web.schemas.administration import BelongingsOut, NewPerson, PersonChange, PersonCreated, PersonDeletion, PersonOut


class PeopleController(Controller):
    @get(
        "/admin/people",
        opt=declares(Action.PERSON_LIST, unaudited="an empty frame; what it shows comes by the JSON routes"),
        sync_to_thread=True,
    )
    def people_page(self, request: Request[Any, Any, Any], appliance: Box) -> Template:
        return page(request, "admin_people.html", provider=appliance.provider_sign_in.name)

    @get("/api/people", opt=declares(Action.PERSON_LIST, EventName.PERSON_LISTED), sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller) -> list[PersonOut]:
        return [PersonOut.of(account, principal) for account in appliance.people.list(principal)]

    @post("/api/people", opt=declares(Action.PERSON_CREATE, EventName.PERSON_CREATED), sync_to_thread=True)
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewPerson]) -> PersonCreated:
        person = appliance.people.create(principal, data.name, data.password, data.roles)
        return PersonCreated(person.id, person.name)

    @patch("/api/people/{person_id:str}", opt=declares(Action.PERSON_UPDATE, EventName.PERSON_UPDATED), sync_to_thread=True)
    def update(self, appliance: Box, principal: Caller, person_id: FromPath[str], data: JSONBody[PersonChange]) -> PersonOut:
        account = appliance.people.update(principal, person_id, roles=data.roles, password=data.password, disabled=data.disabled)
        return PersonOut.of(account, principal)

    @delete(
        "/api/people/{person_id:str}/second-factor",
        opt=declares(Action.FACTOR_REMOVE, EventName.FACTOR_REMOVED),
        sync_to_thread=True,
    )
    def remove_second_factor(self, appliance: Box, principal: Caller, person_id: FromPath[str]) -> None:
        appliance.enrolment.remove(principal, person_id)

    @post(
        "/api/people/{person_id:str}/provider",
        opt=declares(Action.PERSON_UPDATE, EventName.PERSON_UPDATED),
        status_code=200,
        sync_to_thread=True,
    )
    def allow_provider(self, appliance: Box, principal: Caller, person_id: FromPath[str]) -> PersonOut:
        return PersonOut.of(appliance.provider_accounts.allow(principal, person_id), principal)

    @delete(
        "/api/people/{person_id:str}/provider",
        opt=declares(Action.PERSON_UPDATE, EventName.IDENTITY_UNLINKED),
        status_code=200,
        sync_to_thread=True,
    )
    def unlink_provider(self, appliance: Box, principal: Caller, person_id: FromPath[str]) -> PersonOut:
        return PersonOut.of(appliance.provider_accounts.unlink(principal, person_id), principal)

    @get(
        "/api/people/{person_id:str}/belongings", opt=declares(Action.PERSON_DELETE, EventName.PERSON_LISTED), sync_to_thread=True
    )
    def belongings(self, appliance: Box, principal: Caller, person_id: FromPath[str]) -> BelongingsOut:
        return BelongingsOut.of(appliance.people.belongings(principal, person_id))

    @delete(
        "/api/people/{person_id:str}",
        opt=declares(Action.PERSON_DELETE, EventName.PERSON_DELETED),
        status_code=200,
        sync_to_thread=True,
    )
    def delete(
        self, appliance: Box, principal: Caller, person_id: FromPath[str], data: JSONBody[PersonDeletion]
    ) -> BelongingsOut:
        found = appliance.people.delete(principal, person_id, conversations=data.conversations, documents=data.documents)
        return BelongingsOut.of(found)
