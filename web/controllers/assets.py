"""Style sheet, scripts and icon."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.params import FromPath

from appliance.errors import NotFound
from appliance.policy.actions import Action
from web.guards import declares


class AssetsController(Controller):
    """Style sheet, scripts and icon of the pages; they hold nothing private."""

    @get("/static/{name:str}", opt=declares(Action.ASSET_READ, unaudited="public files of the pages themselves"))
    async def read(self, request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        asset = request.app.state.assets.get(name)
        if asset is None:
            raise NotFound("There is no such file.")
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
        return Response(asset.content, headers=headers, media_type=asset.media_type)
