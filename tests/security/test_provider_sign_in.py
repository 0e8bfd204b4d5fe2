"""Signing in through the identity provider: each thing that is checked is broken once, and nobody is let in."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from sqlalchemy import func, select

from appliance.administration.provider import sign_in
from appliance.bootstrap import Appliance
from appliance.errors import NotFound, Throttled, Unavailable
from appliance.identity.provider.refusal import ProviderRefusal
from appliance.identity.provider.tries import LASTS_S
from appliance.storage.clock import now_ms
from appliance.storage.tables import audit_events, sessions
from tests.identity_providers import EC, OKP, OTHER_RSA, RSA, FakeProvider, come_back, finished, standing_provider
from tests.scripted_server import Answer as ServerAnswer


@pytest.fixture
def provider(appliance: Appliance, administrator, alice) -> Iterator[FakeProvider]:
    with standing_provider(appliance) as fake:
        appliance.provider_accounts.allow(administrator, alice.id)
        yield fake


def refusals(appliance: Appliance) -> list[dict]:
    with appliance.database.read() as connection:
        bodies = connection.execute(select(audit_events.c.body).where(audit_events.c.event == "session.refused")).scalars()
        return [json.loads(body)["facts"] for body in bodies]


def count_sessions(appliance: Appliance) -> int:
    with appliance.database.read() as connection:
        return connection.execute(select(func.count()).select_from(sessions)).scalar_one()


def assert_refused(appliance: Appliance, caught: pytest.ExceptionInfo, reason: str, code: str) -> None:
    assert refusals(appliance)[-1] == {"by": "provider", "reason": reason}
    assert caught.value.stable_code == code
    assert "provider>" not in caught.value.sentence and "words of the provider" not in caught.value.sentence
    assert count_sessions(appliance) == 0


def b64(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header: dict, claims: dict) -> str:
    return f"{b64({**header, 'alg': 'none'})}.{b64(claims)}."


def by_public_key(header: dict, claims: dict) -> str:
    """The oldest trick: the key that everybody knows, taken for a shared secret."""
    signed = f"{b64({**header, 'alg': 'HS256'})}.{b64(claims)}"
    mac = hmac.new(RSA.as_pem(private=False), signed.encode(), "sha256").digest()
    return f"{signed}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered(header: dict, claims: dict) -> str:
    signed = jwt.encode(header, claims, RSA, algorithms=["RS256"])
    first, _, last = signed.split(".")
    return f"{first}.{b64({**claims, 'sub': 'somebody-else'})}.{last}"


def key_inside(header: dict, claims: dict) -> str:
    """Brings its own key in the header."""
    return jwt.encode({**header, "jwk": EC.as_dict(private=False), "alg": "ES256"}, claims, EC, algorithms=["ES256"])


def half_a_letter(header: dict, claims: dict) -> str:
    from joserfc import jws

    payload = json.dumps({**claims, "sub": "\ud800"}).encode()
    return jws.serialize_compact(header, payload, RSA, algorithms=["RS256"])


def critical(header: dict, claims: dict) -> str:
    from joserfc import jws

    registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    registry.check_header = lambda _header: None
    return jwt.encode({**header, "crit": ["whatever"], "whatever": 1}, claims, RSA, registry=registry)


NOW = int(time.time())
_SHORT = rsa.generate_private_key(65_537, 1_024).public_key().public_numbers().n.to_bytes(128)
SHORT_RSA = {"kty": "RSA", "kid": "rsa", "n": urlsafe_b64encode(_SHORT).rstrip(b"=").decode(), "e": "AQAB"}
FAILED = "session.provider_failed"
BROKEN: dict[str, tuple[Callable[[FakeProvider], object], str, str]] = {
    "no signature": (lambda it: setattr(it, "sign", unsigned), "algorithm", FAILED),
    "the public key as a secret": (lambda it: setattr(it, "sign", by_public_key), "algorithm", FAILED),
    "claims changed after signing": (lambda it: setattr(it, "sign", tampered), "signature", FAILED),
    "signed by another key of that name": (lambda it: setattr(it, "key", OTHER_RSA), "signature", FAILED),
    "a key of its own in the header": (lambda it: setattr(it, "sign", key_inside), "token", FAILED),
    "a header that must be understood": (lambda it: setattr(it, "sign", critical), "token", FAILED),
    "a key of another kind": (lambda it: it.header.update(kid="ec"), "token", FAILED),
    "an unknown key": (lambda it: it.header.update(kid="nobody"), "keys", FAILED),
    "no key named": (lambda it: it.header.update(kid=None), "keys", FAILED),
    "a key for encryption": (lambda it: it.published[0].update(use="enc"), "keys", FAILED),
    "a key for another algorithm": (lambda it: it.published[0].update(alg="PS256"), "algorithm", FAILED),
    "a shared secret among the keys": (
        lambda it: it.published.__setitem__(0, {"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}),
        "keys",
        FAILED,
    ),
    "an RSA key that can be broken": (lambda it: it.published.__setitem__(0, SHORT_RSA), "keys", FAILED),
    "a long RSA key of nothings": (lambda it: it.published[0].update(n="A" * 300 + it.published[0]["n"][:100]), "keys", FAILED),
    "a key of no kind that there is": (lambda it: it.published[0].update(kty=["RSA"]), "keys", FAILED),
    "keys that are no list": (lambda it: setattr(it, "published", "none"), "keys", FAILED),
    "no token at all": (lambda it: setattr(it, "sign", lambda *_: "words"), "token", FAILED),
    "claims that are no object": (
        lambda it: setattr(it, "sign", lambda header, _: jwt_of(header, b'["sub"]')),
        "token",
        FAILED,
    ),
    "another issuer": (lambda it: it.claims.update(iss="https://id.example.com"), "issuer", FAILED),
    "no issuer": (lambda it: it.claims.update(iss=None), "issuer", FAILED),
    "another issuer in the address": (lambda it: it.answer.update(iss="https://id.example.com"), "issuer", FAILED),
    "for another client": (lambda it: it.claims.update(aud="wiki"), "audience", FAILED),
    "for nobody": (lambda it: it.claims.update(aud=None), "audience", FAILED),
    "for us and another": (lambda it: it.claims.update(aud=["cloister", "wiki"]), "audience", FAILED),
    "given to another client": (lambda it: it.claims.update(azp="wiki"), "audience", FAILED),
    "expired": (lambda it: it.claims.update(exp=NOW - 100), "expired", FAILED),
    "without an end": (lambda it: it.claims.update(exp=None), "token", FAILED),
    "an end that is no number": (lambda it: it.claims.update(exp="tomorrow"), "token", FAILED),
    "an end that is true": (lambda it: it.claims.update(exp=True), "token", FAILED),
    "made long ago": (lambda it: it.claims.update(iat=NOW - 3_600), "expired", FAILED),
    "made tomorrow": (lambda it: it.claims.update(iat=NOW + 86_400), "expired", FAILED),
    "made at no time": (lambda it: it.claims.update(iat=None), "token", FAILED),
    "not yet": (lambda it: it.claims.update(nbf=NOW + 86_400), "expired", FAILED),
    "another nonce": (lambda it: it.claims.update(nonce="0" * 43), "nonce", FAILED),
    "no nonce": (lambda it: it.claims.update(nonce=None), "nonce", FAILED),
    "a nonce that is no text": (lambda it: it.claims.update(nonce=["a"]), "nonce", FAILED),
    "nobody": (lambda it: it.said.update(sub=""), "token", FAILED),
    "half a letter": (lambda it: setattr(it, "sign", half_a_letter), "token", FAILED),
    "a subject without end": (lambda it: it.said.update(sub="x" * 256), "token", FAILED),
    "groups that are no list": (lambda it: it.said.update(groups={"box-users": 1}), "token", FAILED),
    "groups to be fetched elsewhere": (
        lambda it: it.said.update(_claim_names={"groups": "src1"}, groups=None),
        "groups_elsewhere",
        "session.refused",
    ),
    "an error": (lambda it: it.answer.update(error="access_denied"), "provider_error", FAILED),
    "no code": (lambda it: it.answer.update(code=""), "code", FAILED),
    "a code that was not given": (lambda it: it.answer.update(code="guessed"), "code", FAILED),
    "an answer that is no JSON": (
        lambda it: it.instead.update({"/token": lambda answer: (answer.begin(), answer.send(b"<html>"), answer.end())}),
        "token",
        FAILED,
    ),
    "JSON without end": (
        lambda it: it.instead.update({"/token": lambda answer: (answer.begin(), answer.send(b"[" * 100_000), answer.end())}),
        "token",
        FAILED,
    ),
    "an answer without a token": (lambda it: it.instead.update({"/token": lambda answer: answer.json({})}), "token", FAILED),
    "a redirect": (lambda it: it.instead.update({"/token": lambda answer: answer.redirect("/elsewhere")}), "code", FAILED),
}


def jwt_of(header: dict, payload: bytes) -> str:
    from joserfc import jws

    return jws.serialize_compact(header, payload, RSA, algorithms=["RS256"])


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_does_not_hold_lets_nobody_in(appliance: Appliance, provider: FakeProvider, what: str) -> None:
    spoil, reason, code = BROKEN[what]
    spoil(provider)
    with pytest.raises(ProviderRefusal) as caught:
        come_back(appliance, provider)
    assert_refused(appliance, caught, reason, code)


def huge(answer: ServerAnswer) -> None:
    answer.begin()
    answer.send(b'{"id_token": "' + b"x" * 400_000)
    answer.end()


AWAY: dict[str, Callable[[FakeProvider], object]] = {
    "breaks off": lambda it: it.instead.update({"/token": lambda answer: answer.break_off()}),
    "fails": lambda it: it.instead.update({"/token": lambda answer: answer.json({}, 503)}),
    "says too much": lambda it: it.instead.update({"/token": huge}),
    "has too many keys": lambda it: it.instead.update({"/keys": huge}),
    "has lost its keys": lambda it: it.instead.update({"/keys": lambda answer: answer.json({}, 500)}),
}


@pytest.mark.parametrize("what", AWAY)
def test_a_provider_that_is_away_is_told_from_one_that_refuses(appliance: Appliance, provider: FakeProvider, what: str) -> None:
    AWAY[what](provider)
    with pytest.raises(Unavailable) as caught:
        come_back(appliance, provider)
    assert_refused(appliance, caught, "provider_away", "identity.away")


def test_a_provider_that_has_gone_silent_does_not_take_all_threads(
    appliance: Appliance, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "_PATIENCE_S", 0.01)
    begun = appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    for _ in range(sign_in._AT_ONCE):
        assert appliance.provider_sign_in._asking.acquire(timeout=0)
    with pytest.raises(Unavailable) as caught:
        finished(appliance, begun, back)
    assert_refused(appliance, caught, "provider_away", "identity.away")
    assert provider.server.asked == []
    appliance.provider_sign_in._asking.release()
    assert finished(appliance, begun, back), "the answer was not spent"
    with pytest.raises(ProviderRefusal):
        finished(appliance, begun, back)
    assert come_back(appliance, provider), "a refusal gives its place back"


def test_a_password_opens_the_box_while_the_provider_is_away(appliance: Appliance, provider: FakeProvider) -> None:
    provider.server._server.server_close()
    with pytest.raises(Unavailable):
        come_back(appliance, provider)
    assert appliance.sessions.sign_in("administrator", "a long enough passphrase", "10.0.0.1")


# the browser -------------------------------------------------------------------------------------------------------------------


def test_an_answer_counts_once(appliance: Appliance, provider: FakeProvider) -> None:
    begun = appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    assert finished(appliance, begun, back)
    asked = len(provider.server.asked)
    with pytest.raises(ProviderRefusal):
        finished(appliance, begun, back)
    assert refusals(appliance)[-1] == {"by": "provider", "reason": "replayed"}
    assert len(provider.server.asked) == asked, "the provider was asked with a code that came back twice"


def test_an_answer_that_failed_does_not_count_again_either(appliance: Appliance, provider: FakeProvider) -> None:
    begun = appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    with pytest.raises(ProviderRefusal):
        finished(appliance, begun, back | {"code": "guessed"})
    with pytest.raises(ProviderRefusal):
        finished(appliance, begun, back)
    assert refusals(appliance)[-1]["reason"] == "replayed"


@pytest.mark.parametrize("which", ["another browser", "no cookie", "another state", "no state", "a cookie of one's own making"])
def test_an_answer_belongs_to_the_browser_that_asked(appliance: Appliance, provider: FakeProvider, which: str) -> None:
    begun, other = appliance.provider_sign_in.begin(""), appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    cookie = {"another browser": other.cookie, "no cookie": "", "a cookie of one's own making": "a" * 200}.get(
        which, begun.cookie
    )
    state = {"another state": "guessed", "no state": ""}.get(which, back["state"])
    with pytest.raises(ProviderRefusal) as caught:
        finished(appliance, type(begun)(begun.address, cookie), back | {"state": state})
    assert_refused(appliance, caught, "state", "session.provider_state")
    assert provider.asked("/token") == []


def test_a_try_ends_by_its_age(appliance: Appliance, provider: FakeProvider) -> None:
    begun = appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    clock = appliance.provider_sign_in._clock
    appliance.provider_sign_in._clock = lambda: clock() + LASTS_S * 1_000
    with pytest.raises(ProviderRefusal) as caught:
        finished(appliance, begun, back)
    assert_refused(appliance, caught, "stale", "session.provider_state")


def test_a_code_of_another_try_is_worth_nothing(appliance: Appliance, provider: FakeProvider) -> None:
    """Its challenge is another one (PKCE), and so is its nonce."""
    begun, stolen = appliance.provider_sign_in.begin(""), appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address) | {"code": provider.visited(stolen.address)["code"]}
    with pytest.raises(ProviderRefusal) as caught:
        finished(appliance, begun, back)
    assert_refused(appliance, caught, "code", FAILED)


def test_the_cookie_shows_neither_verifier_nor_nonce(appliance: Appliance, provider: FakeProvider) -> None:
    begun = appliance.provider_sign_in.begin("/documents")
    opened = appliance.provider_sign_in._cookies.opened(begun.cookie, provider.visited(begun.address)["state"], now_ms())
    assert opened.next == "/documents"
    for secret in (opened.verifier, opened.nonce, opened.state):
        assert secret not in begun.cookie
    assert opened.verifier not in begun.address


def test_guessing_from_one_address_is_slowed_down(appliance: Appliance, provider: FakeProvider) -> None:
    begun = appliance.provider_sign_in.begin("")
    with pytest.raises(Throttled):
        for _ in range(60):
            with pytest.raises(ProviderRefusal):
                finished(appliance, begun, {"state": "guessed", "code": "guessed"}, source="10.9.9.9")
    assert come_back(appliance, provider, source="10.0.0.2")


# keys --------------------------------------------------------------------------------------------------------------------------


def test_made_up_key_names_make_nobody_fetch_more_than_once_a_minute(appliance: Appliance, provider: FakeProvider) -> None:
    assert come_back(appliance, provider)
    for number in range(3):
        provider.header["kid"] = f"made-up-{number}"
        with pytest.raises(ProviderRefusal):
            come_back(appliance, provider)
    assert len(provider.asked("/keys")) == 1
    clock = appliance.provider_sign_in._keys._clock
    appliance.provider_sign_in._keys._clock = lambda: clock() + 61_000
    provider.published[0]["kid"] = provider.header["kid"] = "new"
    assert come_back(appliance, provider)
    assert len(provider.asked("/keys")) == 2


def test_a_key_that_was_withdrawn_counts_for_an_hour_at_most(appliance: Appliance, provider: FakeProvider) -> None:
    assert come_back(appliance, provider)
    provider.published = [EC.as_dict(private=False)]
    clock = appliance.provider_sign_in._keys._clock
    appliance.provider_sign_in._keys._clock = lambda: clock() + 3_600_000
    with pytest.raises(ProviderRefusal):
        come_back(appliance, provider)
    assert refusals(appliance)[-1]["reason"] == "keys"


@pytest.mark.parametrize("key", [RSA, EC, OKP], ids=["RS256", "ES256", "Ed25519"])
def test_whoever_is_who_they_say_is_let_in(appliance: Appliance, provider: FakeProvider, alice, key) -> None:
    provider.key = key
    token = come_back(appliance, provider)
    assert appliance.sessions.principal(token) == alice


# the box -----------------------------------------------------------------------------------------------------------------------


def test_without_a_provider_nothing_is_there(appliance: Appliance) -> None:
    assert (appliance.provider_sign_in.name, appliance.provider_sign_in.trouble()) == ("", "")
    for act in (lambda it: it.begin(""), lambda it: it.finish(None, "", "")):
        with pytest.raises(NotFound):
            act(appliance.provider_sign_in)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.chmod(0o644), lambda path: path.write_text("")])
def test_a_client_secret_that_others_may_read_is_none(appliance: Appliance, provider: FakeProvider, spoil) -> None:
    spoil(appliance.settings.identity_secret_path)
    with pytest.raises(Unavailable) as caught:
        come_back(appliance, provider)
    assert caught.value.stable_code == "identity.secret"
    assert provider.server.asked == []
    assert "must hold the client secret" in appliance.provider_sign_in.trouble()


def test_nothing_of_a_token_stands_in_the_log(appliance: Appliance, provider: FakeProvider) -> None:
    provider.said.update(email="alice@example.org", sub="subject-0815")
    seen: list[str] = []
    usual = provider.token
    provider.token = lambda nonce: seen.append(usual(nonce)) or seen[-1]
    begun = appliance.provider_sign_in.begin("")
    back = provider.visited(begun.address)
    finished(appliance, begun, back)
    with appliance.database.read() as connection:
        log = b"\n".join(connection.execute(select(audit_events.c.body)).scalars()).decode()
    assert '"egress.called"' in log and '"identity.linked"' in log
    for words in (back["code"], back["state"], "subject-0815", "alice@example.org", "box-users", *seen[0].split(".")):
        assert words not in log


def test_who_was_turned_away_is_sealed_beside_the_entry(appliance: Appliance, provider: FakeProvider, officer) -> None:
    provider.said.update(name="mallory of accounts")
    with pytest.raises(ProviderRefusal):
        come_back(appliance, provider, source="10.0.0.7")
    with appliance.database.read() as connection:
        row = connection.execute(select(audit_events).where(audit_events.c.event == "session.refused")).one()
    assert b"mallory" not in row.body and b"10.0.0.7" not in row.body
    assert appliance.audit_review.disclose(officer, row.seq) == {"name": "mallory of accounts", "source": "10.0.0.7"}


def test_the_provider_is_reached_for_its_purpose_alone(appliance: Appliance, provider: FakeProvider) -> None:
    come_back(appliance, provider)
    assert provider.server.paths() == ["/token", "/keys"]
    assert appliance.provider_sign_in.trouble() == ""
