"""One try to sign in through the provider, from the click to the answer: kept by the browser that began it, and used once.

What must be known again stands sealed in a cookie of that browser: whoever only looks at the door leaves nothing on the box.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, delete, insert, select

from appliance.identity.provider.refusal import ProviderRefusal, Reason
from appliance.storage.tables import spent_states

LASTS_S = 600
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_COOKIE_LIMIT = 4_096
_BINDING = b"provider-try/v1"


class Try(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`next` is the page that was asked for; `began_ms` is in milliseconds since 1970."""

    state: str
    nonce: str
    verifier: str
    next: str
    began_ms: int

    @property
    def challenge(self) -> str:
        """Of PKCE, by S256 (RFC 7636)."""
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, repr=False)
class TryCookies:
    """Seals tries for browsers, and opens what they bring back."""

    key: bytes

    def sealed(self, begun: Try) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher().encrypt(nonce, msgspec.json.encode(begun), _BINDING)
        return urlsafe_b64encode(sealed).decode()

    def opened(self, cookie: str, state: str, now_ms: int) -> Try:
        """The try that this browser began with this `state`. Raises `ProviderRefusal` (`state`, `stale`)."""
        try:
            if len(cookie) > _COOKIE_LIMIT or not cookie.isascii():
                raise ProviderRefusal(Reason.STATE)
            raw = urlsafe_b64decode(cookie)
            plain = self._cipher().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _BINDING)
            begun = msgspec.json.decode(plain, type=Try)
        except (ValueError, msgspec.MsgspecError, InvalidTag) as error:
            raise ProviderRefusal(Reason.STATE) from error
        if not hmac.compare_digest(begun.state.encode(), state.encode(errors="replace")):
            raise ProviderRefusal(Reason.STATE)
        if not 0 <= now_ms - begun.began_ms < LASTS_S * 1_000:
            raise ProviderRefusal(Reason.STALE)
        return begun

    def _cipher(self) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"cloister/provider-try/v1").derive(self.key))


def new_try(next_page: str, now_ms: int) -> Try:
    state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
    return Try(state, nonce, verifier, next_page, now_ms)


def spend_state(connection: Connection, state: str, now_ms: int) -> bool:
    """Whether this state comes back for the first time. Belongs into a write transaction of its own, before anything is asked."""
    digest = hashlib.sha256(state.encode(errors="replace")).hexdigest()
    # one so old is refused for its age
    connection.execute(delete(spent_states).where(spent_states.c.spent_ms < now_ms - 2 * LASTS_S * 1_000))
    if connection.execute(select(spent_states).where(spent_states.c.state_sha256 == digest)).first() is not None:
        return False
    connection.execute(insert(spent_states).values(state_sha256=digest, spent_ms=now_ms))
    return True
