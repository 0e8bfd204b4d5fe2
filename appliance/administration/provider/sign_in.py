"""From the click on "Sign in with" to a session: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

The browser goes to the provider by itself and comes back with a code; the box changes it for a token through the gate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlencode

from appliance.administration.provider.admission import Admission, TurnedAway
from appliance.administration.provider.endpoint import ProviderEndpoint
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Denied, NotFound, Unavailable
from appliance.identity.factors import SecondFactors
from appliance.identity.models import NOBODY, Principal
from appliance.identity.provider.id_token import Claims, verified_claims
from appliance.identity.provider.key_set import KeySet
from appliance.identity.provider.policy import Provider
from appliance.identity.provider.refusal import ProviderRefusal, Reason
from appliance.identity.provider.tries import Try, TryCookies, new_try, spend_state
from appliance.identity.sessions import Sessions
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

ANSWER_PATH = "/sign-in/provider/answer"
_CODE_LIMIT = 4_000
_NEXT_BYTES = 1_000  # browsers keep no cookie of more than 4,096
_AT_ONCE = 8
_PATIENCE_S = 2.0
_BY = "provider"


@dataclass(frozen=True, slots=True, repr=False)
class Begun:
    """Where the browser goes, and what it keeps meanwhile."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the browser brought back, as it stands in the address; what is not there is empty."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class SignedIn:
    """The token of the new session, and the page that was asked for at first."""

    token: str
    next: str


class ProviderSignIn:
    """Signing in through the provider, where one is set up."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        sessions: Sessions,
        *,
        factors: SecondFactors,
        provider: Provider | None,
        endpoint: ProviderEndpoint,
        own_address: str,
        key: bytes,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`own_address` is where browsers find this box; `key` seals what they keep; `clock` gives milliseconds since 1970."""
        self._database = database
        self._audit = audit
        self._sessions = sessions
        self._factors = factors
        self._provider = provider
        self._endpoint = endpoint
        self._redirect_uri = own_address + ANSWER_PATH
        self._cookies = TryCookies(key)
        self._clock = clock
        self._keys = KeySet(lambda: endpoint.key_document(self._known()), clock)
        # a provider that has gone silent must not take all threads that serve people
        self._asking = threading.BoundedSemaphore(_AT_ONCE)

    @property
    def name(self) -> str:
        """Of the provider, for people; empty where there is none."""
        return self._provider.name if self._provider else ""

    def trouble(self) -> str:
        """What keeps everybody from coming in through the provider, as far as this box can see; empty where nothing does."""
        return self._endpoint.trouble(self._provider) if self._provider else ""

    def begin(self, next_page: str) -> Begun:
        """Raises `NotFound` where there is no provider."""
        provider = self._known()
        begun = new_try(next_page if len(next_page.encode()) <= _NEXT_BYTES else "", self._clock())
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": provider.scope,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
        }
        if provider.acr:
            asked["acr_values"] = " ".join(sorted(provider.acr))
        return Begun(f"{provider.authorization_endpoint}?{urlencode(asked)}", self._cookies.sealed(begun))

    def finish(self, answer: Answer, cookie: str, source: str) -> SignedIn:
        """A session for whom the provider vouches. `source` is the network address of the caller.

        Raises `NotFound` where there is no provider, `Throttled` after too many tries, `ProviderRefusal`, and `Unavailable`
        (`identity.away`, `identity.secret`).
        """
        provider = self._known()
        self._sessions.count_try_from(source)
        if not self._asking.acquire(timeout=_PATIENCE_S):
            self._refuse(Reason.PROVIDER_AWAY, source)
        try:
            begun = self._brought_back(answer, cookie)
            claims = self._claims(provider, answer, begun)
        except ProviderRefusal as refusal:
            self._refuse(refusal.reason, source)
        except (Denied, Unavailable) as error:
            self._record_refusal(Reason.PROVIDER_AWAY, source)
            if error.stable_code == "identity.secret":
                raise
            raise _away() from error
        finally:
            self._asking.release()
        return SignedIn(self._let_in(provider, claims, source), begun.next)

    def _brought_back(self, answer: Answer, cookie: str) -> Try:
        """What this browser began; from here on nobody can come back with it again."""
        begun = self._cookies.opened(cookie, answer.state, self._clock())
        with self._database.write() as connection:
            first = spend_state(connection, begun.state, self._clock())
        if not first:
            raise ProviderRefusal(Reason.REPLAYED)
        return begun

    def _claims(self, provider: Provider, answer: Answer, begun: Try) -> Claims:
        if answer.issuer and answer.issuer != provider.issuer:
            raise ProviderRefusal(Reason.ISSUER)
        if answer.error:
            raise ProviderRefusal(Reason.PROVIDER_ERROR)
        if not 0 < len(answer.code) <= _CODE_LIMIT:
            raise ProviderRefusal(Reason.CODE)
        token = self._endpoint.id_token(provider, answer.code, begun.verifier, self._redirect_uri)
        return verified_claims(token, provider, begun.nonce, self._keys, self._clock() / 1_000)

    def _let_in(self, provider: Provider, claims: Claims, source: str) -> str:
        admission = Admission(self._audit, self._factors, provider, self._clock)
        token = ""
        with self._database.write() as connection:
            decided = admission.decide(connection, claims)
            if isinstance(decided, TurnedAway):
                self._audit.append(connection, _refused(decided.reason, source, claims.name, decided.person))
            else:
                facts: dict[str, str | int] = {"by": _BY}
                if claims.factor_shown:
                    facts["second_factor"] = _BY
                if decided.groups_missing:
                    facts["groups_missing"] = decided.groups_missing
                token = self._sessions.admit(connection, decided.person, source, facts, factor_shown=claims.factor_shown)
        if isinstance(decided, TurnedAway):
            raise ProviderRefusal(decided.reason)
        return token

    def _refuse(self, reason: Reason, source: str) -> NoReturn:
        self._record_refusal(reason, source)
        if reason is Reason.PROVIDER_AWAY:
            raise _away()
        raise ProviderRefusal(reason)

    def _record_refusal(self, reason: Reason, source: str) -> None:
        with self._database.write() as connection:
            self._audit.append(connection, _refused(reason, source))

    def _known(self) -> Provider:
        if self._provider is None:
            raise NotFound("There is nothing at this address.")
        return self._provider


def _refused(reason: Reason, source: str, name: str = "", person: Principal | None = None) -> AuditEvent:
    """`name` is what the provider calls them, sealed as what is typed at the door is."""
    subject = person or NOBODY
    return AuditEvent(
        EventName.SESSION_REFUSED,
        NOBODY,
        resources=(ResourceRef("person", person.pseudonym),) if person else (),
        outcome=Outcome.FAILURE,
        facts={"by": _BY, "reason": reason.value},
        sealed={"source": source} | ({"name": name} if name else {}),
        sealed_subject=subject.pseudonym,
    )


def _away() -> Unavailable:
    return Unavailable("Your identity provider does not answer this box. Please try again in a moment.", code="identity.away")
