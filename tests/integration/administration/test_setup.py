from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, Conflict, InvalidInput, NotFound
from appliance.identity.models import Role

PASSWORD = "a long enough passphrase"


def test_a_wrong_or_old_or_replaced_link_opens_nothing(appliance: Appliance) -> None:
    first, second = appliance.setup.make_link(), appliance.setup.make_link()
    for token in ("", "guess", first):
        assert not appliance.setup.valid(token)
        with pytest.raises(NotFound):
            appliance.setup.complete(token, "administrator", PASSWORD)
    assert appliance.setup.valid(second)
    with appliance.database.write() as connection:
        connection.execute(text("UPDATE setup_links SET created_ms = created_ms - 24 * 3600000"))
    with pytest.raises(NotFound):
        appliance.setup.complete(second, "administrator", PASSWORD)
    assert appliance.setup.needed()


def test_the_link_survives_a_mistyped_password_and_works_once(appliance: Appliance) -> None:
    token = appliance.setup.make_link()
    for name, password in (("administrator", "short"), ("", PASSWORD)):
        with pytest.raises(InvalidInput):
            appliance.setup.complete(token, name, password)
    first = appliance.setup.complete(token, "administrator", PASSWORD)
    assert first.roles == {Role.ADMINISTRATOR, Role.EMPLOYEE}
    assert [item.name for item in appliance.collections.readable(first)] == ["My documents"]
    assert not appliance.setup.needed()
    with pytest.raises(NotFound):
        appliance.setup.complete(token, "second", PASSWORD)
    with pytest.raises(Conflict):
        appliance.setup.make_link()


def test_two_tabs_make_one_administrator(appliance: Appliance) -> None:
    token = appliance.setup.make_link()
    outcomes: list[str] = []

    def attempt(name: str) -> None:
        try:
            outcomes.append(appliance.setup.complete(token, name, PASSWORD).name)
        except ApplianceError as error:
            outcomes.append(error.stable_code)

    tabs = [threading.Thread(target=attempt, args=(name,)) for name in ("one", "two")]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(outcomes) in (["one", "setup.link"], ["setup.link", "two"])


def test_the_table_holds_only_the_digest_of_the_link(appliance: Appliance) -> None:
    token = appliance.setup.make_link()
    with appliance.database.read() as connection:
        assert token not in str(connection.execute(text("SELECT * FROM setup_links")).all())
