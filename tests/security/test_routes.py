"""Every route there is: what it declares, what it answers to strangers, and the headers it sends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from litestar import Controller, Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from appliance.audit.events import EventName
from appliance.policy.actions import Action
from web.app import CONTROLLERS, create_app
from web.controllers import __path__ as controllers_path
from web.guards import ANONYMOUS, IN_SERVICE, RESOURCES, declares
from web.security_headers import HEADERS

OPEN_TO_ALL = {"/", "/health", "/setup", "/sign-in", "/static/{name:str}", "/api/sessions", "/api/setup"}
OPEN_TO_ALL |= {"/sign-in/provider", "/sign-in/provider/answer"}


@pytest.fixture
def app(appliance) -> Litestar:
    return create_app(appliance)


@pytest.fixture
async def client(app) -> AsyncIterator[AsyncTestClient]:
    async with AsyncTestClient(app) as opened:
        yield opened


def walk(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    """Method, path and handler of everything that answers."""
    found = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is not plain HTTP and has no guard test"
        for handler in route.route_handlers:
            found += [(method, route.path, handler) for method in handler.http_methods]
    return found


def filled(path: str) -> str:
    return re.sub(r"\{\w+:(\w+)\}", lambda match: "1" if match[1] == "int" else "unknown", path)


def test_every_controller_module_is_registered():
    from pkgutil import iter_modules

    modules = {f"web.controllers.{module.name}" for module in iter_modules(controllers_path)}
    assert {controller.__module__ for controller in CONTROLLERS} == modules


def test_each_route_declares_its_action_and_its_event(app):
    for method, path, handler in walk(app):
        if method == "OPTIONS":
            assert "action" not in handler.opt, path
            continue
        assert isinstance(handler.opt.get("action"), Action), f"{method} {path} declares no action"
        event = handler.opt.get("event")
        assert isinstance(event, EventName) or len(handler.opt.get("unaudited", "")) > 10, f"{method} {path} declares no event"
        if method not in {"GET", "HEAD"}:
            assert isinstance(event, EventName), f"{method} {path} changes something and leaves no trace"


def test_each_action_is_decided_in_exactly_one_place():
    assert set(RESOURCES) | IN_SERVICE == set(Action)
    assert set(RESOURCES).isdisjoint(IN_SERVICE)


def test_only_these_routes_are_open_to_all(app):
    assert {path for method, path, handler in walk(app) if handler.opt.get("action") in ANONYMOUS} == OPEN_TO_ALL


@pytest.mark.anyio
async def test_without_a_session_nothing_else_answers(app, client):
    for method, path, handler in walk(app):
        if method == "OPTIONS" or handler.opt["action"] in ANONYMOUS:
            continue
        response = await client.request(method, filled(path), follow_redirects=False)
        if path.startswith("/api/") or method not in {"GET", "HEAD"}:
            assert response.status_code == 401, f"{method} {path}"
            assert response.json()["error"]["code"] == "session.missing"
        else:
            assert response.status_code == 303, f"{method} {path}"
            assert response.headers["location"].startswith("/sign-in?next="), path


@pytest.mark.anyio
async def test_options_is_refused_everywhere(app, client):
    for path in {path for _, path, _ in walk(app)}:
        assert (await client.request("OPTIONS", filled(path))).status_code == 403, path


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/schema", "/schema/openapi.json", "/api/unknown", "/static/../app.py", "/unknown"])
async def test_what_is_not_declared_is_not_there(client, path):
    assert (await client.get(path)).status_code == 404


@pytest.mark.anyio
async def test_security_headers_are_on_every_answer(app, client):
    paths = [filled(path) for method, path, _ in walk(app) if method == "GET"] + [
        "/unknown",
        "/api/unknown",
        "/static/cloister.css",
    ]
    for path in paths:
        response = await client.get(path, follow_redirects=False)
        for name, value in HEADERS.items():
            assert response.headers[name] == value, f"{path} {name}"
        if not path.startswith("/static/c"):
            assert response.headers["cache-control"] == "no-store", path


def test_the_policy_lets_nothing_in_from_elsewhere():
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|http|\*|data:", policy)


def test_a_handler_that_forgot_its_action_answers_403(appliance):
    class Forgotten(Controller):
        @get("/forgotten")
        async def read(self) -> str:
            return "secret"

    async def ask() -> int:
        async with AsyncTestClient(create_app(appliance, controllers=(*CONTROLLERS, Forgotten))) as client:
            response = await client.get("/forgotten")
            assert "secret" not in response.text
            return response.status_code

    assert asyncio.run(ask()) == 403


def test_a_declaration_without_event_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        declares(Action.CONVERSATION_LIST)
    with pytest.raises(ValueError, match="reason"):
        declares(Action.CONVERSATION_LIST, EventName.CONVERSATION_LISTED, unaudited="and a reason, too")


def test_templates_and_scripts_hold_nothing_that_the_policy_would_block():
    web = Path(controllers_path[0]).parent
    for template in (web / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=\"/static/)|javascript:|\|\s*safe\b", text), (
            template
        )
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text), template
    for script in (web / "static").glob("*.js"):
        text = script.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/)", text
        ), script
    for sheet in (web / "styles").glob("*.css"):
        assert not re.search(r"@import|url\(", sheet.read_text()), sheet
