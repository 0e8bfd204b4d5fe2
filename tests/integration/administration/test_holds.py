"""Officers place and lift holds; nobody else does, and the log keeps why."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from appliance.audit.events import EventName
from appliance.audit.holds import is_held
from appliance.audit.store import AuditFilter, search, unseal
from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.storage.tables import audit_sealed


def held(appliance: Appliance, person: Principal) -> bool:
    with appliance.database.read() as connection:
        return is_held(connection, person.pseudonym)


def told(appliance: Appliance, event: EventName) -> list[tuple[str, str]]:
    """Whom each entry of this event is about, and the reason beside it; newest first."""
    with appliance.database.read() as connection:
        found = search(connection, AuditFilter(event=event))
        return [
            (record.resources[0].id, unseal(connection, appliance.keys.audit_sealing, record.seq)["reason"]) for record in found
        ]


@pytest.mark.parametrize("who", ["administrator", "alice"])
def test_only_officers_hold(appliance: Appliance, officer, alice, request, who: str) -> None:
    person = request.getfixturevalue(who)
    appliance.holds.place(officer, alice.pseudonym, "a claim")
    for act in (
        lambda: appliance.holds.place(person, alice.pseudonym, "x"),
        lambda: appliance.holds.lift(person, alice.pseudonym, "x"),
        lambda: appliance.holds.list(person),
    ):
        with pytest.raises(Denied):
            act()
    assert held(appliance, alice)


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1_001])
def test_no_reason_no_hold(appliance: Appliance, officer, alice, reason: str) -> None:
    with pytest.raises(InvalidInput, match="reason"):
        appliance.holds.place(officer, alice.pseudonym, reason)
    appliance.holds.place(officer, alice.pseudonym, "a claim")
    with pytest.raises(InvalidInput, match="reason"):
        appliance.holds.lift(officer, alice.pseudonym, reason)
    assert held(appliance, alice)


@pytest.mark.parametrize("reason", ["\udcff", "a claim \udcff", "\0", "\u200b", "\u200d \u2060", "..."])
def test_a_reason_is_text_that_says_something(appliance: Appliance, officer, alice, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        appliance.holds.place(officer, alice.pseudonym, reason)
    assert refused.value.stable_code == "reason.text"
    assert not held(appliance, alice)
    appliance.holds.place(officer, alice.pseudonym, "\u65e5\u672c 7")
    assert told(appliance, EventName.HOLD_PLACED) == [(alice.pseudonym, "\u65e5\u672c 7")]


@pytest.mark.parametrize("who", ["\udcff", "\0", "\u200b"])
def test_a_pseudonym_that_is_no_text_is_nobodys(appliance: Appliance, officer, who: str) -> None:
    for act in (appliance.holds.place, appliance.holds.lift, appliance.erasure.erase):
        with pytest.raises(NotFound):
            act(officer, who, "a claim")


def test_what_cannot_be_held_or_lifted_leaves_nothing(appliance: Appliance, officer, alice) -> None:
    with pytest.raises(NotFound, match="pseudonym"):
        appliance.holds.place(officer, "nobody", "a claim")
    with pytest.raises(Conflict) as none:
        appliance.holds.lift(officer, alice.pseudonym, "over")
    appliance.holds.place(officer, alice.pseudonym, "a claim")
    with pytest.raises(Conflict) as twice:
        appliance.holds.place(officer, alice.pseudonym, "another claim")
    assert (none.value.stable_code, twice.value.stable_code) == ("hold.none", "hold.placed")
    assert told(appliance, EventName.HOLD_PLACED) == [(alice.pseudonym, "a claim")]
    assert told(appliance, EventName.HOLD_LIFTED) == []


def test_a_hold_is_placed_seen_and_lifted_and_the_reasons_are_the_officers_words(appliance: Appliance, officer, alice) -> None:
    placed = appliance.holds.place(officer, alice.pseudonym, " a claim of March ")
    assert held(appliance, alice)
    shown = appliance.holds.list(officer)
    assert (shown.holds, shown.leftovers) == ([placed], [])
    assert shown.names == {alice.pseudonym: "alice", officer.pseudonym: "officer"}
    appliance.holds.lift(officer, alice.pseudonym, "settled")
    assert not held(appliance, alice)
    assert appliance.holds.list(officer).holds == []
    assert told(appliance, EventName.HOLD_PLACED) == [(alice.pseudonym, "a claim of March")]
    assert told(appliance, EventName.HOLD_LIFTED) == [(alice.pseudonym, "settled")]
    with appliance.database.read() as connection:
        subjects = connection.execute(select(audit_sealed.c.subject).where(audit_sealed.c.field == "reason")).scalars()
        assert set(subjects) == {officer.pseudonym}
