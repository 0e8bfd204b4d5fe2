"""API keys: what making one is refused for, what ends them, and how their use is kept."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from appliance.administration.api_keys import LONGEST_DAYS, MOST_KEYS, ApiKeys
from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, NotSignedIn
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal, Role
from appliance.identity.store import principal_by_name
from appliance.storage.clock import DAY_MS
from appliance.storage.tables import api_keys
from tests.conftest import PASSWORD
from tests.factor_samples import StillClock, enrol

ANOTHER = "another long passphrase"


def made(appliance: Appliance, person: Principal, name: str = "Import", **wish: object) -> tuple[str, str]:
    """Id and text."""
    key, text = appliance.api_keys.create(person, **{"password": PASSWORD, "name": name, "scopes": KeyScope, **wish})
    return key.id, text


def admitted(appliance: Appliance, text: str) -> bool:
    try:
        appliance.api_keys.admit(text, "192.0.2.7")
    except NotSignedIn:
        return False
    return True


def told(appliance: Appliance, event: EventName) -> list[dict[str, object]]:
    with appliance.database.read() as connection:
        return [dict(record.facts) for record in search(connection, AuditFilter(event=event), limit=100)]


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"password": "not the one"}, "password.wrong"),
        ({"password": ""}, "password.wrong"),
        ({"name": "  "}, "key.name"),
        ({"name": "x" * 201}, "key.name"),
        ({"name": "a\x00b"}, "key.name"),
        ({"scopes": ()}, "key.scopes"),
        ({"days": 0}, "key.days"),
        ({"days": -1}, "key.days"),
        ({"days": LONGEST_DAYS + 1}, "key.days"),
    ],
    ids=str,
)
def test_what_makes_no_key(appliance: Appliance, alice: Principal, wish: dict[str, object], code: str) -> None:
    with pytest.raises(ApplianceError) as caught:
        made(appliance, alice, **wish)
    assert (caught.value.stable_code, appliance.api_keys.list(alice)) == (code, [])
    failures = [{"reason": "wrong_password"}] if code == "password.wrong" else []
    assert told(appliance, EventName.KEY_CREATED) == failures


def test_wrong_passwords_for_a_key_count_as_tries_to_sign_in(appliance: Appliance, alice: Principal) -> None:
    for _ in range(5):
        with pytest.raises(ApplianceError, match="wrong"):
            made(appliance, alice, password="not the one")  # noqa: S106
    with pytest.raises(ApplianceError) as caught:
        made(appliance, alice)
    assert caught.value.stable_code == "session.throttled"


def test_with_a_second_factor_its_code_is_asked_for_too(appliance: Appliance, alice: Principal) -> None:
    phone = enrol(appliance, alice, StillClock().of(appliance))
    for code in ("", "000000x", phone.code(), phone.wrong_code()):
        with pytest.raises(ApplianceError) as caught:
            made(appliance, alice, code=code)
        assert caught.value.stable_code == "code.wrong"
    assert appliance.api_keys.list(alice) == []
    assert told(appliance, EventName.KEY_CREATED) == [{"reason": "wrong_code"}] * 4
    made(appliance, alice, code=phone.recovery_codes[0])
    with pytest.raises(ApplianceError):
        made(appliance, alice, code=phone.recovery_codes[0])
    (made_by,) = [facts["by"] for facts in told(appliance, EventName.KEY_CREATED) if "by" in facts]
    assert made_by == "recovery_code", "whatever spends one says so"


def test_who_is_no_employee_makes_none(appliance: Appliance, administrator: Principal, officer: Principal) -> None:
    appliance.people.update(administrator, administrator.id, roles={Role.ADMINISTRATOR})
    for name in ("administrator", "officer"):
        with appliance.database.read() as connection:
            person = principal_by_name(connection, name)
        assert person is not None
        with pytest.raises(ApplianceError) as caught:
            made(appliance, person)
        assert caught.value.stable_code == "policy.denied"


def test_nobody_has_more_than_a_few(appliance: Appliance, alice: Principal, bob: Principal) -> None:
    for at in range(MOST_KEYS):
        made(appliance, alice, f"Key {at}")
    with pytest.raises(ApplianceError) as caught:
        made(appliance, alice)
    assert caught.value.stable_code == "key.too_many"
    made(appliance, bob)
    appliance.api_keys.end(alice, appliance.api_keys.list(alice)[0].id)
    made(appliance, alice)


def test_a_key_as_it_is_told_and_kept(appliance: Appliance, alice: Principal) -> None:
    key_id, text = made(appliance, alice, "  Nightly   import ", scopes=[KeyScope.ASK], days=30)
    assert re.fullmatch(rf"cloister_{key_id}_[0-9a-f]{{64}}", text)
    (key,) = appliance.api_keys.list(alice)
    assert (key.name, key.scopes, key.last_used_ms) == ("Nightly import", {KeyScope.ASK}, None)
    assert key.expires_ms - key.created_ms == 30 * DAY_MS
    (facts,) = told(appliance, EventName.KEY_CREATED)
    assert (facts["scopes"], facts["days"], facts["by"]) == ("ask", 30, "password")


ENDINGS: dict[str, Callable[[Appliance, Principal, Principal], object]] = {
    "disabled": lambda box, by, whose: box.people.update(by, whose.id, disabled=True),
    "password_set": lambda box, by, whose: box.people.update(by, whose.id, password=ANOTHER),
    "password_changed": lambda box, _, whose: box.sessions.change_password(
        box.sessions.sign_in(whose.name, PASSWORD, "192.0.2.7"), PASSWORD, ANOTHER
    ),
    "administrator": lambda box, by, whose: box.api_keys.end_of(by, whose.id),
}


@pytest.mark.parametrize("reason", ENDINGS)
def test_what_ends_all_keys_of_a_person_and_of_nobody_else(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal, reason: str
) -> None:
    keys = [made(appliance, alice) for _ in range(2)]
    kept = made(appliance, bob)[1]
    assert all(admitted(appliance, text) for _, text in keys)
    ENDINGS[reason](appliance, administrator, alice)
    assert not any(admitted(appliance, text) for _, text in keys)
    appliance.people.update(administrator, alice.id, disabled=False, password=PASSWORD)
    assert not any(admitted(appliance, text) for _, text in keys)  # nothing brings them back
    assert admitted(appliance, kept)
    assert told(appliance, EventName.KEY_ENDED) == [{"reason": reason}] * 2


def test_deleting_the_account_removes_its_keys(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    appliance.people.update(administrator, alice.id, disabled=True)
    with appliance.database.write() as connection:  # as a mistake could leave one
        row = {"id": "1" * 16, "principal_id": alice.id, "name": "x", "digest": "0" * 64, "scopes": "ask"}
        connection.execute(api_keys.insert().values(created_ms=1, expires_ms=2, **row))
    appliance.people.delete(administrator, alice.id, conversations=0, documents=0)
    with appliance.database.read() as connection:
        assert connection.execute(select(api_keys)).all() == []
    assert told(appliance, EventName.KEY_ENDED) == [{"reason": "account_deleted"}]


def test_roles_alone_end_no_key(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    text = made(appliance, alice)[1]
    appliance.people.update(administrator, alice.id, roles={Role.EMPLOYEE, Role.OFFICER})
    assert appliance.api_keys.admit(text, "192.0.2.7").principal.roles == {Role.EMPLOYEE, Role.OFFICER}


def test_only_its_person_and_administrators_end_a_key(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal
) -> None:
    key_id, text = made(appliance, alice)
    for refused, code in (
        (lambda: appliance.api_keys.end(bob, key_id), "key.not_found"),
        (lambda: appliance.api_keys.end(administrator, key_id), "key.not_found"),
        (lambda: appliance.api_keys.end_of(bob, alice.id), "policy.denied"),
        (lambda: appliance.api_keys.list_of(bob, alice.id), "policy.denied"),
        (lambda: appliance.api_keys.end_of(administrator, bob.id, key_id), "key.not_found"),
        (lambda: appliance.api_keys.end_of(administrator, "unknown"), "person.not_found"),
    ):
        with pytest.raises(ApplianceError) as caught:
            refused()
        assert caught.value.stable_code == code
    assert admitted(appliance, text)
    assert [key.id for key in appliance.api_keys.list_of(administrator, alice.id)] == [key_id]
    appliance.api_keys.end(alice, key_id)
    assert not admitted(appliance, text)
    assert told(appliance, EventName.KEY_ENDED) == [{"reason": "owner"}]


def test_the_time_of_use_is_kept_to_the_minute_and_the_end_comes_by_itself(appliance: Appliance, alice: Principal) -> None:
    moment = [1_000_000]
    keys = ApiKeys(appliance.database, appliance.access, appliance.audit, appliance.sessions, b"k" * 32, clock=lambda: moment[0])
    _, text = keys.create(alice, PASSWORD, "Import", KeyScope, 1)
    used = []
    for step_ms in (0, 59_999, 1, 30_000, DAY_MS - 90_001):
        moment[0] += step_ms
        assert keys.admit(text, "192.0.2.7").principal.id == alice.id
        used.append(keys.list(alice)[0].last_used_ms)
    assert used == [1_000_000, 1_000_000, 1_060_000, 1_060_000, 1_000_000 + DAY_MS - 1]
    assert keys.principal(text) is not None
    moment[0] += 1
    assert keys.principal(text) is None
    with pytest.raises(NotSignedIn):
        keys.admit(text, "192.0.2.7")
    assert [facts["reason"] for facts in told(appliance, EventName.KEY_REFUSED)] == ["expired"]


def test_a_scope_that_this_version_does_not_know_opens_nothing(appliance: Appliance, alice: Principal) -> None:
    _, text = made(appliance, alice)
    with appliance.database.write() as connection:
        connection.execute(update(api_keys).values(scopes="everything,ask"))
    assert appliance.api_keys.admit(text, "192.0.2.7").scopes == {KeyScope.ASK}
