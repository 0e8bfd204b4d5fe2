"""What a second factor is to keep out: a code used twice at once, and whoever lacks one that their role must have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import InvalidInput, NotSignedIn, SetupError, Throttled
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import NOBODY, SYSTEM, Principal, Role
from appliance.identity.throttling import NAME_LIMIT
from appliance.policy.actions import Action
from appliance.settings import Settings
from appliance.storage.tables import audit_events, sessions
from tests.conftest import PASSWORD
from tests.factor_samples import Phone, StillClock, enrol
from tests.security.test_routes import filled, walk
from tests.web_clients import signed_in
from web.app import create_app
from web.authentication import session_alive
from web.guards import ANONYMOUS, WITHOUT_FACTOR

AT_ONCE = NAME_LIMIT.free_tries - 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock(appliance: Appliance) -> StillClock:
    return StillClock().of(appliance)


def require(appliance: Appliance, *roles: Role) -> None:
    appliance.factors._required = frozenset(roles)


def declared(app: Litestar) -> list[tuple[str, str, Action]]:
    """Method, path and action of everything that is meant to answer."""
    return [(method, path, handler.opt["action"]) for method, path, handler in walk(app) if method != "OPTIONS"]


# a code is used once ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("which", ["app", "paper"])
def test_of_many_who_use_one_code_at_once_one_comes_in(appliance, alice, clock, which):
    phone = enrol(appliance, alice, clock)
    code = phone.next_code() if which == "app" else phone.recovery_codes[0]
    start = Barrier(AT_ONCE)

    def come_in(number: int) -> str:
        start.wait()
        try:
            return appliance.sessions.sign_in("alice", PASSWORD, f"192.0.2.{number}", code)
        except (NotSignedIn, Throttled) as refused:
            return refused.stable_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        came = list(pool.map(come_in, range(AT_ONCE)))
    assert came.count("session.code_wrong") == AT_ONCE - 1, came
    with appliance.database.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1


def test_a_code_that_two_acts_ask_for_at_once_serves_one_of_them(appliance, alice, clock):
    phone = enrol(appliance, alice, clock)
    code, start = phone.next_code(), Barrier(2)

    def renew() -> object:
        start.wait()
        return appliance.enrolment.renew(alice, PASSWORD, code)

    def come_in() -> object:
        start.wait()
        return appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7", code)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(act) for act in (renew, come_in)]
        failed = [each.exception() for each in done if each.exception() is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], NotSignedIn | InvalidInput)
    assert failed[0].stable_code in {"session.code_wrong", "code.wrong"}


# whoever lacks one that they must have ------------------------------------------------------------------------------------
def test_only_setting_one_up_and_leaving_is_open_without_it():
    assert WITHOUT_FACTOR - ANONYMOUS == {Action.ACCOUNT_READ, Action.FACTOR_CREATE, Action.SESSION_DELETE}


@pytest.mark.anyio
async def test_every_other_route_is_refused_and_pages_lead_to_it(appliance, administrator, alice, clock):
    appliance.people.update(administrator, alice.id, roles=[Role.EMPLOYEE, Role.ADMINISTRATOR])
    async with signed_in(appliance, "alice") as client:
        require(appliance, Role.ADMINISTRATOR)
        routes = [item for item in declared(client.app) if item[2] not in WITHOUT_FACTOR]
        assert len(routes) > 100
        for method, path, action in routes:
            answer = await client.request(method, filled(path), follow_redirects=False)
            if path.startswith("/api/") or method not in {"GET", "HEAD"}:
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "factor.required"), (method, path)
            else:
                assert (answer.status_code, answer.headers["location"]) == (303, "/account"), path
        page = await client.get("/account")
        assert page.status_code == 200 and 'href="/chat"' not in page.text and 'href="/admin/people"' not in page.text
        assert (await client.get("/", follow_redirects=False)).headers["location"] == "/account"
        assert (await client.get("/sign-in?next=/documents", follow_redirects=False)).headers["location"] == "/account"
        assert (await client.get("/static/cloister.css")).status_code == 200
    with appliance.database.read() as connection:
        told = [body.decode() for body in connection.execute(select(audit_events.c.body)).scalars()]
    assert len([body for body in told if '"no_second_factor"' in body]) == len(routes)


@pytest.mark.anyio
async def test_with_one_the_same_routes_answer_as_ever(appliance, administrator, clock):
    phone = enrol(appliance, administrator, clock)
    require(appliance, *Role)
    async with AsyncTestClient(create_app(appliance)) as client:
        client.cookies.set("cloister", appliance.sessions.sign_in("administrator", PASSWORD, "192.0.2.7", phone.next_code()))
        for method, path, action in declared(client.app):
            if method == "GET" and action not in ANONYMOUS and "{" not in path and "events" not in path:
                answer = await client.get(path, follow_redirects=False)
                assert "factor.required" not in answer.text and answer.headers.get("location") != "/account", path


@pytest.mark.anyio
async def test_setting_one_up_opens_the_rest(appliance, alice, clock):
    async with signed_in(appliance, "alice") as client:
        require(appliance, Role.EMPLOYEE)
        assert (await client.get("/api/collections")).status_code == 403
        assert (await client.get("/api/second-factor")).json()["required"] is True
        phone = Phone((await client.post("/api/second-factor", json={})).json()["secret"], clock)
        assert (await client.get("/api/collections")).status_code == 403, "what is only begun counts for nothing"
        proof = {"password": PASSWORD, "code": phone.code()}
        assert (await client.post("/api/second-factor/confirmation", json=proof)).status_code == 200
        assert (await client.get("/api/collections")).status_code == 200
        assert (await client.delete("/api/sessions/current")).status_code == 403, "by the token of the session that has ended"


@pytest.mark.anyio
async def test_it_is_asked_of_each_request_so_that_a_role_or_a_loss_counts_at_once(appliance, administrator, alice, clock):
    require(appliance, Role.OFFICER)
    async with signed_in(appliance, "alice") as client:
        assert (await client.get("/api/collections")).status_code == 200
    phone = enrol(appliance, alice, clock)
    clock.turn()
    require(appliance, Role.EMPLOYEE)
    token = appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7", phone.code())
    assert appliance.factors.may_act(alice)
    renewed = appliance.enrolment.delete(alice, token, PASSWORD, phone.recovery_codes[0])
    assert not appliance.factors.may_act(alice)
    async with AsyncTestClient(create_app(appliance)) as client:
        client.cookies.set("cloister", renewed)
        assert (await client.get("/api/collections")).json()["error"]["code"] == "factor.required"


@pytest.mark.anyio
async def test_an_api_key_is_no_way_around_it(appliance, alice, clock):
    _, key = appliance.api_keys.create(alice, PASSWORD, "script", KeyScope)
    async with signed_in(appliance) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        assert (await client.get("/api/collections")).status_code == 200
        require(appliance, Role.EMPLOYEE)
        for path in ("/api/collections", "/api/conversations", "/api/documents"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "factor.required"), path
        for path in ("/account", "/api/second-factor"):
            assert (await client.get(path, follow_redirects=False)).status_code == 403, path


def test_an_open_stream_ends_once_it_is_missing(appliance, alice):
    token = appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7")
    app = SimpleNamespace(state=SimpleNamespace(appliance=appliance))
    connection = SimpleNamespace(app=app, scope={"auth": token}, state={})
    assert session_alive(connection)
    require(appliance, Role.EMPLOYEE)
    assert not session_alive(connection)


def test_it_is_asked_of_those_roles_alone_and_of_neither_nobody_nor_the_box(appliance, administrator, alice, officer):
    require(appliance, Role.OFFICER)
    assert [appliance.factors.may_act(who) for who in (administrator, alice, officer, NOBODY, SYSTEM)] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_a_box_whose_setting_names_no_role_does_not_start(settings, appliance):
    appliance.close()
    with pytest.raises(SetupError, match="second_factor_roles names administrators"):
        open_appliance(Settings(data_dir=settings.data_dir, second_factor_roles="administrators"))
    opened = open_appliance(Settings(data_dir=settings.data_dir, second_factor_roles="officer, administrator"))
    assert opened.factors.required_of(Principal("x", "x", "x", frozenset({Role.OFFICER})))
    opened.close()
