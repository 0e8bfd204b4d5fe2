"""One's own second factor and signing in with it, through HTTP."""

from __future__ import annotations

import pyotp
import pytest
import segno

from tests.conftest import PASSWORD
from tests.factor_samples import Phone, StillClock, enrol
from web.pictures import qr_picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(appliance) -> StillClock:
    return StillClock().of(appliance)


def credentials(**more: str) -> dict[str, str]:
    return {"name": "alice", "password": PASSWORD, **more}


async def test_signing_in_takes_the_code_as_a_second_step(client, appliance, alice, clock):
    phone = enrol(appliance, alice, clock)
    clock.turn()
    for given, code in (
        (credentials(), "session.code_needed"),
        (credentials(code=""), "session.code_needed"),
        (credentials(code=phone.wrong_code()), "session.code_wrong"),
        (credentials(code=phone.code(), password="not this one"), "session.refused"),
    ):
        refused = await client.post("/api/sessions", json=given)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, code)
        assert "set-cookie" not in refused.headers
    assert (await client.post("/api/sessions", json=credentials(code=123456))).status_code == 400
    signed_in = await client.post("/api/sessions", json=credentials(code=phone.code(), next="/documents"))
    assert (signed_in.status_code, signed_in.json()["home"]) == (201, "/documents")
    assert (await client.get("/api/conversations")).status_code == 200


async def test_a_second_factor_from_the_picture_to_the_end(client, signed_in, appliance, alice, clock):
    async with signed_in("alice") as hers, signed_in("alice") as elsewhere:
        assert (await hers.get("/api/second-factor")).json() == {"since_ms": None, "recovery_codes": 0, "required": False}
        begun = (await hers.post("/api/second-factor", json={})).json()
        assert set(begun) == {"secret", "size", "path"}
        phone = Phone(begun["secret"], clock)
        wrong = await hers.post("/api/second-factor/confirmation", json={"password": PASSWORD, "code": phone.wrong_code()})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "code.wrong")
        right = await hers.post("/api/second-factor/confirmation", json={"password": PASSWORD, "code": phone.code()})
        assert right.status_code == 200, right.text
        phone.recovery_codes = right.json()["recovery_codes"]
        assert (await elsewhere.get("/api/conversations")).status_code == 401
        hers.headers["X-CSRF-Token"] = right.json()["csrf_token"]
        state = (await hers.get("/api/second-factor")).json()
        assert state == {"since_ms": clock.now, "recovery_codes": 10, "required": False}
        assert (await hers.post("/api/second-factor", json={})).json()["error"]["code"] == "factor.exists"

        proof = {"password": PASSWORD, "code": phone.next_code()}
        fresh = (await hers.post("/api/second-factor/recovery-codes", json=proof)).json()["recovery_codes"]
        assert len(fresh) == 10 and not set(fresh) & set(phone.recovery_codes)
        replayed = await hers.request("DELETE", "/api/second-factor", json=proof)
        assert (replayed.status_code, replayed.json()["error"]["code"]) == (400, "code.wrong")
        gone = await hers.request("DELETE", "/api/second-factor", json={"password": PASSWORD, "code": fresh[0]})
        assert gone.status_code == 200, gone.text
        hers.headers["X-CSRF-Token"] = gone.json()["csrf_token"]
        assert (await hers.post("/api/conversations", json={})).status_code == 201
    assert (await client.post("/api/sessions", json=credentials())).status_code == 201


async def test_nothing_of_it_is_shown_again_or_to_others(signed_in, appliance, alice, bob, administrator, clock):
    phone = enrol(appliance, alice, clock)
    async with signed_in("bob") as his, signed_in("administrator") as root:
        assert (await his.get("/api/second-factor")).json()["since_ms"] is None
        listed = await root.get("/api/people")
        assert {person["name"]: person["second_factor"] for person in listed.json()} == {
            "administrator": False,
            "alice": True,
            "bob": False,
        }
        for answer in (listed, await root.get("/admin/people"), await his.get("/account")):
            assert phone.secret not in answer.text and phone.recovery_codes[0] not in answer.text


async def test_administrators_remove_it_through_the_page_and_not_their_own(
    signed_in, client, appliance, alice, administrator, clock
):
    enrol(appliance, alice, clock)
    async with signed_in("administrator") as root:
        del root.headers["X-CSRF-Token"]
        assert (await root.delete(f"/api/people/{alice.id}/second-factor")).status_code == 403
    assert (await client.post("/api/sessions", json=credentials())).status_code == 401
    async with signed_in("administrator") as root:
        assert (await root.delete(f"/api/people/{administrator.id}/second-factor")).json()["error"][
            "code"
        ] == "person.own_account"
        assert (await root.delete(f"/api/people/{alice.id}/second-factor")).status_code == 204
        assert (await root.delete(f"/api/people/{alice.id}/second-factor")).status_code == 404
    assert (await client.post("/api/sessions", json=credentials())).status_code == 201


async def test_the_account_page_belongs_to_everybody_with_a_role(signed_in, client, alice, officer, administrator):
    assert (await client.get("/account", follow_redirects=False)).headers["location"] == "/sign-in?next=%2Faccount"
    for name in ("alice", "officer", "administrator"):
        async with signed_in(name) as person:
            assert f"Signed in as {name}." in (await person.get("/account")).text
    response = await client.post("/api/sessions", json=credentials(next="/account"))
    assert response.json()["home"] == "/account"


def test_the_picture_is_the_code_that_its_path_draws():
    text = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").provisioning_uri(name="Zoë & co", issuer_name="Cloister")
    size, path = qr_picture(text)
    drawn = [[0] * size for _ in range(size)]
    for piece in path.removesuffix("z").split("z"):
        place, length, *_ = piece.removeprefix("M").replace("v1", "h").split("h")
        x, y = map(int, place.split())
        for at in range(int(length)):
            drawn[y][x + at] = 1
    bare = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(border=4)]
    assert [[min(square, 1) for square in row] for row in bare] == drawn
