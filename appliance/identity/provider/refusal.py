"""Why nobody was signed in by what came back from the provider: a code for the log, and a sentence that gives nothing away."""

from __future__ import annotations

from enum import StrEnum

from appliance.errors import NotSignedIn


class Reason(StrEnum):
    """As the audit log has it."""

    STATE = "state"  # begun in another browser, or not at all
    STALE = "stale"  # begun too long ago
    REPLAYED = "replayed"  # came back before
    PROVIDER_ERROR = "provider_error"  # the provider refused, and says so
    PROVIDER_AWAY = "provider_away"
    CODE = "code"  # the provider does not take its code, or gives no token for it
    KEYS = "keys"  # no key of that name, or none that can be used
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    TOKEN = "token"  # noqa: S105 - a word: not readable, or without what it must say
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"  # or from the future
    NONCE = "nonce"
    GROUPS_ELSEWHERE = "groups_elsewhere"  # too many groups for a token: the provider would have to be asked for them
    UNVERIFIED_EMAIL = "unverified_email"
    UNKNOWN_PERSON = "unknown_person"
    NAME_TAKEN = "name_taken"
    DISABLED = "disabled"
    NO_ROLE = "no_role"
    ROLES_CONFLICT = "roles_conflict"
    LAST_ADMINISTRATOR = "last_administrator"
    NO_SECOND_FACTOR = "no_second_factor"


_BEGIN_AGAIN = frozenset({Reason.STATE, Reason.STALE, Reason.REPLAYED})
_PERSON = frozenset(
    {
        Reason.UNVERIFIED_EMAIL,
        Reason.UNKNOWN_PERSON,
        Reason.NAME_TAKEN,
        Reason.DISABLED,
        Reason.NO_ROLE,
        Reason.ROLES_CONFLICT,
        Reason.LAST_ADMINISTRATOR,
        Reason.GROUPS_ELSEWHERE,
    }
)


class ProviderRefusal(NotSignedIn):
    """Raised where an answer of the provider lets nobody in. What concerns the person is told alike, whatever it is."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_sentence(reason), code=_code(reason))
        self.reason = reason


def _code(reason: Reason) -> str:
    if reason in _BEGIN_AGAIN:
        return "session.provider_state"
    if reason is Reason.NO_SECOND_FACTOR:
        return "session.factor_unproven"
    return "session.refused" if reason in _PERSON else "session.provider_failed"


def _sentence(reason: Reason) -> str:
    if reason in _BEGIN_AGAIN:
        return "This sign-in was begun in another window or too long ago. Please begin again."
    if reason in _PERSON:
        return "You are not let in with this account. An administrator of this box can find out why."
    if reason is Reason.NO_SECOND_FACTOR:
        return "Your account needs a second factor, and your sign-in did not show one. Ask an administrator."
    if reason is Reason.PROVIDER_ERROR:
        return "Your identity provider did not sign you in."
    return "Signing in through your identity provider did not work. Please try again, or tell an administrator."
