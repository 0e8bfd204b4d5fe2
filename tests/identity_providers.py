"""A small identity provider of our own on loopback: authorization endpoint, token endpoint, keys; it lies where a test tells it to.

`with standing_provider(appliance) as provider:` sets it up for this appliance, behind a real gate.
"""

from __future__ import annotations

import hashlib
import html
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from appliance.administration.provider.accounts import ProviderAccounts
from appliance.administration.provider.endpoint import ProviderEndpoint
from appliance.administration.provider.sign_in import Answer, Begun, ProviderSignIn
from appliance.bootstrap import Appliance
from appliance.egress.destinations import Destination, Purpose
from appliance.identity.factors import SecondFactors
from appliance.identity.models import Role
from appliance.identity.provider.policy import Provider, Rule
from appliance.storage.clock import now_ms
from tests.gates import standing_gate
from tests.scripted_server import Answer as ServerAnswer
from tests.scripted_server import Asked, ScriptedServer

CLIENT_ID, SECRET = "cloister", "a secret between two machines"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OKP = OKPKey.generate_key("Ed25519", {"kid": "okp"})

USUAL_RULES = (
    Rule("box-users", role=Role.EMPLOYEE),
    Rule("box-admins", role=Role.ADMINISTRATOR),
    Rule("box-officers", role=Role.OFFICER),
)


@dataclass
class FakeProvider:
    """Says `said` of whoever comes; `claims` and `header` change what its next tokens hold, `None` takes a claim out."""

    said: dict[str, Any] = field(default_factory=lambda: {"sub": "subject-1", "name": "alice", "groups": ["box-users"]})
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSA)
    published: list[dict[str, Any]] = field(default_factory=lambda: [key.as_dict(private=False) for key in (RSA, EC, OKP)])
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    instead: dict[str, Callable[[ServerAnswer], None]] = field(default_factory=dict)
    """What it answers at a path in place of what it should."""
    asks_people: bool = False
    """Shows browsers a page, as providers do, from which a person goes on."""
    answer: dict[str, str] = field(default_factory=dict)
    """What it adds to the address that it sends browsers back to."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    server: ScriptedServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self._script)

    @property
    def issuer(self) -> str:
        return self.server.address

    def visited(self, address: str) -> dict[str, str]:
        """What stands in the address that the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer, **self.answer}

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path == path]

    def _script(self, asked: Asked, answer: ServerAnswer) -> None:
        path = urlsplit(asked.path).path
        if path in self.instead:
            self.instead[path](answer)
        elif path == "/authorize":
            back = self.visited(asked.path)
            address = self.codes[back["code"]]["redirect_uri"] + "?" + urlencode(back)
            if self.asks_people:
                answer.begin("text/html; charset=utf-8")
                answer.send(f'<!doctype html><title>Example ID</title><a href="{html.escape(address)}">Go on</a>'.encode())
                answer.end()
            else:
                answer.redirect(address)
        elif path == "/token":
            self._token({name: values[0] for name, values in parse_qs(asked.raw.decode()).items()}, asked, answer)
        elif path == "/keys":
            answer.json({"keys": self.published})
        else:
            answer.json({}, 404)

    def _token(self, form: dict[str, str], asked: Asked, answer: ServerAnswer) -> None:
        began = self.codes.pop(form.get("code", ""), None)
        challenge = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        right = (
            began is not None
            and began["code_challenge"] == challenge
            and began["code_challenge_method"] == "S256"
            and form.get("redirect_uri") == began["redirect_uri"]
            and form.get("client_secret") == SECRET
            and form.get("client_id") == CLIENT_ID
            and form.get("grant_type") == "authorization_code"
            and asked.headers["content-type"] == "application/x-www-form-urlencoded"
        )
        if not right:
            answer.json({"error": "invalid_grant", "error_description": "<b>words of the provider</b>"}, 400)
        else:
            answer.json({"access_token": "unused", "token_type": "Bearer", "id_token": self.token(began["nonce"])})

    def token(self, nonce: str) -> str:
        now = now_ms() // 1_000
        usual = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce, **self.said}
        claims = {name: value for name, value in {**usual, **self.claims}.items() if value is not None}
        kind = {RSAKey: "RS256", ECKey: "ES256", OKPKey: "Ed25519", OctKey: "HS256"}[type(self.key)]
        header = {"alg": kind, "kid": self.key.kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        if self.sign is not None:
            return self.sign(header, claims)
        return jwt.encode(header, claims, self.key, algorithms=[header["alg"]])


@contextmanager
def standing_provider(appliance: Appliance, *, own_address: str = "http://127.0.0.1:1", **changes: Any) -> Iterator[FakeProvider]:
    """`changes` are of the policy file, and `required`: roles that must have a second factor."""
    fake = FakeProvider()
    required: frozenset[Role] = changes.pop("required", frozenset())
    with fake.server.running():
        policy = Provider(
            name="Example ID",
            issuer=fake.issuer,
            client_id=CLIENT_ID,
            authorization_endpoint=f"{fake.issuer}/authorize",
            token_path="/token",
            keys_path="/keys",
            name_claim="name",
            groups_claim="groups",
            rules=USUAL_RULES,
        )
        policy = replaced(policy, **changes)
        destination = Destination("identity", "127.0.0.1", fake.server.port, Purpose.IDENTITY, tls=False)
        gate = standing_gate(appliance, destination)
        secret = appliance.settings.identity_secret_path
        secret.write_text(f"{SECRET}\n")
        secret.chmod(0o600)
        if required:
            appliance.factors = SecondFactors(appliance.database, appliance.audit, required)
        appliance.provider_accounts = ProviderAccounts(appliance.database, appliance.access, appliance.audit, provided=True)
        appliance.provider_sign_in = ProviderSignIn(
            appliance.database,
            appliance.audit,
            appliance.sessions,
            factors=appliance.factors,
            provider=policy,
            endpoint=ProviderEndpoint(lambda: gate, secret),
            own_address=own_address,
            key=appliance.keys.sessions,
        )
        yield fake


def come_back(appliance: Appliance, fake: FakeProvider, *, next_page: str = "", source: str = "10.0.0.1") -> str:
    """A browser that goes there and comes back; the token of its session. Raises as `finish` does."""
    begun = appliance.provider_sign_in.begin(next_page)
    return finished(appliance, begun, fake.visited(begun.address), source=source)


def finished(appliance: Appliance, begun: Begun, back: dict[str, str], *, source: str = "10.0.0.1") -> str:
    answer = Answer(back.get("state", ""), back.get("code", ""), back.get("error", ""), back.get("iss", ""))
    return appliance.provider_sign_in.finish(answer, begun.cookie, source).token
