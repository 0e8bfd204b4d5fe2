"""What handlers may ask for by name: `appliance`, `principal` and `queue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from appliance.identity.models import NOBODY, Principal
from workers.queue import Queue

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance
else:
    # The web process never wires parts itself, so it need not import what bootstrap imports.
    Appliance = Any

Box = NamedDependency[SkipValidation[Appliance]]
"""Annotation of the parameter `appliance`."""

Caller = NamedDependency[SkipValidation[Principal]]
"""Annotation of the parameter `principal`: who makes this request, NOBODY before sign-in."""


Jobs = NamedDependency[SkipValidation[Queue]]
"""Annotation of the parameter `queue`: where ids of rows go that a worker should look at."""


def caller(request: Request[Any, Any, Any]) -> Principal:
    """Who makes this request; NOBODY where no guard ran (an unknown path)."""
    principal: Principal = request.scope.get("user", NOBODY)
    return principal


async def _appliance(request: Request[Any, Any, Any]) -> Any:
    return request.app.state.appliance


async def _queue(request: Request[Any, Any, Any]) -> Any:
    return request.app.state.queue


async def _principal(request: Request[Any, Any, Any]) -> Any:
    return caller(request)


def providers() -> dict[str, Provide]:
    return {"appliance": Provide(_appliance), "principal": Provide(_principal), "queue": Provide(_queue)}
