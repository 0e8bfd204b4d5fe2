"""Asks Cedar. Whatever is unknown, malformed or fails while it is decided is refused.

Cedar skips a policy that fails during evaluation, so a failing `forbid` would let through what it should stop. Any error in
the diagnostics is therefore a refusal. Policies and schema are parsed once, at construction. A decision depends on nothing but
what it is asked with, no clock and no state, so equal questions may share an answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from appliance.errors import SetupError
from appliance.identity.models import NOBODY, SYSTEM, Principal
from appliance.policy.actions import Action
from appliance.policy.resources import Grantee, Resource, ResourceKind

_SCHEMA = "schema.cedarschema"
_REMEMBERED_ANSWERS = 128
_TYPES = {
    ResourceKind.APPLIANCE: "Appliance",
    ResourceKind.AUDIT_LOG: "AuditLog",
    ResourceKind.COLLECTION: "Collection",
    ResourceKind.CONVERSATION: "Conversation",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policies said, why, and the `@id` of each policy that decided it."""

    allowed: bool
    reason: str
    policy_ids: tuple[str, ...] = ()


class Policies:
    """The policy set of one directory."""

    def __init__(self, directory: Path) -> None:
        """Raises `SetupError` when the policies are missing, invalid, or carry a missing or doubled `@id`."""
        files = sorted(directory.glob("*.cedar"))
        schema_file = directory / _SCHEMA
        if not files or not schema_file.exists():
            raise SetupError(f"There are no policies in {directory}; without them nothing is allowed.", code="setup.policies")
        texts = [(file.name, file.read_bytes()) for file in (schema_file, *files)]
        self.sha256 = _digest(texts)
        schema_text, policy_text = texts[0][1].decode(), "\n".join(content.decode() for _, content in texts[1:])
        _validate(policy_text, schema_text)
        self._schema = cedarpy.Schema.from_str(schema_text)
        self._policies = cedarpy.PolicySet.from_str(policy_text)
        self._remembered = lru_cache(maxsize=_REMEMBERED_ANSWERS)(self._decide)

    def authorize(self, *, principal: Principal, action: Action, resource: Resource) -> Decision:
        """May `principal` do `action` to `resource`?"""
        return self.authorize_each(principal=principal, action=action, resources=[resource])[0]

    def authorize_each(self, *, principal: Principal, action: Action, resources: Sequence[Resource]) -> list[Decision]:
        """One decision per resource, in their order, for the price of one reading of the entities."""
        return list(self._remembered(principal, action, tuple(resources))) if resources else []

    def _decide(self, principal: Principal, action: Action, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
        who = _principal_uid(principal)
        requests = [
            {"principal": who, "action": _uid("Action", str(action)), "resource": _resource_uid(item), "context": {}}
            for item in resources
        ]
        try:
            entities = cedarpy.Entities.from_json_str(json.dumps(_entities(principal, resources)), self._schema)
        except ValueError as error:
            return tuple(Decision(allowed=False, reason=f"the entities were refused: {error}") for _ in resources)
        results = cedarpy.is_authorized_batch(requests, self._policies, entities, self._schema)
        return tuple(_decision(result) for result in results)


def _decision(result: Any) -> Decision:
    errors = result.diagnostics.errors
    if errors:
        return Decision(allowed=False, reason=f"refused because a policy could not be evaluated: {errors[0]}")
    names = tuple(sorted(result.diagnostics.id_annotations_by_reason.values()))
    if result.decision is cedarpy.Decision.Allow:
        return Decision(allowed=True, reason=f"permitted by {', '.join(names)}", policy_ids=names)
    if names:
        return Decision(allowed=False, reason=f"forbidden by {', '.join(names)}", policy_ids=names)
    return Decision(allowed=False, reason="no permit matched")


def _validate(policy_text: str, schema_text: str) -> None:
    checked = cedarpy.validate_policies(policy_text, schema_text)
    if not checked.validation_passed:
        raise SetupError(f"The policies are not valid: {checked.errors[0].error}", code="setup.policies")
    policies = json.loads(cedarpy.policies_to_json_str(policy_text))
    if policies.get("templates"):
        raise SetupError("Policy templates are not supported.", code="setup.policies")
    identifiers = [policy.get("annotations", {}).get("id") for policy in policies["staticPolicies"].values()]
    if None in identifiers:
        raise SetupError("A policy has no @id; the audit log could not name it.", code="setup.policies")
    doubled = sorted({item for item in identifiers if identifiers.count(item) > 1})
    if doubled:
        raise SetupError(f"Two policies share the @id {doubled[0]}.", code="setup.policies")


def _digest(texts: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 over names and contents, each with its length, so that no two sets share it by shifting bytes."""
    digest = hashlib.sha256()
    for name, content in texts:
        for part in (name.encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _uid(kind: str, identifier: str) -> dict[str, str]:
    return {"type": kind, "id": identifier}


def _principal_uid(principal: Principal) -> dict[str, str]:
    for built_in, kind in ((NOBODY, "Visitor"), (SYSTEM, "System")):
        if principal.id == built_in.id:
            return _uid(kind, principal.id)
    return _uid("Person", principal.id)


def _resource_uid(resource: Resource) -> dict[str, str]:
    return _uid(_TYPES[resource.kind], resource.id)


def _entities(principal: Principal, resources: Sequence[Resource]) -> list[dict[str, Any]]:
    who = _principal_uid(principal)
    parents = []
    if who["type"] == "Person":
        parents = [_uid("Role", str(role)) for role in sorted(principal.roles)]
        parents += [_uid("Group", group) for group in sorted(principal.groups)]
    entities: list[dict[str, Any]] = [{"uid": who, "attrs": {}, "parents": parents}]
    unique = {(resource.kind, resource.id): resource for resource in resources}
    entities += [{"uid": _resource_uid(resource), "attrs": _attributes(resource), "parents": []} for resource in unique.values()]
    return entities


def _attributes(resource: Resource) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if resource.owner_id is not None:
        attributes["owner"] = {"__entity": _uid("Person", resource.owner_id)}
    if resource.kind is ResourceKind.COLLECTION:
        attributes |= {
            "readers": _grantees(resource.readers, "principal", "Person"),
            "readerGroups": _grantees(resource.readers, "group", "Group"),
            "contributors": _grantees(resource.contributors, "principal", "Person"),
            "contributorGroups": _grantees(resource.contributors, "group", "Group"),
        }
    return attributes


def _grantees(grantees: frozenset[Grantee], kind: str, entity_type: str) -> list[dict[str, Any]]:
    split = [item.partition(":") for item in sorted(grantees)]
    return [{"__entity": _uid(entity_type, identifier)} for found, _, identifier in split if found == kind]
