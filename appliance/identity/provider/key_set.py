"""The provider's public keys by name, fetched when they are first needed, and again when one is not known."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from appliance.identity.provider.refusal import ProviderRefusal, Reason

PublicKey = RSAKey | ECKey | OKPKey

_AGAIN_MS = 60_000
_OLD_MS = 3_600_000
_KEYS_LIMIT = 50
_KINDS = ("RSA", "EC", "OKP")
_RSA_BITS = 2_048
_RSA_CHARS = range(_RSA_BITS // 6, 16_384 // 6 + 4)  # of the modulus in base64, before it is counted with


class KeySet:
    """Safe to share between threads."""

    def __init__(self, fetch: Callable[[], bytes], clock: Callable[[], int]) -> None:
        """`fetch` gives the document (JWKS), `clock` milliseconds since 1970."""
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_ms: int | None = None

    def key(self, kid: str) -> PublicKey:
        """Raises `ProviderRefusal` (`keys`) for one that the provider does not have, and what fetching raises.

        Tokens with made-up names make nobody fetch more often than once a minute; a key that the provider withdrew counts for an
        hour at most.
        """
        with self._lock:
            age_ms = None if self._fetched_ms is None else self._clock() - self._fetched_ms
            known = kid in self._keys and age_ms is not None and 0 <= age_ms < _OLD_MS
            if not known and (age_ms is None or not 0 <= age_ms < _AGAIN_MS):
                self._keys = _usable(self._fetch())
                self._fetched_ms = self._clock()
            found = self._keys.get(kid)
        if found is None:
            raise ProviderRefusal(Reason.KEYS)
        return found


def _usable(document: bytes) -> dict[str, PublicKey]:
    try:
        rows = json.loads(document)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProviderRefusal(Reason.KEYS) from error
    if not isinstance(rows, list):
        raise ProviderRefusal(Reason.KEYS)
    found: dict[str, PublicKey] = {}
    for row in rows[:_KEYS_LIMIT]:
        key = _key(row)
        if key is not None:
            found.setdefault(row["kid"], key)
    return found


def _key(row: Any) -> PublicKey | None:
    """Public keys for signatures, under a name. A shared secret among them (`oct`) is never a key of ours."""
    if not isinstance(row, dict) or not isinstance(row.get("kid"), str) or row.get("kty") not in _KINDS:
        return None
    if row.get("use", "sig") != "sig" or (row["kty"] == "RSA" and not _is_long_enough(row.get("n"))):
        return None
    try:
        key = JWKRegistry.import_key(row)
    except (JoseError, ValueError, TypeError, KeyError):  # one that we cannot read is none, and the others count
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) and not key.is_private else None


def _is_long_enough(modulus: Any) -> bool:
    """A short RSA key is one that others can work out, and then sign with; one without end is work for nothing."""
    if not isinstance(modulus, str) or len(modulus) not in _RSA_CHARS:
        return False
    try:
        return int.from_bytes(urlsafe_b64decode(modulus + "==")).bit_length() >= _RSA_BITS
    except ValueError:
        return False
