"""What an ID token says of somebody, once everything about it holds (OpenID Connect Core 1.0, 3.1.3.7)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError

from appliance.identity.provider.key_set import KeySet
from appliance.identity.provider.policy import Provider
from appliance.identity.provider.refusal import ProviderRefusal, Reason

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Asymmetric ones alone: of any other, and of none, the key that everybody knows would make tokens."""

LEEWAY_S = 60
_FRESH_S = 600
_LAST_TIME = 1 << 53  # also keeps out numbers that are none
_SUBJECT_LIMIT = 255
_NAME_LIMIT = 200
_GROUPS_LIMIT = 2_000


@dataclass(frozen=True, slots=True, repr=False)
class Claims:
    """Of one person. `name` is empty where there is none that can be used; `unverified_email`: it is one that proves nothing."""

    subject: str
    name: str
    groups: frozenset[str]
    factor_shown: bool
    unverified_email: bool = False


def verified_claims(token: str, provider: Provider, nonce: str, keys: KeySet, now_s: float) -> Claims:
    """Raises `ProviderRefusal`, and what fetching keys raises."""
    said = _signed(token, keys)
    if said.get("iss") != provider.issuer:
        raise ProviderRefusal(Reason.ISSUER)
    _require_for_us(said, provider.client_id)
    _require_fresh(said, now_s)
    given = said.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(errors="replace"), nonce.encode()):
        raise ProviderRefusal(Reason.NONCE)
    subject = said.get("sub")
    if not isinstance(subject, str) or not _is_subject(subject):
        raise ProviderRefusal(Reason.TOKEN)
    unverified = provider.name_claim == "email" and said.get("email_verified") is not True
    name = said.get(provider.name_claim)
    usable = isinstance(name, str) and len(name) <= _NAME_LIMIT and name.isprintable()
    return Claims(subject, str(name) if usable else "", _groups(said, provider), _factor_shown(said, provider), unverified)


def _signed(token: str, keys: KeySet) -> Mapping[str, Any]:
    """The claims. The algorithm is one of ours, and the key the one that the token names; nothing else in it chooses either."""
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise ProviderRefusal(Reason.TOKEN) from error
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise ProviderRefusal(Reason.ALGORITHM)
    if not isinstance(kid, str):
        raise ProviderRefusal(Reason.KEYS)
    key = keys.key(kid)
    if key.get("alg", algorithm) != algorithm:
        raise ProviderRefusal(Reason.ALGORITHM)
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        return jwt.decode(token, key, registry=registry).claims
    except BadSignatureError as error:
        raise ProviderRefusal(Reason.SIGNATURE) from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:  # the key is of another kind, or it is no JSON
        raise ProviderRefusal(Reason.TOKEN) from error


def _require_for_us(said: Mapping[str, Any], client_id: str) -> None:
    """For us and nobody else: who else may read it could hand it to us."""
    if said.get("aud") not in (client_id, [client_id]) or said.get("azp", client_id) != client_id:
        raise ProviderRefusal(Reason.AUDIENCE)


def _require_fresh(said: Mapping[str, Any], now_s: float) -> None:
    expires, issued, begins = _time(said.get("exp")), _time(said.get("iat")), _time(said.get("nbf", 0))
    fresh = now_s - _FRESH_S - LEEWAY_S <= issued <= now_s + LEEWAY_S
    if not fresh or expires <= now_s - LEEWAY_S or begins > now_s + LEEWAY_S:
        raise ProviderRefusal(Reason.EXPIRED)


def _time(value: Any) -> float:
    """In seconds since 1970."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _LAST_TIME:
        raise ProviderRefusal(Reason.TOKEN)
    return value


def _is_subject(subject: str) -> bool:
    return 0 < len(subject) <= _SUBJECT_LIMIT and subject.isascii() and subject.isprintable()


def _groups(said: Mapping[str, Any], provider: Provider) -> frozenset[str]:
    """None where the claim is missing. Where they are to be fetched elsewhere it refuses: a guess would take roles away."""
    if not provider.groups_claim:
        return frozenset()
    elsewhere = said.get("_claim_names")
    named = said.get(provider.groups_claim, [])
    listed = [named] if isinstance(named, str) else named
    if (isinstance(elsewhere, dict) and provider.groups_claim in elsewhere) or said.get("hasgroups"):
        raise ProviderRefusal(Reason.GROUPS_ELSEWHERE)
    if not isinstance(listed, list) or len(listed) > _GROUPS_LIMIT or not all(isinstance(item, str) for item in listed):
        raise ProviderRefusal(Reason.TOKEN)
    return frozenset(listed)


def _factor_shown(said: Mapping[str, Any], provider: Provider) -> bool:
    methods, context = said.get("amr"), said.get("acr")
    shown = {item for item in methods if isinstance(item, str)} if isinstance(methods, list) else set()
    return not provider.amr.isdisjoint(shown) or (isinstance(context, str) and context in provider.acr)
