"""The scope of a search equals one decision per collection, whatever the grants; without a grant it is empty."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from appliance.bootstrap import Appliance
from appliance.identity.models import EVERYONE, NOBODY, SYSTEM, Principal, Role
from appliance.policy.actions import Action
from appliance.policy.scope import NOTHING
from appliance.policy.store import insert_collection, load_collections, replace_grants
from appliance.storage import tables

PEOPLE = ["p1", "p2", "p3"]
GROUPS = ["g1", "g2", EVERYONE]
grantees = st.sets(st.sampled_from([f"principal:{item}" for item in PEOPLE] + [f"group:{item}" for item in GROUPS]), max_size=3)
collections = st.lists(st.tuples(st.sampled_from([None, *PEOPLE]), grantees, grantees), max_size=6)
principals = st.builds(
    lambda who, roles, groups: Principal(who, who, who, frozenset(roles), frozenset(groups)),
    st.sampled_from(PEOPLE),
    st.sets(st.sampled_from(list(Role))),
    st.sets(st.sampled_from(GROUPS)),
)
DOCUMENT_ACTIONS = [Action.DOCUMENT_READ, Action.DOCUMENT_LIST, Action.DOCUMENT_UPLOAD, Action.DOCUMENT_DELETE]


@pytest.fixture
def box(appliance: Appliance) -> Appliance:
    with appliance.database.write() as connection:
        for person in PEOPLE:
            connection.execute(
                insert(tables.principals).values(id=person, name=person, pseudonym=person, password_hash="none", created_ms=0)
            )
    return appliance


def _store(appliance: Appliance, stored: list[tuple[str | None, set[str], set[str]]]) -> None:
    with appliance.database.write() as connection:
        connection.execute(delete(tables.grants))
        connection.execute(delete(tables.collections))
        for owner, readers, contributors in stored:
            made = insert_collection(connection, name=secrets.token_hex(4), owner_id=owner)
            replace_grants(connection, made.resource.id, "read", readers)
            replace_grants(connection, made.resource.id, "contribute", contributors)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(principal=principals, stored=collections, action=st.sampled_from(DOCUMENT_ACTIONS))
def test_scope_equals_one_decision_per_collection(
    box: Appliance, principal: Principal, stored: list[tuple[str | None, set[str], set[str]]], action: Action
) -> None:
    _store(box, stored)
    scope = box.access.scope(principal, action)
    with box.database.read() as connection:
        loaded = load_collections(connection)
    one_by_one = [
        item for item in loaded if box.policies.authorize(principal=principal, action=action, resource=item.resource).allowed
    ]
    assert scope.collection_ids == {item.resource.id for item in one_by_one}
    assert scope.numbers == {item.number for item in one_by_one}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=collections, action=st.sampled_from(DOCUMENT_ACTIONS))
def test_an_independent_reading_of_the_rules_agrees(
    box: Appliance, stored: list[tuple[str | None, set[str], set[str]]], action: Action
) -> None:
    """The rules once more in Python: an employee reads their own collection, else what is granted to them or their groups."""
    _store(box, stored)
    employee = Principal("p1", "p1", "p1", frozenset({Role.EMPLOYEE}), frozenset({EVERYONE, "g1"}))
    mine = {"principal:p1", "group:g1", f"group:{EVERYONE}"}
    expected = 0
    for owner, readers, contributors in stored:
        granted = contributors | (readers if action in (Action.DOCUMENT_READ, Action.DOCUMENT_LIST) else set())
        expected += owner == "p1" if owner else bool(granted & mine)
    assert len(box.access.scope(employee, action).collection_ids) == expected


def test_without_a_grant_there_is_nothing(box: Appliance) -> None:
    _store(box, [(None, set(), set()), ("p2", set(), set()), (None, {"principal:p2", "group:g2"}, {"principal:p3"})])
    employee = Principal("p1", "p1", "p1", frozenset({Role.EMPLOYEE}), frozenset({EVERYONE, "g1"}))
    assert box.access.scope(employee, Action.DOCUMENT_READ) == NOTHING
    assert not box.access.scope(employee, Action.DOCUMENT_READ)


@pytest.mark.parametrize("who", [NOBODY, SYSTEM], ids=lambda who: who.id)
def test_the_box_and_the_visitor_search_in_nothing(box: Appliance, who: Principal) -> None:
    _store(box, [(None, {f"group:{EVERYONE}", "principal:p1"}, {f"group:{EVERYONE}"})])
    assert box.access.scope(who, Action.DOCUMENT_READ) == NOTHING


@pytest.mark.parametrize("role", [Role.OFFICER, Role.ADMINISTRATOR])
def test_no_role_but_employee_reads_documents(box: Appliance, role: Role) -> None:
    _store(box, [(None, {f"group:{EVERYONE}"}, {f"group:{EVERYONE}"})])
    person = Principal("p1", "p1", "p1", frozenset({role}), frozenset({EVERYONE}))
    assert box.access.scope(person, Action.DOCUMENT_READ) == NOTHING
    both = Principal("p1", "p1", "p1", frozenset({role, Role.EMPLOYEE}), frozenset({EVERYONE}))
    assert len(box.access.scope(both, Action.DOCUMENT_READ).numbers) == 1


def test_an_action_that_is_not_about_collections_has_no_scope(box: Appliance) -> None:
    _store(box, [(None, {f"group:{EVERYONE}"}, set())])
    person = Principal("p1", "p1", "p1", frozenset({Role.EMPLOYEE}), frozenset({EVERYONE}))
    assert box.access.scope(person, Action.AUDIT_READ) == NOTHING
