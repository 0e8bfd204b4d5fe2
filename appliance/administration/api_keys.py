"""API keys: made and ended by their people, ended by administrators, and looked at with each request that carries one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog, utc_text
from appliance.errors import Conflict, Denied, InvalidInput, NotFound, NotSignedIn
from appliance.identity import api_keys as store
from appliance.identity import throttling
from appliance.identity.api_keys import ApiKey, KeyScope
from appliance.identity.factor_store import has_factor
from appliance.identity.factors import WRONG_CODE, Means, spend_code
from appliance.identity.models import NOBODY, Principal
from appliance.identity.sessions import Sessions
from appliance.identity.store import clean_name, end_keys, load_principal, require_account
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.clock import DAY_MS, now_ms
from appliance.storage.database import Database

DEFAULT_DAYS = 90
LONGEST_DAYS = 366
MOST_KEYS = 20
"""Of one person, the expired ones that they have not ended counted in."""

_TOUCH_MS = 60_000
_TRIES = throttling.Limit("key", free_tries=50, longest_block_ms=15 * 60_000)

# inside the class `list` is a method
Keys = list[ApiKey]
Ids = list[str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whose key it is, with today's roles and groups, and what it is for."""

    principal: Principal
    scopes: frozenset[KeyScope]


class ApiKeys:
    """A key acts as its person, within its scopes, for as long as the policies let that person make keys (`key:create`)."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        sessions: Sessions,
        key: bytes,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`key` derives throttle subjects; `clock` gives milliseconds since 1970."""
        self._database = database
        self._access = access
        self._audit = audit
        self._sessions = sessions
        self._key = key
        self._clock = clock

    def create(
        self,
        principal: Principal,
        password: str,
        name: str,
        scopes: Iterable[KeyScope],
        days: int = DEFAULT_DAYS,
        *,
        code: str = "",
    ) -> tuple[ApiKey, str]:
        """A new key of one's own and its text, which nobody is shown again.

        `password` is the current one, `code` of the second factor where there is one: what gets by it later is made with it.
        Raises `InvalidInput` (`key.name`, `key.scopes`, `key.days`, `password.wrong`, `code.wrong`), `Conflict` (`key.too_many`),
        `Throttled` after too many tries, and `Denied` where the policies do not allow it, or a key asks for another.
        """
        self._access.require(principal, Action.KEY_CREATE, APPLIANCE)
        if principal.key_id:
            raise Denied("Keys are made by people who are signed in, not by keys.", code="key.scope")
        cleaned, chosen = clean_name(name, code="key.name"), frozenset(scopes)
        if not chosen:
            raise InvalidInput("Choose what the key is for.", code="key.scopes")
        if not 1 <= days <= LONGEST_DAYS:
            raise InvalidInput(f"A key ends after 1 to {LONGEST_DAYS} days.", code="key.days", maximum=LONGEST_DAYS)
        proven = self._sessions.prove_password(principal, password, EventName.KEY_CREATED)
        now = self._clock()
        with self._database.write() as connection:
            means = spend_code(connection, principal.id, code, now) if has_factor(connection, principal.id) else Means.PASSWORD
            if means is None:
                facts = {"reason": "wrong_code"}
                refused = AuditEvent(EventName.KEY_CREATED, principal, outcome=Outcome.FAILURE, facts=facts)
                self._audit.append(connection, refused)
            else:
                self._sessions.require_still(connection, proven)
                made = self._make(connection, principal, cleaned, chosen, days=days, now=now, means=means)
        if means is None:
            raise InvalidInput(WRONG_CODE, code="code.wrong")
        return made

    def may_create(self, principal: Principal) -> bool:
        """For choosing what a page offers."""
        return self._access.allowed(principal, Action.KEY_CREATE, APPLIANCE)

    def list(self, principal: Principal) -> Keys:
        """One's own, the expired ones too, newest first."""
        self._access.require(principal, Action.KEY_LIST, APPLIANCE)
        with self._database.read() as connection:
            return store.list_keys(connection, principal.id)

    def end(self, principal: Principal, key_id: str) -> None:
        """End a key of one's own. Raises `NotFound` (`key.not_found`) for any other."""
        self._access.require(principal, Action.KEY_END, APPLIANCE)
        with self._database.write() as connection:
            if not store.end_key(connection, principal.id, key_id):
                raise _no_such_key()
            self._record_ended(connection, principal, principal, [key_id], "owner")

    def list_of(self, principal: Principal, person_id: str) -> Keys:
        """The keys of a person, for administrators. Raises `NotFound`."""
        self._access.require(principal, Action.PERSON_LIST, APPLIANCE)
        with self._database.write() as connection:
            account = require_account(connection, person_id)
            keys = store.list_keys(connection, person_id)
            about = (ResourceRef("person", account.principal.pseudonym),)
            facts: dict[str, str | int] = {"people": 1, "shown": "keys", "keys": len(keys)}
            self._audit.append(connection, AuditEvent(EventName.PERSON_LISTED, principal, resources=about, facts=facts))
        return keys

    def end_of(self, principal: Principal, person_id: str, key_id: str | None = None) -> int:
        """End this key of a person, or all they have; how many. Raises `NotFound`, also (`key.not_found`) where there is none."""
        self._access.require(principal, Action.PERSON_UPDATE, APPLIANCE)
        with self._database.write() as connection:
            person = require_account(connection, person_id).principal
            if key_id is None:
                ended = end_keys(connection, person_id)
            else:
                ended = [key_id] if store.end_key(connection, person_id, key_id) else []
            if not ended:
                raise _no_such_key()
            self._record_ended(connection, principal, person, ended, "administrator")
        return len(ended)

    def admit(self, presented: str, source: str) -> Admitted:
        """Whose key this is, for one request; the time of its use is kept to the minute. `source` is the caller's address.

        Raises `NotSignedIn` (`key.refused`) for whatever is no key that counts, all alike, after recording why; and `Throttled`,
        unrecorded, for such things from a source that has sent too many. A key that counts is never kept out by those.
        """
        now = self._clock()
        with self._database.read() as connection:
            key, right = store.find_key(connection, presented)
            person = load_principal(connection, key.principal_id) if key else None
        admitted, reason = self._judged(key, person, right=right, now=now)
        if key is None or admitted is None:
            self._refuse(key, person, presented, source, reason)
        if key.last_used_ms is None or now - key.last_used_ms >= _TOUCH_MS:
            with self._database.write() as connection:
                store.touch_key(connection, key.id, now)
        return admitted

    def principal(self, presented: str) -> Principal | None:
        """Who a key that was admitted belongs to, as of now; None where it has ended since. Long streams ask again and again."""
        with self._database.read() as connection:
            key, right = store.find_key(connection, presented)
            person = load_principal(connection, key.principal_id) if key else None
        admitted, _ = self._judged(key, person, right=right, now=self._clock())
        return admitted.principal if admitted else None

    def refuse_act(self, principal: Principal, action: Action) -> NoReturn:
        """Record and raise `Denied` (`key.scope`): what this act is no key, or not this one, is for."""
        facts = {"action": str(action), "policies": "none", "reason": "key_scope"}
        with self._database.write() as connection:
            event = AuditEvent(EventName.ACCESS_DENIED, principal, outcome=Outcome.FAILURE, facts=facts)
            self._audit.append(connection, event)
        raise Denied("This API key is not for that.", code="key.scope", action=str(action))

    def _make(
        self,
        connection: Connection,
        principal: Principal,
        name: str,
        scopes: frozenset[KeyScope],
        *,
        days: int,
        now: int,
        means: Means,
    ) -> tuple[ApiKey, str]:
        if len(store.list_keys(connection, principal.id)) >= MOST_KEYS:
            raise Conflict(f"You have {MOST_KEYS} keys already. End one of them first.", code="key.too_many")
        key, text = store.insert_key(connection, principal.id, name, scopes, now=now, expires_ms=now + days * DAY_MS)
        facts: dict[str, str | int] = {"scopes": store.named(scopes), "days": days, "expires": utc_text(key.expires_ms)}
        facts["by"] = means.value
        about = (ResourceRef("key", key.id),)
        event = AuditEvent(EventName.KEY_CREATED, principal, resources=about, facts=facts, sealed={"name": name})
        self._audit.append(connection, event)
        return key, text

    def _judged(self, key: ApiKey | None, person: Principal | None, *, right: bool, now: int) -> tuple[Admitted | None, str]:
        """What the key opens, or why it opens nothing."""
        if key is None:
            return None, "unknown"
        if not right:
            return None, "wrong_secret"
        if now >= key.expires_ms:
            return None, "expired"
        if person is None:
            return None, "disabled"
        if not self._access.allowed(person, Action.KEY_CREATE, APPLIANCE):
            return None, "not_permitted"
        return Admitted(replace(person, key_id=key.id), key.scopes), ""

    def _refuse(self, key: ApiKey | None, person: Principal | None, presented: str, source: str, reason: str) -> NoReturn:
        by_source = throttling.subject(self._key, _TRIES, source)
        now = self._clock()
        about = [ResourceRef("key", key.id)] if key else []
        about += [ResourceRef("person", person.pseudonym)] if person else []
        told = reason if key or store.is_shaped(presented) else "malformed"
        with self._database.write() as connection:
            blocked_s = throttling.count_try(connection, _TRIES, by_source, now)
            throttling.forget_old(connection, now)
            event = AuditEvent(
                EventName.KEY_REFUSED,
                NOBODY,
                resources=tuple(about),
                outcome=Outcome.FAILURE,
                facts={"reason": told, **throttling.block_facts(blocked_s)},
                sealed={"source": source},
                sealed_subject=(person or NOBODY).pseudonym,
            )
            self._audit.append(connection, event)
        raise NotSignedIn("There is no such API key, or it has ended.", code="key.refused")

    def _record_ended(self, connection: Connection, by: Principal, person: Principal, key_ids: Ids, reason: str) -> None:
        for event in store.keys_ended(by, person, key_ids, reason):
            self._audit.append(connection, event)


def _no_such_key() -> NotFound:
    return NotFound("There is no such API key, or it has ended.", code="key.not_found")
