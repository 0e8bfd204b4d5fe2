"""How long things stay: who may say so, and what is refused."""

from __future__ import annotations

import pytest

from appliance.administration.retention import Retention
from appliance.audit.events import EventName
from appliance.bootstrap import Appliance
from appliance.documents.service import DocumentService
from appliance.errors import Conflict, Denied, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.retention.rules import MOST_DAYS, NONE
from appliance.retention.store import rules
from tests.growing_old import events, put, said

pytestmark = pytest.mark.usefixtures("without_pauses")


def test_only_administrators_say_how_long_and_nobody_for_a_personal_collection(
    appliance: Appliance, retention: Retention, administrator: Principal, alice: Principal, officer: Principal, shared: str
) -> None:
    own = next(item.id for item in appliance.collections.readable(alice) if item.owner_id == alice.id)
    for who, where, refusal in (
        (alice, None, Denied),
        (officer, None, Denied),
        (alice, shared, Denied),
        (officer, shared, NotFound),
        (alice, own, Denied),
        (administrator, own, Denied),
        (administrator, "f" * 32, NotFound),
        (administrator, "conversations", NotFound),
    ):
        for act in (
            lambda who=who, where=where: retention.read(who, where),
            lambda who=who, where=where: retention.outlook(who, 30, where),
            lambda who=who, where=where: retention.change(who, 30, going=9, collection_id=where),
        ):
            with pytest.raises(refusal):
                act()
    for days in (-1, MOST_DAYS + 1, 2**70):
        for where in (None, shared):
            with pytest.raises(InvalidInput, match="A number of days from 1 to 36,500") as refused:
                retention.change(administrator, days, going=0, collection_id=where)
            assert refused.value.stable_code == "retention.days"
    with appliance.database.read() as connection:
        assert rules(connection) == {}
    assert events(appliance, EventName.RETENTION_CHANGED) == []


def test_more_than_was_agreed_to_is_refused_and_nothing_changed(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time,
) -> None:
    said(appliance, alice)
    put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    time.passes(3.01)
    assert retention.outlook(administrator, 3).going == retention.outlook(administrator, 3, shared).going == 1
    assert retention.outlook(administrator, 4).going == retention.outlook(administrator, 4, shared).going == 0
    for where in (None, shared):
        with pytest.raises(Conflict, match="^1 (conversation|document) would go by that number") as refused:
            retention.change(administrator, 2, going=0, collection_id=where)
        assert (refused.value.stable_code, refused.value.data) == ("retention.more_would_go", {"going": 1})
        assert retention.read(administrator, where).rule == NONE
    assert events(appliance, EventName.RETENTION_CHANGED) == []
    retention.change(administrator, 2, going=1)
    retention.change(administrator, 2, going=5, collection_id=shared)
    told = {record.resources: (record.actor_name, record.facts) for record in events(appliance, EventName.RETENTION_CHANGED)}
    facts = {"days_before": 0, "days": 2, "going": 1}
    assert told == {
        (): ("administrator", {"of": "conversations", **facts}),
        (("collection", shared),): ("administrator", {"of": "documents", **facts}),
    }


def test_a_number_ends_with_its_collection(
    appliance: Appliance, retention: Retention, administrator: Principal, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention.change(administrator, 30, going=0, collection_id=shared)
    assert [item.stay.days for item in appliance.collections.readable(administrator) if item.id == shared] == [30]
    require = appliance.access.require_collection

    def then_deleted(*arguments: object) -> object:
        found = require(*arguments)
        monkeypatch.undo()
        appliance.collections.delete(administrator, shared, name="Handbook")
        return found

    monkeypatch.setattr(appliance.access, "require_collection", then_deleted)
    with pytest.raises(NotFound):
        retention.change(administrator, 10, going=0, collection_id=shared)
    with appliance.database.read() as connection:
        assert rules(connection) == {}
