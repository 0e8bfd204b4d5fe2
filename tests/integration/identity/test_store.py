from __future__ import annotations

import pytest
from sqlalchemy import insert

from appliance.bootstrap import Appliance
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity import store
from appliance.identity.groups import group_names
from appliance.identity.models import EVERYONE, Role
from appliance.storage import tables


def _create(appliance: Appliance, name: str, *roles: Role) -> str:
    with appliance.database.write() as connection:
        return store.create_principal(connection, name=name, password_hash="none", roles=roles or [Role.EMPLOYEE]).id


def test_nobody_is_officer_and_administrator_at_once(appliance: Appliance) -> None:
    both = (Role.OFFICER, Role.ADMINISTRATOR)
    with pytest.raises(InvalidInput):
        _create(appliance, "clerk", *both)
    clerk = _create(appliance, "clerk", Role.EMPLOYEE)
    with appliance.database.write() as connection, pytest.raises(InvalidInput):
        store.set_roles(connection, clerk, both)


def test_nobody_is_without_a_role(appliance: Appliance) -> None:
    clerk = _create(appliance, "clerk")
    with appliance.database.write() as connection:
        with pytest.raises(InvalidInput):
            store.create_principal(connection, name="cook", password_hash="none", roles=[])
        with pytest.raises(InvalidInput):
            store.set_roles(connection, clerk, [])


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "line\x00feed", "bell\x07"])
def test_an_impossible_name_is_refused(appliance: Appliance, name: str) -> None:
    with pytest.raises(InvalidInput):
        _create(appliance, name)


@pytest.mark.parametrize("name", ["clerk", "CLERK", "  Clerk ", "\uff23lerk"])
def test_one_name_one_account(appliance: Appliance, name: str) -> None:
    _create(appliance, "Clerk")
    with pytest.raises(Conflict):
        _create(appliance, name)


def test_a_name_is_found_in_any_case_beyond_ascii(appliance: Appliance) -> None:
    clerk = _create(appliance, "Schließer Ömer")
    with appliance.database.read() as connection:
        found = store.principal_by_name(connection, "schließer ÖMER")
        assert found is not None
        assert found.id == clerk
        assert found.name == "Schließer Ömer"
        assert store.principal_by_name(connection, "schließer omer") is None


def test_the_last_administrator_stays(appliance: Appliance) -> None:
    first = _create(appliance, "first", Role.ADMINISTRATOR, Role.EMPLOYEE)
    with appliance.database.write() as connection:
        with pytest.raises(Conflict):
            store.set_roles(connection, first, {Role.EMPLOYEE})
        with pytest.raises(Conflict):
            store.set_disabled(connection, first, disabled=True)
    second = _create(appliance, "second", Role.ADMINISTRATOR)
    with appliance.database.write() as connection:
        store.set_disabled(connection, first, disabled=True)
        with pytest.raises(Conflict):  # a disabled administrator administers nothing
            store.set_roles(connection, second, {Role.EMPLOYEE})


def test_a_disabled_person_is_nobody_to_the_policies(appliance: Appliance) -> None:
    _create(appliance, "first", Role.ADMINISTRATOR)
    clerk = _create(appliance, "clerk", Role.EMPLOYEE)
    with appliance.database.write() as connection:
        store.set_disabled(connection, clerk, disabled=True)
    with appliance.database.read() as connection:
        assert store.load_principal(connection, clerk) is None
        assert store.principal_by_name(connection, "clerk") is None
        account = store.load_account(connection, clerk)
        assert account is not None
        assert account.disabled_ms
        assert [item.principal.name for item in store.list_principals(connection)] == ["clerk", "first"]
    with appliance.database.write() as connection:
        store.set_disabled(connection, clerk, disabled=False)
        person = store.load_principal(connection, clerk)
        assert person is not None
        assert person.roles == {Role.EMPLOYEE}


def test_everybody_belongs_to_everyone_and_to_their_groups(appliance: Appliance) -> None:
    clerk = _create(appliance, "clerk", Role.EMPLOYEE)
    _create(appliance, "cook", Role.EMPLOYEE)
    with appliance.database.write() as connection:
        connection.execute(insert(tables.groups).values(id="g1", name="Porters"))
        connection.execute(insert(tables.group_members).values(group_id="g1", principal_id=clerk))
        person = store.load_principal(connection, clerk)
        assert person is not None
        assert person.groups == {EVERYONE, "g1"}
        assert group_names(connection) == {EVERYONE: "Everyone", "g1": "Porters"}
        by_name = {item.principal.name: item.principal.groups for item in store.list_principals(connection)}
    assert by_name == {"clerk": {EVERYONE, "g1"}, "cook": {EVERYONE}}


def test_a_pseudonym_says_nothing(appliance: Appliance) -> None:
    with appliance.database.write() as connection:
        person = store.create_principal(connection, name="clerk", password_hash="none", roles=[Role.OFFICER])
    assert person.pseudonym != person.id
    assert len(person.pseudonym) == 32


def test_an_unknown_person_cannot_be_changed(appliance: Appliance) -> None:
    with appliance.database.write() as connection, pytest.raises(NotFound):
        store.set_password(connection, "nobody", "none")
