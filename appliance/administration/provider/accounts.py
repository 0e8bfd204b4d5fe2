"""What administrators decide about accounts and the provider: who comes in through it, and who does so no longer."""

from __future__ import annotations

from collections.abc import Callable

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, NotFound
from appliance.identity import store
from appliance.identity.api_keys import keys_ended
from appliance.identity.models import Account, Principal, Role
from appliance.identity.provider import links
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.clock import now_ms
from appliance.storage.database import Database


class ProviderAccounts:
    """Whatever it changes ends the person's sessions and API keys."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        *,
        provided: bool,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`provided`: there is a provider at all."""
        self._database = database
        self._access = access
        self._audit = audit
        self._provided = provided
        self._clock = clock

    def has_password(self, principal: Principal) -> bool:
        """Of whoever asks."""
        self._access.require(principal, Action.ACCOUNT_READ, APPLIANCE)
        with self._database.read() as connection:
            return links.has_password(connection, principal.id)

    def allow(self, principal: Principal, person_id: str) -> Account:
        """From now on the provider lets this person in, whom it first calls by the name of the account, and no password does.

        Raises `NotFound` (`person.not_found`), `Conflict`: `identity.none`, `identity.allowed` where it was so already, and
        `person.last_password` where no other administrator could sign in with the provider away.
        """
        self._access.require(principal, Action.PERSON_UPDATE, APPLIANCE)
        if not self._provided:
            raise Conflict("No identity provider is set up here (policies/identity.toml).", code="identity.none")
        with self._database.write() as connection:
            account = store.require_account(connection, person_id)
            if links.load_link(connection, person_id) is not None:
                raise Conflict(f"{account.principal.name} comes in through the provider already.", code="identity.allowed")
            if Role.ADMINISTRATOR in account.principal.roles:
                links.require_other_password(connection, person_id)
            links.allow(connection, person_id, self._clock())
            ended = store.set_password(connection, person_id, "")
            about = (ResourceRef("person", account.principal.pseudonym),)
            facts = {"sign_in": "provider"}
            self._audit.append(connection, AuditEvent(EventName.PERSON_UPDATED, principal, resources=about, facts=facts))
            for event in keys_ended(principal, account.principal, ended, "provider"):
                self._audit.append(connection, event)
            return store.require_account(connection, person_id)

    def unlink(self, principal: Principal, person_id: str) -> Account:
        """The provider lets this person in no longer; a password that an administrator sets does.

        Raises `NotFound` (`person.not_found`, `identity.not_allowed`).
        """
        self._access.require(principal, Action.PERSON_UPDATE, APPLIANCE)
        with self._database.write() as connection:
            account = store.require_account(connection, person_id)
            if links.load_link(connection, person_id) is None:
                raise NotFound(f"{account.principal.name} does not come in through a provider.", code="identity.not_allowed")
            links.unlink(connection, person_id)
            store.end_sessions(connection, person_id)
            about = (ResourceRef("person", account.principal.pseudonym),)
            self._audit.append(connection, AuditEvent(EventName.IDENTITY_UNLINKED, principal, resources=about))
            ended = store.end_keys(connection, person_id)
            for event in keys_ended(principal, account.principal, ended, "unlinked"):
                self._audit.append(connection, event)
            return store.require_account(connection, person_id)
