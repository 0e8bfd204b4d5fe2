"""Signing in, staying in, and every way out, on a real database with a clock the test turns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from sqlalchemy import select

from appliance.audit.store import AuditFilter, AuditRecord, search, unseal
from appliance.bootstrap import Appliance
from appliance.errors import InvalidInput, NotSignedIn, Throttled
from appliance.identity import store, throttling
from appliance.identity.models import Principal, Role
from appliance.identity.passwords import hash_password
from appliance.identity.sessions import Sessions
from appliance.storage.tables import sessions as session_rows
from appliance.storage.tables import throttles

PASSWORD = "a long enough passphrase"
HASH = hash_password(PASSWORD)
MINUTE = 60_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(appliance: Appliance, clock: Clock) -> Sessions:
    return Sessions(appliance.database, appliance.audit, appliance.keys.sessions, idle_min=60, max_h=12, clock=clock)


@pytest.fixture
def porter(appliance: Appliance) -> Principal:
    with appliance.database.write() as connection:
        return store.create_principal(connection, name="Night Porter", password_hash=HASH, roles={Role.EMPLOYEE})


def _records(appliance: Appliance, name: str) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return [item for item in search(connection, AuditFilter()) if item.event == name]


def _refused(sessions: Sessions, name: str, password: str, source: str = "192.0.2.7") -> NotSignedIn:
    with pytest.raises(NotSignedIn) as caught:
        sessions.sign_in(name, password, source)
    return caught.value


def test_wrong_name_wrong_password_and_disabled_account_are_refused_alike(
    appliance: Appliance, sessions: Sessions, porter: Principal
) -> None:
    with appliance.database.write() as connection:
        store.create_principal(connection, name="cook", password_hash=HASH, roles={Role.ADMINISTRATOR})
        store.set_disabled(connection, porter.id, disabled=True)
    refusals = [
        _refused(sessions, "cook", "not the passphrase"),
        _refused(sessions, "nobody of that name", PASSWORD),
        _refused(sessions, "night porter", PASSWORD),
    ]
    assert len({(item.sentence, item.stable_code) for item in refusals}) == 1
    records = _records(appliance, "session.refused")
    assert [item.facts["reason"] for item in records] == ["disabled", "unknown_name", "wrong_password"]
    assert all(item.outcome == "failure" for item in records)
    assert records[0].resources == (("person", porter.pseudonym),)
    with appliance.database.read() as connection:
        assert unseal(connection, appliance.keys.audit_sealing, records[1].seq) == {
            "name": "nobody of that name",
            "source": "192.0.2.7",
        }


def test_signing_in_leaves_only_the_digest_of_the_token(appliance: Appliance, sessions: Sessions, porter: Principal) -> None:
    token = sessions.sign_in("  night   PORTER ", PASSWORD, "192.0.2.7")
    assert len(token) >= 43  # 256 bits in base64
    assert sessions.principal(token) == porter
    with appliance.database.read() as connection:
        (row,) = connection.execute(select(session_rows)).all()
    assert row.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in repr(row)
    (record,) = _records(appliance, "session.created")
    assert record.actor_pseudonym == porter.pseudonym
    assert token not in record.body.decode()
    assert sessions.sign_in("night porter", PASSWORD, "192.0.2.7") != token
    assert sessions.principal("made up") is None
    assert sessions.principal("") is None


def test_a_session_ends_when_idle(sessions: Sessions, porter: Principal, clock: Clock) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    for _ in range(4):
        clock.now += 50 * MINUTE
        assert sessions.principal(token) is not None
    clock.now += 60 * MINUTE
    assert sessions.principal(token) is None


def test_a_session_ends_after_its_longest_time_however_busy(sessions: Sessions, porter: Principal, clock: Clock) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    for _ in range(23):
        clock.now += 30 * MINUTE
        assert sessions.principal(token) is not None
    clock.now += 30 * MINUTE
    assert sessions.principal(token) is None


def test_signing_out_ends_this_session_only(appliance: Appliance, sessions: Sessions, porter: Principal) -> None:
    first, second = (sessions.sign_in("night porter", PASSWORD, "192.0.2.7") for _ in range(2))
    sessions.sign_out(first)
    sessions.sign_out(first)
    assert sessions.principal(first) is None
    assert sessions.principal(second) == porter
    assert len(_records(appliance, "session.deleted")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda connection, person: store.set_password(connection, person, HASH),
        lambda connection, person: store.set_disabled(connection, person, disabled=True),
        lambda connection, person: store.set_roles(connection, person, {Role.OFFICER}),
    ],
    ids=["password", "disabled", "roles"],
)
def test_a_changed_account_is_signed_out_everywhere(
    appliance: Appliance, sessions: Sessions, porter: Principal, change: Callable[..., None]
) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    with appliance.database.write() as connection:
        change(connection, porter.id)
    assert sessions.principal(token) is None


def test_csrf_tokens_belong_to_one_session(sessions: Sessions, porter: Principal) -> None:
    first, second = (sessions.sign_in("night porter", PASSWORD, "192.0.2.7") for _ in range(2))
    assert sessions.csrf_token(first) == sessions.csrf_token(first)
    assert sessions.csrf_valid(first, sessions.csrf_token(first))
    assert not sessions.csrf_valid(first, sessions.csrf_token(second))
    assert not sessions.csrf_valid(first, "")
    assert not sessions.csrf_valid(first, "ü")
    assert first not in sessions.csrf_token(first)


def test_guessing_at_a_name_is_slowed_down_and_the_right_password_waits_too(
    appliance: Appliance, sessions: Sessions, porter: Principal, clock: Clock
) -> None:
    for number in range(5):
        _refused(sessions, "night porter", f"guess number {number}", source=f"192.0.2.{number}")
    with pytest.raises(Throttled) as caught:
        sessions.sign_in("Night PORTER", PASSWORD, "192.0.2.99")
    assert caught.value.data["retry_after_s"] == 1
    clock.now += 1_000
    assert sessions.sign_in("night porter", PASSWORD, "192.0.2.99")
    _refused(sessions, "night porter", "one more guess", source="192.0.2.99")  # counted anew after success


def test_the_log_says_with_which_try_a_name_was_shut_out_and_for_how_long(
    appliance: Appliance, sessions: Sessions, porter: Principal, clock: Clock
) -> None:
    for number in range(7):
        _refused(sessions, "night porter", f"guess number {number}", source=f"192.0.2.{number}")
        clock.now += 4_000
    refused = _records(appliance, "session.refused")
    assert [record.facts.get("blocked_s", 0) for record in refused] == [4, 2, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "spelling",
    ["NIGHT PORTER", "  night   porter ", "ｎight porter", "ｎｉｇｈｔ ｐｏｒｔｅｒ", "night\u2003porter", "𝐧ight porter"],
)
def test_another_spelling_of_a_name_is_no_way_around_its_block(sessions: Sessions, porter: Principal, spelling: str) -> None:
    for number in range(5):
        _refused(sessions, "night porter", f"guess number {number}", source=f"192.0.2.{number}")
    with pytest.raises(Throttled):
        sessions.sign_in(spelling, PASSWORD, "192.0.2.99")


@pytest.mark.parametrize("spelling", ["ǰan", "J\u030can", "j\u030can", "J\u030cAN"])
def test_a_letter_without_a_capital_of_its_own_is_no_second_name(appliance: Appliance, sessions: Sessions, spelling: str) -> None:
    with appliance.database.write() as connection:
        store.create_principal(connection, name="ǰan", password_hash=HASH, roles={Role.EMPLOYEE})
    for number in range(5):
        _refused(sessions, "ǰan", f"guess number {number}", source=f"192.0.2.{number}")
    with pytest.raises(Throttled):
        sessions.sign_in(spelling, PASSWORD, "192.0.2.99")


def test_a_blocked_name_is_never_blocked_for_longer_than_a_minute(appliance: Appliance, sessions: Sessions, clock: Clock) -> None:
    from appliance.identity.throttling import NAME_LIMIT, SOURCE_LIMIT, count_try

    waits = {}
    with appliance.database.write() as connection:
        for limit in (NAME_LIMIT, SOURCE_LIMIT):
            for _ in range(100):
                try:
                    count_try(connection, limit, limit.kind, clock.now)
                except Throttled as throttled:
                    waits[limit.kind] = int(throttled.data["retry_after_s"])
                    clock.now += waits[limit.kind] * 1_000
    assert waits == {"name": 60, "source": 900}


def test_a_clock_that_is_set_back_locks_nobody_out_and_forgets_no_tries(
    sessions: Sessions, porter: Principal, clock: Clock
) -> None:
    sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    for number in range(5):
        _refused(sessions, "somebody", f"guess number {number}", source="192.0.2.7")
    clock.now -= 24 * 60 * MINUTE
    assert sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    _refused(sessions, "somebody", "one more guess", source="192.0.2.7")
    with pytest.raises(Throttled) as caught:
        sessions.sign_in("somebody", "and another", "192.0.2.7")
    assert caught.value.data["retry_after_s"] == 2


def test_an_unknown_name_is_slowed_down_like_a_known_one(sessions: Sessions) -> None:
    for number in range(5):
        _refused(sessions, "nobody of that name", f"guess number {number}")
    with pytest.raises(Throttled):
        sessions.sign_in("nobody of that name", "another guess", "192.0.2.7")


@pytest.mark.parametrize(("source", "shut"), [("192.0.2.7", True), ("127.0.0.1", False), ("::1", False)])
def test_a_guesser_behind_a_front_on_this_machine_shuts_out_nobody_else(appliance, sessions, clock, alice, source, shut) -> None:
    digest = throttling.subject(appliance.keys.sessions, throttling.SOURCE_LIMIT, source)
    with appliance.database.write() as connection:
        for _ in range(throttling.SOURCE_LIMIT.free_tries):
            throttling.count_try(connection, throttling.SOURCE_LIMIT, digest, clock())
    with pytest.raises(Throttled) if shut else nullcontext():
        sessions.sign_in("alice", PASSWORD, source)


def test_the_table_of_throttles_names_nobody(appliance: Appliance, sessions: Sessions) -> None:
    _refused(sessions, "night porter", "a wrong guess")
    with appliance.database.read() as connection:
        rows = connection.execute(select(throttles)).all()
    assert len(rows) == 2
    assert "porter" not in repr(rows)
    assert "192.0.2.7" not in repr(rows)


def test_old_tries_are_forgotten(sessions: Sessions, clock: Clock) -> None:
    for number in range(5):
        _refused(sessions, "night porter", f"guess number {number}")
    clock.now += 62 * MINUTE
    for number in range(4):
        _refused(sessions, "night porter", f"guess number {number}")


NEW = "another long passphrase"


def test_guesses_at_the_current_password_are_throttled_like_signing_in(
    appliance: Appliance, sessions: Sessions, porter: Principal, clock: Clock
) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    for _ in range(5):
        with pytest.raises(InvalidInput) as caught:
            sessions.change_password(token, "a guess", NEW)
        assert caught.value.stable_code == "password.wrong"
    with pytest.raises(Throttled):
        sessions.change_password(token, PASSWORD, NEW)
    assert sessions.principal(token) == porter
    refused = _records(appliance, "password.changed")
    wrong: dict[str, str | int] = {"reason": "wrong_password"}
    told = [wrong | {"blocked_s": 1}, *[wrong] * 4]
    assert [(item.outcome, item.facts) for item in refused] == [("failure", facts) for facts in told]
    clock.now += MINUTE
    renewed = sessions.change_password(token, PASSWORD, NEW)
    assert (sessions.principal(token), sessions.principal(renewed)) == (None, porter)
    assert _records(appliance, "password.changed")[0].outcome == "success"


def test_an_ended_session_changes_no_password(appliance: Appliance, sessions: Sessions, porter: Principal) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")
    sessions.sign_out(token)
    with pytest.raises(NotSignedIn):
        sessions.change_password(token, PASSWORD, NEW)
    assert sessions.principal(sessions.sign_in("night porter", PASSWORD, "192.0.2.7")) == porter


def test_a_session_that_ends_during_the_check_is_not_renewed(
    appliance: Appliance, sessions: Sessions, porter: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.sign_in("night porter", PASSWORD, "192.0.2.7")

    def hash_meanwhile(password: str) -> str:
        sessions.sign_out(token)
        return HASH

    monkeypatch.setattr("appliance.identity.sessions.hash_password", hash_meanwhile)
    with pytest.raises(NotSignedIn):
        sessions.change_password(token, PASSWORD, NEW)
    with appliance.database.read() as connection:
        assert connection.execute(select(session_rows)).all() == []
