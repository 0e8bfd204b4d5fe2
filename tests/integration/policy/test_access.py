"""Refusals: what they raise, what they leave in the log, and that they do not tell what is there."""

from __future__ import annotations

import pytest

from appliance.audit.store import AuditFilter, AuditRecord, search
from appliance.bootstrap import Appliance
from appliance.errors import Denied, NotFound, NotSignedIn
from appliance.identity.models import EVERYONE, NOBODY, Principal, Role
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE, AUDIT_LOG, conversation
from appliance.policy.store import insert_collection, replace_grants

EMPLOYEE = Principal("p1", "p1", "p1", frozenset({Role.EMPLOYEE}), frozenset({EVERYONE}))
ADMINISTRATOR = Principal("p2", "p2", "p2", frozenset({Role.ADMINISTRATOR}), frozenset({EVERYONE}))


@pytest.fixture
def closed(appliance: Appliance) -> str:
    with appliance.database.write() as connection:
        return insert_collection(connection, name="closed").resource.id


@pytest.fixture
def readable(appliance: Appliance) -> str:
    with appliance.database.write() as connection:
        made = insert_collection(connection, name="readable").resource.id
        replace_grants(connection, made, "read", [f"group:{EVERYONE}"])
    return made


def _records(appliance: Appliance) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return [item for item in search(connection, AuditFilter()) if item.actor_pseudonym != "system"]


def test_what_is_not_there_and_what_is_not_yours_are_refused_alike(appliance: Appliance, closed: str) -> None:
    refusals = []
    for collection_id in (closed, "f" * 32):
        with pytest.raises(NotFound) as caught:
            appliance.access.require_collection(EMPLOYEE, Action.DOCUMENT_READ, collection_id)
        refusals.append((caught.value.sentence, caught.value.stable_code, caught.value.data))
    assert refusals[0] == refusals[1]
    with pytest.raises(NotFound):
        appliance.access.require(EMPLOYEE, Action.CONVERSATION_READ, conversation("c", "p9"))


def test_what_one_may_see_is_denied_by_name(appliance: Appliance, readable: str, closed: str) -> None:
    with pytest.raises(Denied):
        appliance.access.require_collection(EMPLOYEE, Action.DOCUMENT_UPLOAD, readable)
    with pytest.raises(Denied):
        appliance.access.require(EMPLOYEE, Action.AUDIT_READ, AUDIT_LOG)
    with pytest.raises(Denied):  # administrators know every collection, and open none
        appliance.access.require_collection(ADMINISTRATOR, Action.DOCUMENT_READ, closed)


def test_a_refusal_is_recorded_with_the_act_and_the_policies(appliance: Appliance, closed: str) -> None:
    with pytest.raises(Denied):
        appliance.access.require_collection(ADMINISTRATOR, Action.DOCUMENT_READ, closed)
    (record,) = _records(appliance)
    assert (record.event, record.decision, record.outcome) == ("access.denied", "deny", "failure")
    assert record.actor_pseudonym == ADMINISTRATOR.pseudonym
    assert record.resources == (("collection", closed),)
    assert record.facts == {"action": "document:read", "policies": "no-documents-without-employment"}
    assert record.class_uid == 6006  # filed where reading a document is filed


def test_an_allowed_act_returns_and_leaves_the_record_to_the_caller(appliance: Appliance, readable: str) -> None:
    assert appliance.access.require_collection(EMPLOYEE, Action.DOCUMENT_READ, readable).id == readable
    assert _records(appliance) == []


def test_a_visitor_is_asked_to_sign_in_and_cannot_fill_the_log(appliance: Appliance, readable: str) -> None:
    for action, resource in ((Action.PERSON_LIST, APPLIANCE), (Action.DOCUMENT_READ, appliance.access.collection(readable))):
        with pytest.raises(NotSignedIn):
            appliance.access.require(NOBODY, action, resource)
    with pytest.raises(NotSignedIn):
        appliance.access.require_collection(NOBODY, Action.DOCUMENT_READ, "nothing")
    assert _records(appliance) == []
