"""Codes of apps and codes on paper: which are taken, and which are not."""

from __future__ import annotations

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SetupError
from appliance.identity.factors import required_roles
from appliance.identity.models import Role
from appliance.identity.recovery_codes import COUNT, digest, new_codes
from appliance.identity.totp import DRIFT_STEPS, STEP_MS, is_code, matching_step, new_secret, step_at, uri_of
from web.pictures import qr_picture

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = 1_800_000_000_000
HERE = step_at(NOW)
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def code_of(step: int, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).generate_otp(step)


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "-12345", "1 2 3", "0x1234", "12345\x00"])
def test_what_is_no_code_matches_nothing(typed):
    assert not is_code(typed)
    assert matching_step(SECRET, typed, NOW, after=0) is None


@pytest.mark.parametrize("off", [-3, -2, 2, 3])
def test_a_clock_that_is_off_by_more_than_a_step_is_refused(off):
    assert matching_step(SECRET, code_of(HERE + off), NOW, after=0) is None


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_clock_may_be_off_by_a_step_each_way(off):
    assert matching_step(SECRET, code_of(HERE + off), NOW, after=0) == HERE + off


def test_the_code_of_another_secret_is_refused():
    assert matching_step(RFC_SECRET, code_of(HERE), NOW, after=0) is None


# RFC 6238, appendix B, the last six of eight digits: seconds since 1970 and code
@pytest.mark.parametrize(
    ("second", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(second, code):
    assert matching_step(RFC_SECRET, code, second * 1_000, after=-1) == second // 30


@given(now=st.integers(0, 2**42), off=st.integers(-4, 4), after=st.integers(-4, 4))
def test_a_code_counts_within_the_drift_and_after_the_last_one_only(now, off, after):
    step, last = step_at(now) + off, step_at(now) + after
    if step < 0:
        return
    found = matching_step(SECRET, code_of(step), now, after=last)
    if abs(off) <= DRIFT_STEPS and step > last:
        assert found is not None and found >= step
    elif found is not None:  # two steps may share a code, once in a million
        assert code_of(found) == code_of(step) and found > last and abs(found - step_at(now)) <= DRIFT_STEPS


@given(
    start=st.integers(1, 2**30), moments=st.lists(st.integers(0, 5), max_size=12), offs=st.lists(st.integers(-1, 1), max_size=12)
)
def test_no_step_is_accepted_twice_in_whatever_order_codes_come(start, moments, offs):
    accepted: list[int] = []
    now = start * STEP_MS
    for moved, off in zip(moments, offs, strict=False):
        now += moved * STEP_MS // 2
        step = matching_step(SECRET, code_of(max(0, step_at(now) + off)), now, after=accepted[-1] if accepted else 0)
        if step is not None:
            accepted.append(step)
    assert accepted == sorted(set(accepted))


def test_where_two_steps_share_a_code_both_are_spent(monkeypatch):
    monkeypatch.setattr(pyotp.TOTP, "generate_otp", lambda self, step: "123456")
    step = matching_step(SECRET, "123456", NOW, after=0)
    assert step == HERE + 1
    assert matching_step(SECRET, "123456", NOW, after=step) is None


def test_codes_may_be_typed_in_groups():
    code = code_of(HERE)
    assert matching_step(SECRET, f" {code[:3]} {code[3:]} ", NOW, after=0) == HERE


def test_secrets_are_drawn_and_long():
    drawn = {new_secret() for _ in range(50)}
    assert len(drawn) == 50
    assert all(len(pyotp.TOTP(secret).byte_secret()) == 20 for secret in drawn)


def test_the_address_of_the_picture_is_what_apps_read():
    uri = uri_of(SECRET, "Zoë: night porter & co")
    read = pyotp.parse_uri(uri)
    assert uri.startswith("otpauth://totp/Cloister:")
    assert (read.secret, read.issuer) == (SECRET, "Cloister")
    assert read.at(NOW // 1_000) == code_of(HERE)


@pytest.mark.parametrize("letter", ["a", "ü", "漢", "𐐀"])
def test_the_longest_name_that_somebody_can_have_fits_into_the_picture(letter):
    uri = uri_of(SECRET, letter * 200)
    size, path = qr_picture(uri)
    assert path and size <= 121, "a camera finds it"
    assert pyotp.parse_uri(uri).name.startswith(letter * 20)


def test_recovery_codes_are_many_different_and_long():
    drawn = [code for _ in range(20) for code in new_codes()]
    assert len(set(drawn)) == len(drawn) == 20 * COUNT
    assert all(len(code) == 19 for code in drawn)
    assert len({digest(code) for code in drawn}) == len(drawn)


@pytest.mark.parametrize("typed", ["", "123456", "abcd-efgh-jkmn", "abcd-efgh-jkmn-pqru", "abcd-efgh-jkmn-pqrst", "ä" * 16])
def test_what_cannot_be_a_recovery_code_has_no_digest(typed):
    assert digest(typed) == ""


@given(code=st.builds(lambda: new_codes()[0]), noise=st.lists(st.tuples(st.integers(0, 18), st.sampled_from(" -\t")), max_size=5))
def test_a_recovery_code_is_itself_however_it_was_typed(code, noise):
    typed = code
    for at, sign in noise:
        typed = typed[:at] + sign + typed[at:]
    assert digest(typed.upper()) == digest(typed.replace("1", "l").replace("0", "O")) == digest(code) != ""


@pytest.mark.parametrize("setting", ["admin", "administrators", "employee officer", "employee;officer", "Officer", "none"])
def test_a_box_does_not_start_with_a_role_that_there_is_not(setting):
    with pytest.raises(SetupError, match="second_factor_roles"):
        required_roles(setting)


def test_roles_are_named_with_commas_between():
    assert required_roles("") == required_roles(" , ") == frozenset()
    assert required_roles("officer, administrator") == {Role.OFFICER, Role.ADMINISTRATOR}
