"""Bodies of requests, where the framework's own reading of them falls short."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import ClientException


class BodyRequest(Request[Any, Any, Any]):
    """A request whose JSON may nest as deeply as its sender likes: that is a bad request, not a fault of the box."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except RecursionError as error:
            raise ClientException("The body nests too deeply.") from error
