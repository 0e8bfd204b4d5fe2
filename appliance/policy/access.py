"""The gate every service passes before it acts: a decision for one resource, a scope for many, a record of each refusal."""

from __future__ import annotations

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Denied, NotFound, NotSignedIn
from appliance.identity.models import NOBODY, Principal
from appliance.identity.store import load_principal
from appliance.policy.actions import Action
from appliance.policy.engine import Decision, Policies
from appliance.policy.resources import APPLIANCE, Resource, ResourceKind
from appliance.policy.scope import NOTHING, Scope
from appliance.policy.store import load_collection, load_collections
from appliance.storage.database import Database

_OF_COLLECTIONS = frozenset(
    {
        Action.COLLECTION_DELETE,
        Action.COLLECTION_UPDATE,
        Action.DOCUMENT_DELETE,
        Action.DOCUMENT_LIST,
        Action.DOCUMENT_READ,
        Action.DOCUMENT_UPLOAD,
    }
)


class Access:
    """Asks the policies with what the database knows. Never call it inside a write transaction: a refusal opens its own."""

    def __init__(self, policies: Policies, database: Database, audit: AuditLog) -> None:
        self._policies = policies
        self._database = database
        self._audit = audit

    def allowed(self, principal: Principal, action: Action, resource: Resource) -> bool:
        """The bare answer, recorded nowhere: for choosing what a page offers, never for letting somebody act."""
        return self._policies.authorize(principal=principal, action=action, resource=resource).allowed

    def require(self, principal: Principal, action: Action, resource: Resource | None) -> None:
        """Return if allowed. `resource` is None where the thing does not exist.

        Raises, after recording `access.denied`: `NotFound` when the thing is not there or the principal may not know that it is,
        else `Denied`. Raises `NotSignedIn` for nobody, unrecorded: an act without an author says nothing, and anybody on the
        network could fill the log with them.
        """
        decision = Decision(allowed=False, reason="there is no such resource")
        if resource is not None:
            decision = self._policies.authorize(principal=principal, action=action, resource=resource)
            if decision.allowed:
                return
        if principal.id == NOBODY.id:
            raise NotSignedIn("Please sign in.")
        self._record(principal, action, resource, decision)
        if resource is None or not self._may_know(principal, resource):
            raise NotFound("There is no such thing here.")
        raise Denied("You may not do this.", action=str(action))

    def scope(self, principal: Principal, action: Action) -> Scope:
        """The collections in which `principal` may do `action`: the full scan, one decision for each, none left out."""
        if action not in _OF_COLLECTIONS:
            return NOTHING
        with self._database.read() as connection:
            stored = load_collections(connection)
        decisions = self._policies.authorize_each(
            principal=principal, action=action, resources=[item.resource for item in stored]
        )
        allowed = [item for item, decision in zip(stored, decisions, strict=True) if decision.allowed]
        return Scope(frozenset(item.resource.id for item in allowed), frozenset(item.number for item in allowed))

    def scope_now(self, principal: Principal, action: Action) -> Scope:
        """As `scope`, with the roles and groups of this moment, for what outlives a request; NOTHING of a closed account."""
        with self._database.read() as connection:
            person = load_principal(connection, principal.id)
        return NOTHING if person is None else self.scope(person, action)

    def collection(self, collection_id: str) -> Resource | None:
        """The collection with its grants; None where there is none."""
        with self._database.read() as connection:
            stored = load_collection(connection, collection_id)
        return stored.resource if stored else None

    def require_collection(self, principal: Principal, action: Action, collection_id: str) -> Resource:
        """The collection, if `principal` may do `action` to it; raises as `require` does."""
        resource = self.collection(collection_id)
        self.require(principal, action, resource)
        assert resource is not None
        return resource

    def _may_know(self, principal: Principal, resource: Resource) -> bool:
        match resource.kind:
            case ResourceKind.COLLECTION:
                # who administers collections knows of all of them
                return self.allowed(principal, Action.DOCUMENT_LIST, resource) or self.allowed(
                    principal, Action.COLLECTION_LIST, APPLIANCE
                )
            case ResourceKind.CONVERSATION:
                return self.allowed(principal, Action.CONVERSATION_READ, resource)
            case _:
                return True

    def _record(self, principal: Principal, action: Action, resource: Resource | None, decision: Decision) -> None:
        facts = {"action": str(action), "policies": ",".join(decision.policy_ids) or "none"}
        with self._database.write() as connection:
            self._audit.append(
                connection,
                AuditEvent(
                    EventName.ACCESS_DENIED,
                    principal,
                    resources=(ResourceRef(str(resource.kind), resource.id),) if resource else (),
                    outcome=Outcome.FAILURE,
                    facts=facts,
                ),
            )
