"""API keys of one's own, and how administrators end those of others."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.dependencies import Box, Caller
from web.guards import declares
from web.schemas.api_keys import ApiKeyMade, ApiKeyOut, ApiKeysEnded, ApiKeysOut, NewApiKey


class ApiKeysController(Controller):
    @get(
        "/api/account/keys",
        opt=declares(Action.KEY_LIST, unaudited="names and dates of one's own keys, on one's own page"),
        sync_to_thread=True,
    )
    def own(self, appliance: Box, principal: Caller) -> ApiKeysOut:
        keys = [ApiKeyOut.of(key) for key in appliance.api_keys.list(principal)]
        return ApiKeysOut(keys, appliance.api_keys.may_create(principal))

    @post("/api/account/keys", opt=declares(Action.KEY_CREATE, EventName.KEY_CREATED), sync_to_thread=True)
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewApiKey]) -> ApiKeyMade:
        key, text = appliance.api_keys.create(principal, data.password, data.name, data.scopes, data.days, code=data.code)
        return ApiKeyMade(ApiKeyOut.of(key), text)

    @delete("/api/account/keys/{key_id:str}", opt=declares(Action.KEY_END, EventName.KEY_ENDED), sync_to_thread=True)
    def end(self, appliance: Box, principal: Caller, key_id: FromPath[str]) -> None:
        appliance.api_keys.end(principal, key_id)

    @delete(
        "/api/people/{person_id:str}/keys",
        opt=declares(Action.PERSON_UPDATE, EventName.KEY_ENDED),
        status_code=200,
        sync_to_thread=True,
    )
    def end_all_of(self, appliance: Box, principal: Caller, person_id: FromPath[str]) -> ApiKeysEnded:
        return ApiKeysEnded(appliance.api_keys.end_of(principal, person_id))
