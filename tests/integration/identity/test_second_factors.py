"""Second factors on a real database, with a clock that the test turns: what opens the door, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings as examples
from hypothesis import strategies as st
from sqlalchemy import select

from appliance.audit.store import AuditFilter, AuditRecord, search, unseal
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, Conflict, InvalidInput, NotFound, NotSignedIn, Throttled
from appliance.identity import factor_store
from appliance.identity.factors import spend_code
from appliance.identity.models import Principal, Role
from appliance.identity.totp import step_at
from appliance.storage.tables import audit_events, principals, recovery_codes, second_factors, throttles
from tests.conftest import PASSWORD
from tests.factor_samples import Phone, StillClock, enrol

SOURCE = "192.0.2.7"
MINUTE = 60_000


@pytest.fixture
def clock(appliance: Appliance) -> StillClock:
    return StillClock(1_800_000_000_000).of(appliance)


@pytest.fixture
def phone(appliance: Appliance, alice: Principal, clock: StillClock) -> Phone:
    made = enrol(appliance, alice, clock)
    clock.turn()
    return made


def records(appliance: Appliance, name: str) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return [item for item in search(connection, AuditFilter(), limit=200) if item.event == name]


def refused(appliance: Appliance, *given: str, source: str = SOURCE) -> str:
    with pytest.raises(NotSignedIn) as caught:
        appliance.sessions.sign_in(given[0], given[1], source, *given[2:])
    return caught.value.stable_code


def failures(appliance: Appliance) -> list[int]:
    with appliance.database.read() as connection:
        return sorted(connection.execute(select(throttles.c.failures).where(throttles.c.failures > 0)).scalars())


def test_the_password_alone_opens_nothing_and_says_so_only_where_it_is_right(appliance, alice, bob, phone, clock):
    assert refused(appliance, "alice", "a wrong passphrase") == "session.refused"
    assert refused(appliance, "alice", "a wrong passphrase", phone.code()) == "session.refused"
    assert refused(appliance, "nobody here", PASSWORD, phone.code()) == "session.refused"
    assert refused(appliance, "alice", PASSWORD) == "session.code_needed"
    assert refused(appliance, "alice", PASSWORD, phone.wrong_code()) == "session.code_wrong"
    reasons = [item.facts["reason"] for item in records(appliance, "session.refused")]
    assert reasons == ["wrong_code", "code_needed", "unknown_name", "wrong_password", "wrong_password"]
    assert records(appliance, "session.refused")[0].resources == (("person", alice.pseudonym),)
    assert appliance.sessions.sign_in("bob", PASSWORD, SOURCE)


def test_a_disabled_account_is_told_alike_with_the_right_code_too(appliance, administrator, alice, phone):
    appliance.people.update(administrator, alice.id, disabled=True)
    for given in ((PASSWORD,), (PASSWORD, phone.code()), (PASSWORD, phone.recovery_codes[0]), ("a wrong passphrase",)):
        assert refused(appliance, "alice", *given) == "session.refused"
    appliance.people.update(administrator, alice.id, disabled=False)
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.recovery_codes[0]), "no code was spent on it"


@pytest.mark.parametrize("off", [-2, 2, -3, 5])
def test_a_phone_whose_clock_is_off_by_more_than_a_step_is_refused(appliance, phone, clock, off):
    clock.turn(10)
    assert refused(appliance, "alice", PASSWORD, phone.code(off)) == "session.code_wrong"


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_code_opens_once_and_closes_those_before_it(appliance, phone, clock, off):
    clock.turn(10)
    code = phone.code(off)
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, code)
    for spent in {code, *(phone.code(earlier) for earlier in range(-1, off + 1))}:
        assert refused(appliance, "alice", PASSWORD, spent) == "session.code_wrong"
    clock.now += MINUTE  # the name is blocked for a moment by then, perhaps
    clock.turn()
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.code())


def test_the_code_that_switched_it_on_does_not_sign_in(appliance, alice, clock):
    phone = enrol(appliance, alice, clock)
    assert refused(appliance, "alice", PASSWORD, phone.code()) == "session.code_wrong"
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.next_code())


def test_each_recovery_code_opens_once_and_is_kept_as_a_digest(appliance, alice, phone, clock):
    with appliance.database.read() as connection:
        kept = connection.execute(select(recovery_codes.c.code_sha256)).scalars().all()
    assert len(kept) == len(set(phone.recovery_codes)) == 10
    assert not any(code.replace("-", "") in repr(kept) for code in phone.recovery_codes)
    for code in phone.recovery_codes:
        assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, code)
        assert refused(appliance, "alice", PASSWORD, code) == "session.code_wrong"
    assert appliance.enrolment.state(alice).recovery_codes == 0
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.code())


def test_codes_are_of_one_person_each(appliance, alice, bob, phone, clock):
    his = enrol(appliance, bob, clock)
    clock.turn()
    for code in (his.code(), his.recovery_codes[0]):
        assert refused(appliance, "alice", PASSWORD, code) == "session.code_wrong"
    assert appliance.sessions.sign_in("bob", PASSWORD, SOURCE, his.recovery_codes[0])


def test_the_log_says_by_what_somebody_came_in_and_never_the_code(appliance, alice, bob, phone):
    used = [phone.code(), phone.recovery_codes[0]]
    appliance.sessions.sign_in("bob", PASSWORD, SOURCE, "a code that nobody asked for")
    for code in used:
        appliance.sessions.sign_in("alice", PASSWORD, SOURCE, code)
    wrong = phone.wrong_code()
    refused(appliance, "alice", PASSWORD, wrong)
    assert [item.facts["by"] for item in records(appliance, "session.created")][:3] == ["recovery_code", "app", "password"]
    with appliance.database.read() as connection:
        told = "".join(body.decode() for body in connection.execute(select(audit_events.c.body)).scalars())
        told += repr(
            [unseal(connection, appliance.keys.audit_sealing, item.seq) for item in records(appliance, "session.refused")]
        )
    assert not any(secret in told for secret in (phone.secret, phone.recovery_codes[0], phone.recovery_codes[1], f'"{wrong}"'))


def test_guessing_codes_is_slowed_down_like_guessing_passwords(appliance, phone, clock):
    for number in range(5):
        assert refused(appliance, "alice", PASSWORD, phone.wrong_code(), source=f"192.0.2.{number}") == "session.code_wrong"
    with pytest.raises(Throttled):
        appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.99", phone.code())
    clock.now += 1_000
    assert appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.99", phone.code())
    assert refused(appliance, "alice", PASSWORD, phone.wrong_code()) == "session.code_wrong", "counted anew after success"


def test_a_right_password_forgives_no_tries_of_the_name(appliance, phone):
    for _ in range(5):
        assert refused(appliance, "alice", PASSWORD) == "session.code_needed"
    with pytest.raises(Throttled):
        appliance.sessions.sign_in("alice", PASSWORD, SOURCE)


def test_many_who_share_an_address_and_sign_in_in_two_steps_do_not_shut_each_other_out(appliance, phone, clock):
    for _ in range(60):
        assert refused(appliance, "alice", PASSWORD) == "session.code_needed"
        assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.next_code())
    assert failures(appliance) == []


def test_whoever_holds_session_and_password_cannot_guess_codes_any_faster(appliance, alice, phone, clock):
    """Changing the password to and fro proves it again and again; that must not forgive wrong codes."""
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.code())
    wrong, other = phone.wrong_code(), "another long passphrase"
    with pytest.raises(Throttled):
        for number in range(20):
            now, then = (PASSWORD, other) if number % 2 == 0 else (other, PASSWORD)
            with pytest.raises(InvalidInput):
                appliance.enrolment.delete(alice, token, now, wrong)
            token = appliance.sessions.change_password(token, now, then)
    assert len([item for item in records(appliance, "factor.deleted") if item.facts["reason"] == "wrong_code"]) <= 5


def test_a_factor_of_a_moment_ago_is_asked_for_by_a_sign_in_under_way(appliance, alice, clock, monkeypatch):
    from appliance.identity import sessions as module

    verify = module.verify_password

    def enrolled_meanwhile(encoded: str, password: str) -> bool:
        monkeypatch.setattr(module, "verify_password", verify)
        enrol(appliance, alice, clock)
        return verify(encoded, password)

    monkeypatch.setattr(module, "verify_password", enrolled_meanwhile)
    assert refused(appliance, "alice", PASSWORD) == "session.refused"
    assert refused(appliance, "alice", PASSWORD) == "session.code_needed"


# switching it on ----------------------------------------------------------------------------------------------------------
def test_what_is_only_begun_counts_for_nothing(appliance, alice, clock):
    phone = Phone(appliance.enrolment.begin(alice).secret, clock)
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    with appliance.database.write() as connection:
        assert spend_code(connection, alice.id, phone.code(), clock.now) is None
    assert appliance.enrolment.state(alice).since_ms is None
    with appliance.database.read() as connection:
        assert not factor_store.has_factor(connection, alice.id)


@pytest.mark.parametrize(("password", "right_code", "code"), [
    ("a wrong passphrase", True, "password.wrong"),
    (PASSWORD, False, "code.wrong"),
])  # fmt: skip
def test_it_takes_the_password_and_a_first_code(appliance, alice, clock, password, right_code, code):
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    phone = Phone(appliance.enrolment.begin(alice).secret, clock)
    with pytest.raises(InvalidInput) as caught:
        appliance.enrolment.confirm(alice, token, password, phone.code() if right_code else phone.wrong_code())
    assert caught.value.stable_code == code
    assert appliance.enrolment.state(alice).since_ms is None
    assert appliance.sessions.principal(token) == alice
    (record,) = records(appliance, "factor.created")
    assert (record.outcome, record.facts["reason"]) == ("failure", "wrong_" + code.partition(".")[0])


def test_nothing_is_confirmed_that_was_not_begun_and_nothing_begun_over_one_that_is_on(appliance, alice, clock):
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    with pytest.raises(Conflict, match="picture first"):
        appliance.enrolment.confirm(alice, token, PASSWORD, "123456")
    phone = enrol(appliance, alice, clock)
    for act in (
        lambda: appliance.enrolment.begin(alice),
        lambda: appliance.enrolment.confirm(alice, token, PASSWORD, phone.next_code()),
    ):
        with pytest.raises(Conflict) as caught:
            act()
        assert caught.value.stable_code == "factor.exists"
    with appliance.database.read() as connection:
        assert factor_store.load_factor(connection, alice.id).secret == phone.secret


def test_the_picture_shown_last_is_the_one_that_counts(appliance, alice, clock):
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    first, last = (Phone(appliance.enrolment.begin(alice).secret, clock) for _ in range(2))
    with pytest.raises(InvalidInput):
        appliance.enrolment.confirm(alice, token, PASSWORD, first.code())
    assert appliance.enrolment.confirm(alice, token, PASSWORD, last.code())


def test_switching_it_on_ends_every_other_session(appliance, alice, clock):
    stolen, token = (appliance.sessions.sign_in("alice", PASSWORD, SOURCE) for _ in range(2))
    phone = Phone(appliance.enrolment.begin(alice).secret, clock)
    enrolled = appliance.enrolment.confirm(alice, token, PASSWORD, phone.code())
    assert [appliance.sessions.principal(each) for each in (stolen, token)] == [None, None]
    assert appliance.sessions.principal(enrolled.token) == alice


def test_a_session_that_ended_meanwhile_is_not_renewed_and_switches_nothing(appliance, alice, clock):
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    phone = Phone(appliance.enrolment.begin(alice).secret, clock)
    appliance.sessions.sign_out(token)
    with pytest.raises(NotSignedIn):
        appliance.enrolment.confirm(alice, token, PASSWORD, phone.code())
    assert appliance.enrolment.state(alice).since_ms is None


# renewing, switching off, removing ----------------------------------------------------------------------------------------
def test_renewing_and_switching_off_take_the_password_and_a_code(appliance, alice, phone):
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.recovery_codes[0])
    acts = (
        lambda *proof: appliance.enrolment.renew(alice, *proof),
        lambda *proof: appliance.enrolment.delete(alice, token, *proof),
    )
    for act, event in zip(acts, ("factor.renewed", "factor.deleted"), strict=True):
        for proof, code in (
            (("a wrong passphrase", phone.code()), "password.wrong"),
            ((PASSWORD, phone.wrong_code()), "code.wrong"),
            ((PASSWORD, ""), "code.wrong"),
            ((PASSWORD, phone.recovery_codes[0]), "code.wrong"),  # spent
        ):
            with pytest.raises(InvalidInput) as caught:
                act(*proof)
            assert caught.value.stable_code == code
            phone.clock.now += MINUTE
        assert [item.outcome for item in records(appliance, event)] == ["failure"] * 4
    assert appliance.enrolment.state(alice).recovery_codes == 9
    assert appliance.sessions.principal(token) == alice


def test_new_recovery_codes_take_the_place_of_the_old(appliance, alice, phone):
    fresh = appliance.enrolment.renew(alice, PASSWORD, phone.code())
    assert not set(fresh) & set(phone.recovery_codes)
    assert refused(appliance, "alice", PASSWORD, phone.recovery_codes[0]) == "session.code_wrong"
    assert refused(appliance, "alice", PASSWORD, phone.code()) == "session.code_wrong", "it was spent on renewing"
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE, fresh[9])


@pytest.mark.parametrize("by", ["app", "recovery_code"])
def test_switched_off_the_password_is_enough_again_and_other_sessions_ended(appliance, alice, phone, by):
    stolen = appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.recovery_codes[5])
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.recovery_codes[6])
    renewed = appliance.enrolment.delete(alice, token, PASSWORD, phone.code() if by == "app" else phone.recovery_codes[0])
    assert [appliance.sessions.principal(each) for each in (stolen, token, renewed)] == [None, None, alice]
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    assert records(appliance, "factor.deleted")[0].facts == {"by": by}
    with appliance.database.read() as connection:
        assert connection.execute(select(second_factors)).all() == connection.execute(select(recovery_codes)).all() == []
    with pytest.raises(NotFound):
        appliance.enrolment.delete(alice, renewed, PASSWORD, phone.next_code())


def test_only_administrators_remove_that_of_somebody_else_and_never_their_own(
    appliance, administrator, alice, bob, officer, phone
):
    for who in (alice, bob, officer):
        with pytest.raises(ApplianceError) as caught:
            appliance.enrolment.remove(who, alice.id)
        assert caught.value.stable_code == "policy.denied"
    with pytest.raises(NotFound):
        appliance.enrolment.remove(administrator, "nobody")
    with pytest.raises(NotFound):
        appliance.enrolment.remove(administrator, bob.id)
    enrol(appliance, administrator, phone.clock)
    with pytest.raises(Conflict) as caught:
        appliance.enrolment.remove(administrator, administrator.id)
    assert caught.value.stable_code == "person.own_account"
    token = appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.recovery_codes[0])
    appliance.enrolment.remove(administrator, alice.id)
    assert appliance.sessions.principal(token) is None
    assert appliance.sessions.sign_in("alice", PASSWORD, SOURCE)
    (record,) = records(appliance, "factor.removed")
    assert (record.actor_pseudonym, record.resources) == (administrator.pseudonym, (("person", alice.pseudonym),))


def test_a_deleted_account_leaves_neither_factor_nor_codes(appliance, administrator, alice, phone):
    appliance.people.update(administrator, alice.id, disabled=True)
    appliance.people.delete(administrator, alice.id, conversations=0, documents=0)
    with appliance.database.read() as connection:
        assert connection.execute(select(second_factors)).all() == connection.execute(select(recovery_codes)).all() == []
        assert connection.execute(select(principals.c.id).where(principals.c.id == alice.id)).first() is not None


def test_a_new_password_by_an_administrator_leaves_the_second_factor(appliance, administrator, alice, phone):
    appliance.people.update(administrator, alice.id, password="another long passphrase")
    assert refused(appliance, "alice", "another long passphrase") == "session.code_needed"
    assert next(item for item in appliance.people.list(administrator) if item.principal.id == alice.id).has_factor


def test_counts_for_the_doctor_leave_out_who_cannot_sign_in(appliance, administrator, alice, bob, officer, phone):
    with appliance.database.read() as connection:

        def counts(*roles: Role) -> tuple[int, int]:
            return factor_store.count_of(connection, roles), factor_store.count_of(connection, roles, lacking=True)

        assert counts() == (0, 0)
        assert counts(Role.OFFICER) == (1, 1)
        assert counts(Role.EMPLOYEE, Role.ADMINISTRATOR) == (3, 2)  # the administrator is both
    appliance.people.update(administrator, bob.id, disabled=True)
    with appliance.database.read() as connection:
        assert counts(Role.EMPLOYEE) == (2, 1)


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=8))
def test_whatever_comes_in_whatever_order_no_step_opens_twice(appliance, alice, tries):
    clock = StillClock(1_800_000_000_000).of(appliance)
    with appliance.database.write() as connection:
        factor_store.delete_factor(connection, alice.id)
        connection.execute(throttles.delete())
    phone, opened = enrol(appliance, alice, clock), []
    opened.append(step_at(clock.now))
    for moved, off in tries:
        clock.turn(moved)
        with appliance.database.write() as connection:
            connection.execute(throttles.delete())
        step = step_at(clock.now) + off
        try:
            appliance.sessions.sign_in("alice", PASSWORD, SOURCE, phone.code(off))
        except NotSignedIn:
            assert abs(off) > 1 or step <= opened[-1]
        else:
            assert abs(off) <= 1 and step > opened[-1]
            opened.append(step)
