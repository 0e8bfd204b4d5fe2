from __future__ import annotations

import pytest

from appliance.audit.store import AuditFilter, AuditRecord, search, unseal
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, Conflict, Denied, InvalidInput, NotFound, NotSignedIn
from appliance.identity.models import NOBODY, Principal, Role
from appliance.policy.actions import Action

PASSWORD = "a long enough passphrase"


def _newest(appliance: Appliance) -> AuditRecord:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(), limit=1)[0]


def test_only_an_administrator_touches_accounts(appliance: Appliance, alice: Principal, officer: Principal) -> None:
    for who, error in ((alice, Denied), (officer, Denied), (NOBODY, NotSignedIn)):
        with pytest.raises(error):
            appliance.people.create(who, "accomplice", PASSWORD, {Role.ADMINISTRATOR})
        with pytest.raises(error):
            appliance.people.update(who, alice.id, roles={Role.ADMINISTRATOR})
        with pytest.raises(error):
            appliance.people.list(who)


@pytest.mark.parametrize(
    ("name", "password", "roles", "error"),
    [
        ("clerk", "short", {Role.EMPLOYEE}, InvalidInput),
        ("", PASSWORD, {Role.EMPLOYEE}, InvalidInput),
        ("Administrator", PASSWORD, {Role.EMPLOYEE}, Conflict),
        ("clerk", PASSWORD, {Role.OFFICER, Role.ADMINISTRATOR}, InvalidInput),
    ],
    ids=["weak password", "no name", "name taken", "both duties"],
)
def test_a_bad_account_is_refused_and_leaves_nothing(
    appliance: Appliance, administrator: Principal, name: str, password: str, roles: set[Role], error: type[ApplianceError]
) -> None:
    before = _newest(appliance).seq
    with pytest.raises(error):
        appliance.people.create(administrator, name, password, roles)
    assert _newest(appliance).seq == before
    assert [item.principal.id for item in appliance.people.list(administrator)] == [administrator.id]


def test_a_new_person_has_a_collection_of_their_own(appliance: Appliance, administrator: Principal) -> None:
    clerk = appliance.people.create(administrator, "clerk", PASSWORD, {Role.EMPLOYEE})
    record = _newest(appliance)
    (own,) = appliance.collections.readable(clerk)
    assert (own.name, own.owner_id, own.may_contribute, own.document_count) == ("My documents", clerk.id, True, 0)
    assert appliance.access.scope(clerk, Action.DOCUMENT_READ).numbers == {own.number}
    assert appliance.access.scope(administrator, Action.DOCUMENT_READ).numbers.isdisjoint({own.number})
    assert record.event == "person.created"
    assert record.actor_pseudonym == administrator.pseudonym
    assert record.resources == (("person", clerk.pseudonym), ("collection", own.id))
    assert record.facts == {"roles": "employee"}
    assert b"clerk" not in record.body
    with appliance.database.read() as connection:
        assert unseal(connection, appliance.keys.audit_sealing, record.seq) == {"name": "clerk"}


def test_a_change_ends_sessions_and_is_recorded(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    token = appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7")
    account = appliance.people.update(administrator, alice.id, roles={Role.OFFICER}, password="another long passphrase")
    assert account.principal.roles == {Role.OFFICER}
    assert appliance.sessions.principal(token) is None
    record = _newest(appliance)
    assert record.event == "person.updated"
    assert record.resources == (("person", alice.pseudonym),)
    assert record.facts == {"roles_before": "employee", "roles": "officer", "changed": "password"}
    assert appliance.sessions.sign_in("alice", "another long passphrase", "192.0.2.7")


def test_all_of_a_change_or_nothing_of_it(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    with pytest.raises(Conflict):
        appliance.people.update(administrator, administrator.id, password="another long passphrase", disabled=True)
    assert appliance.sessions.sign_in("administrator", PASSWORD, "192.0.2.7")
    with pytest.raises(InvalidInput):
        appliance.people.update(administrator, alice.id, roles={Role.OFFICER}, password="short")
    with pytest.raises(NotFound):
        appliance.people.update(administrator, "f" * 32, disabled=True)
    accounts = {item.principal.name: item for item in appliance.people.list(administrator)}
    assert accounts["alice"].principal.roles == {Role.EMPLOYEE}


def test_a_disabled_person_is_out_and_can_come_back(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    assert appliance.people.update(administrator, alice.id, disabled=True).disabled_ms
    assert appliance.people.update(administrator, alice.id, disabled=True).disabled_ms
    assert _newest(appliance).facts == {"changed": "nothing"}
    assert appliance.people.update(administrator, alice.id, disabled=False).disabled_ms is None
    assert appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7")


def test_an_officer_goes_only_where_another_can_sign_in(
    appliance: Appliance, administrator: Principal, officer: Principal
) -> None:
    second = appliance.people.create(administrator, "second", PASSWORD, {Role.OFFICER})
    appliance.people.update(administrator, second.id, disabled=True)
    appliance.people.update(administrator, officer.id, disabled=True)
    for act in (
        lambda: appliance.people.belongings(administrator, officer.id),
        lambda: appliance.people.delete(administrator, officer.id, conversations=0, documents=0),
    ):
        with pytest.raises(Conflict) as refused:
            act()
        assert refused.value.stable_code == "person.last_officer"
    appliance.people.update(administrator, second.id, disabled=False)
    appliance.people.delete(administrator, officer.id, conversations=0, documents=0)
    # whoever is no officer any more is held to nothing; both changes stand in the log
    appliance.people.update(administrator, second.id, roles={Role.EMPLOYEE}, disabled=True)
    appliance.people.delete(administrator, second.id, conversations=0, documents=0)
