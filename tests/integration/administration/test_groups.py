"""Groups as administrators keep them: what is refused, what is recorded, what a membership opens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from appliance.audit.store import AuditFilter, AuditRecord, search
from appliance.bootstrap import Appliance
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.errors import ApplianceError, Denied, NotFound
from appliance.identity.models import EVERYONE, Principal, Role
from appliance.identity.store import load_principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.engine import Policies
from appliance.storage import tables
from tests.conftest import PASSWORD


def newest(appliance: Appliance, limit: int = 1) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(), limit=limit)


def now(appliance: Appliance, person: Principal) -> Principal:
    """The person as their next request finds them."""
    with appliance.database.read() as connection:
        found = load_principal(connection, person.id)
    assert found is not None
    return found


def may_read(appliance: Appliance, person: Principal, collection_id: str) -> bool:
    return collection_id in appliance.access.scope(now(appliance, person), Action.DOCUMENT_READ).collection_ids


def refused(act) -> str:
    with pytest.raises(ApplianceError) as refusal:
        act()
    return refusal.value.stable_code


def test_only_an_administrator_keeps_groups(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal
) -> None:
    porters = appliance.groups.create(administrator, "Porters", [alice.id]).id
    groups = appliance.groups
    for who in (alice, officer):
        for act in (
            lambda who=who: groups.list(who),
            lambda who=who: groups.create(who, "Mine"),
            lambda who=who: groups.rename(who, porters, "Mine"),
            lambda who=who: groups.delete(who, porters),
            lambda who=who: groups.add(who, porters, [who.id]),
            lambda who=who: groups.remove(who, porters, [alice.id]),
        ):
            with pytest.raises(Denied):
                act()
        assert newest(appliance)[0].event == "access.denied"
    (found,) = [group for group in groups.list(administrator) if not group.built_in]
    assert (found.name, [member.principal.id for member in found.members]) == ("Porters", [alice.id])


def test_the_group_of_everybody_stays_as_it_is(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    groups = appliance.groups
    for act in (
        lambda: groups.rename(administrator, EVERYONE, "Nobody"),
        lambda: groups.delete(administrator, EVERYONE),
        lambda: groups.add(administrator, EVERYONE, [alice.id]),
        lambda: groups.remove(administrator, EVERYONE, [alice.id]),
    ):
        assert refused(act) == "group.built_in"
    assert now(appliance, alice).groups == {EVERYONE}
    assert [(group.name, group.built_in, group.member_count, group.members) for group in groups.list(administrator)] == [
        ("Everyone", True, 2, ())
    ]


def test_two_groups_never_have_one_name_or_look_alike(appliance: Appliance, administrator: Principal) -> None:
    porters = appliance.groups.create(administrator, " Porters ").id
    other = appliance.groups.create(administrator, "Pilots").id
    # the last ones begin with a Cyrillic, a Greek and a full-width letter
    for name in ("porters", "  PORTERS ", "everyone", "\u0415veryone", "\u03a1orters", "\uff25veryone"):
        assert refused(lambda name=name: appliance.groups.create(administrator, name)) == "group.name_taken", ascii(name)
        assert refused(lambda name=name: appliance.groups.rename(administrator, other, name)) == "group.name_taken", ascii(name)
    appliance.groups.rename(administrator, porters, "PORTERS")  # its own in another case
    assert [group.name for group in appliance.groups.list(administrator)] == ["Everyone", "Pilots", "PORTERS"]


def test_a_name_is_short_and_can_be_read(appliance: Appliance, administrator: Principal) -> None:
    made = appliance.groups.create(administrator, "Pilots").id
    for name in ("", " \t ", "x" * 201, "bell\x07", "left\u202eright", "zero\u200bwidth", "soft\u00adhyphen"):
        assert refused(lambda name=name: appliance.groups.create(administrator, name)) == "group.name", ascii(name)
        assert refused(lambda name=name: appliance.groups.rename(administrator, made, name)) == "group.name", ascii(name)


def test_what_is_not_there_is_refused_and_changes_nothing(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    groups = appliance.groups
    porters = groups.create(administrator, "Porters").id
    for act, code in (
        (lambda: groups.rename(administrator, "f" * 32, "Pilots"), "group.not_found"),
        (lambda: groups.delete(administrator, "f" * 32), "group.not_found"),
        (lambda: groups.add(administrator, "f" * 32, [alice.id]), "group.not_found"),
        (lambda: groups.remove(administrator, "f" * 32, [alice.id]), "group.not_found"),
        (lambda: groups.add(administrator, porters, [alice.id, "ghost"]), "person.not_found"),
        (lambda: groups.add(administrator, porters, [alice.pseudonym]), "person.not_found"),
        (lambda: groups.remove(administrator, porters, ["ghost"]), "person.not_found"),
        (lambda: groups.add(administrator, porters, []), "group.nobody"),
        (lambda: groups.create(administrator, "Pilots", ["ghost"]), "person.not_found"),
    ):
        before = newest(appliance)
        assert refused(act) == code
        assert newest(appliance) == before
    assert [(group.name, group.member_count) for group in groups.list(administrator)] == [("Everyone", 2), ("Porters", 0)]


def test_each_act_is_one_event_without_names(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal
) -> None:
    groups = appliance.groups
    porters = groups.create(administrator, "Porters", [alice.id]).id
    board = appliance.collections.create(administrator, "Board", readers=[f"group:{porters}"])
    _, _, joined, made = newest(appliance, 4)
    assert (made.event, made.resources) == ("group.created", (("group", porters),))
    assert (joined.event, joined.resources) == ("member.added", (("group", porters), ("person", alice.pseudonym)))

    groups.add(administrator, porters, [bob.id, alice.id])
    (record,) = newest(appliance)
    assert (record.event, record.facts) == ("member.added", {"people": 1, "collections": 1})
    assert record.resources == (("group", porters), ("person", bob.pseudonym), ("collection", board))
    groups.add(administrator, porters, [bob.id])
    assert newest(appliance)[0].facts == {"changed": "nothing"}

    groups.remove(administrator, porters, [bob.id])
    (record,) = newest(appliance)
    assert (record.event, record.facts) == ("member.removed", {"people": 1, "collections": 1})
    assert record.resources == (("group", porters), ("person", bob.pseudonym), ("collection", board))

    groups.rename(administrator, porters, "Harbour porters")
    (record,) = newest(appliance)
    assert (record.event, record.resources, record.facts) == ("group.renamed", (("group", porters),), {})

    groups.delete(administrator, porters)
    (record,) = newest(appliance)
    assert (record.event, record.facts) == ("group.deleted", {"members": 1, "collections": 1})
    assert record.resources == (("group", porters), ("collection", board))
    with appliance.database.read() as connection:
        bodies = connection.execute(select(tables.audit_events.c.body)).scalars().all()
    assert not any(name in bytes(body) for body in bodies for name in (b"orters", b"alice", b"bob"))


def test_an_act_on_many_is_told_in_several_leaves(appliance: Appliance, administrator: Principal) -> None:
    people = []
    with appliance.database.write() as connection:
        for number in range(70):
            person = {
                "id": f"p{number}",
                "name": f"p{number}",
                "pseudonym": f"{number:032x}",
                "password_hash": "none",
                "created_ms": 0,
            }
            connection.execute(tables.principals.insert().values(**person))
            people.append(person["id"])
    made = appliance.groups.create(administrator, "Everybody but one", people)
    first, second = reversed(newest(appliance, 2))
    assert (first.event, second.event) == ("member.added", "member.added")
    assert first.facts == second.facts == {"people": 70, "collections": 0}
    told = {ref for record in (first, second) for ref in record.resources}
    assert told == {("group", made.id), *(("person", f"{number:032x}") for number in range(70))}


def test_a_membership_opens_and_its_end_closes(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal
) -> None:
    groups = appliance.groups
    porters = groups.create(administrator, "Porters", [alice.id]).id
    board = appliance.collections.create(administrator, "Board", readers=[f"group:{porters}"])
    assert (may_read(appliance, alice, board), may_read(appliance, bob, board)) == (True, False)
    groups.add(administrator, porters, [bob.id])
    groups.remove(administrator, porters, [alice.id])
    assert (may_read(appliance, alice, board), may_read(appliance, bob, board)) == (False, True)
    groups.delete(administrator, porters)
    assert not may_read(appliance, bob, board)
    detail = next(item for item in appliance.collections.list_all(administrator) if item.id == board)
    assert detail.readers == frozenset()
    again = groups.create(administrator, "Porters", [bob.id]).id  # another group of that name has nothing of the old one
    assert again != porters
    assert not may_read(appliance, bob, board)


def test_a_deleted_group_leaves_what_is_opened_to_others(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    porters, pilots = (appliance.groups.create(administrator, name, [alice.id]).id for name in ("Porters", "Pilots"))
    both = frozenset({f"group:{porters}", f"group:{pilots}", f"principal:{alice.id}"})
    board = appliance.collections.create(administrator, "Board", readers=both, contributors=both)
    appliance.groups.delete(administrator, porters)
    detail = next(item for item in appliance.collections.list_all(administrator) if item.id == board)
    assert detail.readers == detail.contributors == both - {f"group:{porters}"}
    assert refused(lambda: appliance.collections.update(administrator, board, readers=both)) == "collection.grantee"


def test_memberships_go_with_their_person(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    porters = appliance.groups.create(administrator, "Porters", [alice.id]).id
    with appliance.database.write() as connection:
        connection.execute(delete(tables.collections).where(tables.collections.c.owner_id == alice.id))
        connection.execute(delete(tables.principals).where(tables.principals.c.id == alice.id))
        assert connection.execute(select(func.count()).select_from(tables.group_members)).scalar_one() == 0
    assert refused(lambda: appliance.groups.remove(administrator, porters, [alice.id])) == "person.not_found"
    assert appliance.groups.list(administrator)[1].member_count == 0


# What an administrator may open to themselves ----------------------------------------------------------------------------


def test_a_group_gives_an_administrator_no_more_than_a_grant_and_the_log_says_as_much(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    """The rule for direct grants: whoever may open a collection may open it to themselves, reads only as an employee, and is
    named for it in the log beside the collection. A membership is that and nothing else."""
    (own,) = appliance.collections.readable(alice)
    runner = appliance.people.create(administrator, "runner", PASSWORD, {Role.ADMINISTRATOR})
    porters = appliance.groups.create(administrator, "Porters").id
    board = appliance.collections.create(administrator, "Board", readers=[f"group:{porters}"])
    archive = appliance.collections.create(administrator, "Archive")
    for who, reads in ((administrator, True), (runner, False)):
        appliance.groups.add(who, porters, [who.id])
        by_group = newest(appliance)[0]
        appliance.collections.update(who, archive, readers=[f"principal:{who.id}"])
        by_grant = newest(appliance)[0]
        assert {("person", who.pseudonym), ("collection", board)} <= set(by_group.resources)
        assert {("person", who.pseudonym), ("collection", archive)} <= set(by_grant.resources)
        assert may_read(appliance, who, board) is may_read(appliance, who, archive) is reads
    assert not may_read(appliance, administrator, own.id)
    with pytest.raises(Denied):  # nor does a group lead into what belongs to somebody
        appliance.collections.update(administrator, own.id, readers=[f"group:{porters}"])


def test_the_log_leads_from_a_collection_to_a_group_and_names_who_opens_it_to_their_own(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    porters = appliance.groups.create(administrator, "Porters", [alice.id]).id
    board = appliance.collections.create(administrator, "Board")
    appliance.collections.update(administrator, board, readers=[f"group:{porters}", f"group:{EVERYONE}"])
    assert newest(appliance)[0].resources == (("collection", board), ("group", porters))
    appliance.groups.add(administrator, porters, [administrator.id])
    appliance.collections.update(now(appliance, administrator), board, contributors=[f"group:{porters}"])
    assert newest(appliance)[0].resources == (("collection", board), ("group", porters), ("person", administrator.pseudonym))
    appliance.collections.update(now(appliance, administrator), board, readers=[])
    assert newest(appliance)[0].resources == (("collection", board), ("group", porters))


def test_who_may_not_open_a_collection_may_not_open_it_by_a_membership(
    appliance: Appliance, administrator: Principal, tmp_path: Path
) -> None:
    porters = appliance.groups.create(administrator, "Porters").id
    board = appliance.collections.create(administrator, "Board", readers=[f"group:{porters}"])
    directory = Path(shutil.copytree(POLICIES_DIR, tmp_path / "policies"))
    rule = f'@id("board-is-opened-elsewhere") forbid (principal, action == Action::"collection:update", resource == Collection::"{board}");'
    (directory / "95-board.cedar").write_text("// a rule of this organisation\n" + rule)
    narrowed = Access(Policies(directory), appliance.database, appliance.audit)
    groups = type(appliance.groups)(appliance.database, narrowed, appliance.audit)
    with pytest.raises(Denied):
        groups.add(administrator, porters, [administrator.id])
    (record,) = newest(appliance)
    assert (record.event, record.facts["action"], record.resources) == (
        "access.denied",
        "collection:update",
        (("collection", board),),
    )
    assert not may_read(appliance, administrator, board)
    other = groups.create(administrator, "Pilots", [administrator.id]).id
    with pytest.raises((Denied, NotFound)):
        type(appliance.collections)(appliance.database, narrowed, appliance.audit, ()).update(
            administrator, board, readers=[f"group:{other}"]
        )


def test_a_collection_opened_while_somebody_is_put_in_is_looked_at_first(
    appliance: Appliance, administrator: Principal, alice: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    porters = appliance.groups.create(administrator, "Porters").id
    appliance.collections.create(administrator, "Archive", readers=[f"group:{porters}"])
    require = appliance.access.require

    def open_meanwhile(principal, action, resource):
        require(principal, action, resource)
        if action is Action.COLLECTION_UPDATE:
            monkeypatch.undo()
            appliance.collections.create(administrator, "Board", readers=[f"group:{porters}"])

    monkeypatch.setattr(appliance.access, "require", open_meanwhile)
    assert refused(lambda: appliance.groups.add(administrator, porters, [alice.id])) == "group.changed"
    assert now(appliance, alice).groups == {EVERYONE}
