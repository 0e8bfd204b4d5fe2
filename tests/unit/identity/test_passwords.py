from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import InvalidInput
from appliance.identity.passwords import COMMON, DECOY_HASH, check_strength, hash_password, needs_rehash, verify_password


@pytest.fixture(autouse=True)
def quick_passwords() -> None:
    """Here hashing costs what it costs."""


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password.too_short"),
        ("eleven char", "password.too_short"),
        ("aaaaaaaaaaaaaaaa", "password.too_uniform"),
        ("abcabcabcabcabc", "password.too_uniform"),
        ("passwordpassword", "password.too_simple"),
        ("SunshineSunshine1", "password.too_simple"),
        ("Password2026!", "password.too_simple"),
        ("welcome-admin-1234", "password.too_simple"),
        ("abcdefghijklmnop", "password.too_simple"),
        ("123456789012", "password.too_simple"),
        ("x1y2z" * 300, "password.too_long"),
    ],
)
def test_a_weak_password_is_refused(password: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_strength(password)
    assert caught.value.stable_code == code


def test_a_long_password_is_accepted_whatever_its_letters() -> None:
    check_strength("twelve chars")
    check_strength("correct horse battery")
    check_strength("a secret passphrase of my own")
    check_strength("k3v9qwmx72fh")
    check_strength("ключ от кладовой номер три")


def test_the_page_of_the_first_account_knows_the_same_common_words() -> None:
    page = (Path(__file__).resolve().parents[3] / "web" / "static" / "setup.js").read_text()
    assert f"/{'|'.join(COMMON)}/gu" in page


def test_only_the_same_password_verifies() -> None:
    encoded = hash_password("der Schlüssel liegt innen")
    assert encoded.startswith("$argon2id$")
    assert "Schl" not in encoded
    assert not verify_password(encoded, "der Schlussel liegt innen")
    assert not verify_password(encoded, "")
    assert verify_password(encoded, "der Schlüssel liegt innen")
    assert verify_password(encoded, "der Schlu\u0308ssel liegt innen"), "the same letters in another Unicode form"
    assert not needs_rehash(encoded)


def test_a_damaged_hash_and_an_endless_password_verify_nothing() -> None:
    assert not verify_password("", "anything at all")
    assert not verify_password("$argon2id$garbage", "anything at all")
    assert not verify_password(DECOY_HASH, "x" * 1_000_000)


def test_the_decoy_costs_what_a_real_hash_costs() -> None:
    assert not needs_rehash(DECOY_HASH), "verifying it takes other parameters than a real one, so it can be told by time"
    assert not verify_password(DECOY_HASH, "cloister decoy")
