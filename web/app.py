"""The web application, made anew by each call of `create_app`.

To add a controller: write `web/controllers/<noun>.py` with a `litestar.Controller`, import it here and add it to `CONTROLLERS`.

    class ThingsController(Controller):
        @get("/things", opt=declares(Action.THING_LIST, unaudited="an empty frame; the data comes by JSON"))
        async def things_page(self, request: Request[Any, Any, Any]) -> Template:
            return page(request, "things.html", place="things")

        @get("/api/things", opt=declares(Action.THING_LIST, EventName.THING_LISTED), sync_to_thread=True)
        def things(self, appliance: Box, principal: Caller) -> list[ThingOut]:
            return [ThingOut.of(thing) for thing in appliance.things.list(principal)]

- `declares` (web/guards.py) names the action and the audit event, or why there is none. A handler without it answers 403.
- `Box`, `Caller`, `Jobs` (web/dependencies.py) annotate the parameters `appliance`, `principal`, `queue`, named exactly so.
- Parameters are marked: `id: FromPath[str]`, `limit: FromQuery[int] = 50` (litestar.params); a body is `data: JSONBody[AStruct]`.
- Handlers that call the appliance are plain functions with `sync_to_thread=True`; an event stream is `web/sse.py`.
- Errors of the core are raised and never caught: web/errors.py turns them into a status, JSON for /api, a page elsewhere.
- Request bodies are limited to 64 KiB; a handler that streams an upload sets `request_max_body_size=None`.

A template extends `layout.html`, sets `place` to the key of its navigation entry (`chat`, `documents`, `audit`, `admin`) and
fills the blocks `title`, `main` and `script` (`<script type="module" src="/static/things.js"></script>`; inline scripts and
styles are refused by the browser). Scripts import `./api.js` (`api.get/post/put/patch/delete`, errors as `ApiError` with
`message` and `code`) and `./dom.js` (`h(tag, attributes, ...children)`; text only, innerHTML is refused by the browser). Styles
go into `web/styles/<nn>-<noun>.css`; all of them together are served as the one sheet `/static/cloister.css`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from litestar import Controller, Litestar
from litestar.datastructures import State
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from web.assets import load_assets
from web.bodies import BodyRequest
from web.controllers.account import AccountController
from web.controllers.api_keys import ApiKeysController
from web.controllers.assets import AssetsController
from web.controllers.audit import AuditController
from web.controllers.box import BoxController
from web.controllers.catalogue import CatalogueController
from web.controllers.chat import ChatController
from web.controllers.collections import CollectionsController
from web.controllers.documents import DocumentsController
from web.controllers.egress import EgressController
from web.controllers.feedback import FeedbackController
from web.controllers.golden import GoldenController
from web.controllers.groups import GroupsController
from web.controllers.health import HealthController
from web.controllers.holds import HoldsController
from web.controllers.models import ModelsController
from web.controllers.people import PeopleController
from web.controllers.provider import ProviderController
from web.controllers.quality import QualityController
from web.controllers.retention import RetentionController
from web.controllers.routing import RoutingController
from web.controllers.sessions import SessionsController
from web.controllers.setup import SetupController
from web.dependencies import providers
from web.errors import HANDLERS
from web.guards import authorise_request
from web.pages import template_config
from web.security_headers import add_security_headers
from workers.connection import connect_async
from workers.queue import Queue, open_queue

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance

CONTROLLERS: tuple[type[Controller], ...] = (
    AccountController,
    ApiKeysController,
    AssetsController,
    AuditController,
    BoxController,
    ChatController,
    CollectionsController,
    DocumentsController,
    EgressController,
    FeedbackController,
    GoldenController,
    GroupsController,
    HealthController,
    HoldsController,
    ModelsController,
    PeopleController,
    ProviderController,
    QualityController,
    RetentionController,
    RoutingController,
    CatalogueController,
    SessionsController,
    SetupController,
)

BODY_LIMIT_BYTES = 64 * 1024
_THREADS = 24


class _App(Litestar):
    """Without the plugins for pydantic and attrs, which Litestar loads where those are installed: 8 MB that nothing here uses."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(
    appliance: Appliance, *, queue: Queue | None = None, controllers: tuple[type[Controller], ...] = CONTROLLERS
) -> Litestar:
    """The application over an opened appliance; `queue` is the box's own unless given.

    `app.state.closing` is to be set when the server begins to shut down: open streams then end.
    """
    state = {
        "appliance": appliance,
        "assets": load_assets(Path(__file__).parent),
        "closing": asyncio.Event(),
        "queue": queue or open_queue(appliance.settings),
        "redis": connect_async(appliance.settings),
    }
    return _App(
        route_handlers=controllers,
        guards=[authorise_request],
        dependencies=providers(),
        exception_handlers=HANDLERS,
        before_send=[add_security_headers],
        template_config=template_config(),
        state=State(state),
        on_startup=[_make_room],
        on_shutdown=[_disconnect],
        request_class=BodyRequest,
        request_max_body_size=BODY_LIMIT_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


async def _make_room(_app: Litestar) -> None:
    # the default, cores + 4, is few enough for a handful of waiting sign-ins to keep everybody out
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="web"))


async def _disconnect(app: Litestar) -> None:
    await app.state.redis.aclose()
