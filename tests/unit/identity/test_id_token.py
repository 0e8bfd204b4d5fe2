"""No token counts but the one that was signed: whatever is changed in it, it is refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from appliance.identity.provider.id_token import verified_claims
from appliance.identity.provider.key_set import KeySet
from appliance.identity.provider.policy import Provider
from appliance.identity.provider.refusal import ProviderRefusal

NOW = 1_700_000_000
KEY = ECKey.generate_key("P-256", {"kid": "one"})
ISSUER = "https://id.example.org"
PROVIDER = Provider("ID", ISSUER, "box", f"{ISSUER}/a", "/t", "/k", "name")
SAID = {"iss": ISSUER, "aud": "box", "iat": NOW, "exp": NOW + 300, "nonce": "n", "sub": "s", "name": "alice"}
TOKEN = jwt.encode({"alg": "ES256", "kid": "one"}, SAID, KEY, algorithms=["ES256"])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~ \u00e9\ud800"


def keys() -> KeySet:
    return KeySet(lambda: json.dumps({"keys": [KEY.as_dict(private=False)]}).encode(), lambda: 0)


def raw(token: str) -> list[bytes]:
    return [urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def test_the_token_itself_counts() -> None:
    assert verified_claims(TOKEN, PROVIDER, "n", keys(), NOW).name == "alice"


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ALPHABET))
def test_one_letter_that_changes_anything_is_noticed(at: int, letter: str) -> None:
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]
    assume(changed != TOKEN)
    if letter in ALPHABET[:64] and TOKEN[at] != ".":  # the last letter of a part says less than it could
        assume(raw(changed) != raw(TOKEN))
    with pytest.raises(ProviderRefusal):
        verified_claims(changed, PROVIDER, "n", keys(), NOW)


@given(st.text(max_size=200))
def test_what_is_no_token_is_refused_as_such(text: str) -> None:
    with pytest.raises(ProviderRefusal):
        verified_claims(text, PROVIDER, "n", keys(), NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20, alphabet="abc\u00e9\x00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(SAID)), _JSON)
def test_a_claim_of_any_kind_is_read_or_refused(claim: str, value: object) -> None:
    """Nothing that the provider says makes a fault of the box."""
    token = jwt.encode({"alg": "ES256", "kid": "one"}, SAID | {claim: value}, KEY, algorithms=["ES256"])
    try:
        verified_claims(token, PROVIDER, "n", keys(), NOW)
    except ProviderRefusal:
        return
    assert claim in {"name", "sub", "exp", "iat"} or [value] == [SAID[claim]] or value == [SAID[claim]]


@given(
    st.binary(max_size=200)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | _JSON.map(lambda value: json.dumps({"keys": [value]}).encode())
)
def test_keys_of_any_kind_are_read_or_refused(document: bytes) -> None:
    with pytest.raises(ProviderRefusal):
        verified_claims(TOKEN, PROVIDER, "n", KeySet(lambda: document, lambda: 0), NOW)
