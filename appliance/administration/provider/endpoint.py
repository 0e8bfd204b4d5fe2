"""What is asked of the identity provider by the box itself, through the gate: tokens for codes, and its public keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from appliance.egress.calls import Call
from appliance.egress.destinations import Purpose, identity_provider
from appliance.egress.gate import Gate
from appliance.errors import Unavailable
from appliance.identity.provider.policy import Provider
from appliance.identity.provider.refusal import ProviderRefusal, Reason

_LIMIT_BYTES = 300_000
_SILENCE_S = 10.0
_DEADLINE_S = 15.0
_SECRET_LIMIT = 1_000
_OK = 200
_BROKEN = 500


class ProviderEndpoint:
    """Speaks to the one destination with the purpose `identity`."""

    def __init__(self, gate: Callable[[], Gate], secret_path: Path) -> None:
        self._gate = gate
        self._secret_path = secret_path

    def id_token(self, provider: Provider, code: str, verifier: str, redirect_uri: str) -> str:
        """Raises `ProviderRefusal` where it gives none, `Unavailable` where it does not answer or the secret is not there."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": provider.client_id,
            "code_verifier": verifier,
        }
        if not provider.public_client:
            form["client_secret"] = self.secret()
        status, body = self._asked(provider.token_path, urlencode(form).encode())
        if status != _OK:
            raise ProviderRefusal(Reason.PROVIDER_AWAY if status >= _BROKEN else Reason.CODE)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ProviderRefusal(Reason.TOKEN) from error
        token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise ProviderRefusal(Reason.TOKEN)
        return token

    def key_document(self, provider: Provider) -> bytes:
        """Raises as `id_token` does."""
        status, body = self._asked(provider.keys_path)
        if status != _OK:
            raise ProviderRefusal(Reason.PROVIDER_AWAY if status >= _BROKEN else Reason.KEYS)
        return body

    def trouble(self, provider: Provider) -> str:
        """What is missing for it to be asked; empty where nothing is. Asks nobody."""
        if identity_provider(self._gate().destinations) is None:
            return "identity.toml names a provider, and destinations.toml no destination with the purpose identity"
        try:
            if not provider.public_client:
                self.secret()
        except Unavailable:
            return f"{self._secret_path} must hold the client secret, readable by nobody else (mode 600)"
        return ""

    def secret(self) -> str:
        """By which the provider knows this box. Raises `Unavailable` (`identity.secret`)."""
        try:
            others = self._secret_path.stat().st_mode & 0o077
            found = self._secret_path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _without_secret() from error
        if others or not 0 < len(found) <= _SECRET_LIMIT:
            raise _without_secret()
        return found

    def _asked(self, path: str, body: bytes = b"") -> tuple[int, bytes]:
        gate = self._gate()
        destination = identity_provider(gate.destinations)
        if destination is None:
            raise Unavailable("No destination of this box is an identity provider.", code="identity.no_destination")
        call = Call(
            destination.name,
            Purpose.IDENTITY,
            path,
            body,
            limit_bytes=_LIMIT_BYTES,
            silence_s=_SILENCE_S,
            deadline_s=_DEADLINE_S,
        )
        with gate.open(call) as reply:
            return reply.status, reply.read()


def _without_secret() -> Unavailable:
    return Unavailable(
        "Signing in through the identity provider is not set up completely. Tell an administrator.", code="identity.secret"
    )
