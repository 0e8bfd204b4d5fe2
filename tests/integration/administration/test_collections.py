from __future__ import annotations

import pytest
from sqlalchemy import insert

from appliance.audit.store import AuditFilter, AuditRecord, search
from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput, NotFound
from appliance.identity.models import EVERYONE, Principal
from appliance.policy.actions import Action
from appliance.storage import tables


def _newest(appliance: Appliance, limit: int = 1) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(), limit=limit)


def test_only_an_administrator_makes_and_opens_collections(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal
) -> None:
    handbook = appliance.collections.create(administrator, "Handbook")
    for who in (alice, officer):
        with pytest.raises(Denied):
            appliance.collections.create(who, "Mine")
        with pytest.raises(Denied):
            appliance.collections.list_all(who)
        with pytest.raises(NotFound):
            appliance.collections.update(who, handbook, readers=[f"principal:{who.id}"])
    assert appliance.collections.readable(officer) == []


def test_nobody_opens_a_persons_own_collection(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    (own,) = appliance.collections.readable(alice)
    for who in (administrator, alice):
        with pytest.raises(Denied):
            appliance.collections.update(who, own.id, readers=[f"principal:{administrator.id}"])


def test_an_unknown_reader_or_collection_is_refused_and_changes_nothing(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    handbook = appliance.collections.create(administrator, "Handbook")
    for grantee in ("principal:ghost", "group:ghost", f"role:{alice.id}", alice.id, "", "group:", f"group:{alice.id}"):
        with pytest.raises(InvalidInput):
            appliance.collections.update(administrator, handbook, name="Changed", readers=[grantee])
    with pytest.raises(NotFound):
        appliance.collections.update(administrator, "f" * 32, name="Changed")
    for name in ("", "  ", "x" * 201, "bell\x07"):
        with pytest.raises(InvalidInput):
            appliance.collections.update(administrator, handbook, name=name)
    detail = next(item for item in appliance.collections.list_all(administrator) if item.id == handbook)
    assert (detail.name, detail.readers) == ("Handbook", frozenset())


def test_two_shared_collections_never_have_one_name(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    laboratory = appliance.collections.create(administrator, "Laboratory")
    archive = appliance.collections.create(administrator, "Archive")
    for act in (
        lambda: appliance.collections.create(administrator, " LABORATORY "),
        lambda: appliance.collections.update(administrator, archive, name="laboratory"),
    ):
        with pytest.raises(Conflict, match="named Laboratory already") as refused:
            act()
        assert refused.value.stable_code == "collection.name_taken"
    appliance.collections.update(administrator, laboratory, name="laboratory")  # its own name in another case is free
    appliance.collections.create(administrator, "My documents")  # which is what people's own are called


def test_a_collection_is_made_with_its_grants_or_not_at_all(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    before = appliance.collections.list_all(administrator)
    for wrong in ({"readers": ["principal:ghost"]}, {"classification": "royal"}):
        with pytest.raises(InvalidInput):
            appliance.collections.create(administrator, "Board", **wrong)
    assert appliance.collections.list_all(administrator) == before
    who = frozenset({f"principal:{alice.id}"})
    board = appliance.collections.create(administrator, "Board", readers=who, contributors=who, classification="secret")
    newest, second = _newest(appliance, limit=2)
    assert (second.event, newest.event) == ("collection.created", "collection.updated")
    assert newest.facts["granted"] == f"read:{alice.pseudonym} contribute:{alice.pseudonym}"
    detail = next(item for item in appliance.collections.list_all(administrator) if item.id == board)
    assert (detail.readers, detail.contributors, detail.classification) == (who, who, "secret")


def test_a_grant_opens_and_its_absence_closes(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal
) -> None:
    handbook = appliance.collections.create(administrator, "Handbook")
    assert _newest(appliance)[0].resources == (("collection", handbook),)
    assert handbook not in appliance.access.scope(alice, Action.DOCUMENT_READ).collection_ids

    appliance.collections.update(administrator, handbook, readers=[f"group:{EVERYONE}"], contributors=[f"principal:{alice.id}"])
    (record,) = _newest(appliance)
    assert record.facts == {"granted": f"read:group:{EVERYONE} contribute:{alice.pseudonym}"}
    assert record.resources == (("collection", handbook), ("person", alice.pseudonym))
    for who, may in ((alice, True), (bob, False), (administrator, False)):
        summary = next(item for item in appliance.collections.readable(who) if item.id == handbook)
        assert summary.may_contribute is may

    appliance.collections.update(administrator, handbook, readers=[])
    assert _newest(appliance)[0].facts == {"revoked": f"read:group:{EVERYONE}"}
    assert handbook not in appliance.access.scope(bob, Action.DOCUMENT_READ).collection_ids
    assert handbook in appliance.access.scope(alice, Action.DOCUMENT_READ).collection_ids

    appliance.collections.update(administrator, handbook, name=" House   rules ")
    assert _newest(appliance)[0].facts == {"renamed": "yes"}
    detail = next(item for item in appliance.collections.list_all(administrator) if item.id == handbook)
    assert (detail.name, detail.contributors) == ("House rules", {f"principal:{alice.id}"})


def test_a_change_of_many_grants_is_told_in_full(appliance: Appliance, administrator: Principal) -> None:
    handbook = appliance.collections.create(administrator, "Handbook")
    with appliance.database.write() as connection:
        for number in range(90):
            connection.execute(
                insert(tables.principals).values(
                    id=f"{number:032x}", name=f"clerk {number}", pseudonym=f"{number:031x}f", password_hash="", created_ms=0
                )
            )
    appliance.collections.update(administrator, handbook, readers=[f"principal:{number:032x}" for number in range(90)])
    records = _newest(appliance, limit=3)
    assert all(item.event == "collection.updated" for item in records)
    told = " ".join(str(item.facts["granted"]) for item in records).split()
    assert sorted(told) == [f"read:{number:031x}f" for number in range(90)]


def test_ones_own_collection_comes_first(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    for name in ("zoo", "Archive"):
        made = appliance.collections.create(administrator, name)
        appliance.collections.update(administrator, made, readers=[f"group:{EVERYONE}"])
    assert [item.name for item in appliance.collections.readable(alice)] == ["My documents", "Archive", "zoo"]


def test_raising_and_lowering_a_classification_is_told(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    board = appliance.collections.create(administrator, "Board")
    appliance.collections.update(administrator, board, readers=[f"principal:{alice.id}"])

    def seen() -> str:
        return next(item.classification for item in appliance.collections.readable(alice) if item.id == board)

    assert seen() == "internal"
    for value, direction, before in (("secret", "raised", "internal"), ("public", "lowered", "secret")):
        appliance.collections.update(administrator, board, classification=value)
        told = {"classified": direction, "classification_before": before, "classification": value}
        assert _newest(appliance)[0].facts == told
        assert seen() == value
        assert next(item.classification for item in appliance.collections.list_all(administrator) if item.id == board) == value
    appliance.collections.update(administrator, board, classification="public")
    assert _newest(appliance)[0].facts == {"changed": "nothing"}


def test_an_unknown_classification_is_refused_and_changes_nothing(appliance: Appliance, administrator: Principal) -> None:
    board = appliance.collections.create(administrator, "Board")
    for value in ("royal", "", "Secret"):
        with pytest.raises(InvalidInput, match="public, internal, confidential, secret") as refused:
            appliance.collections.update(administrator, board, name="Changed", classification=value)
        assert refused.value.stable_code == "collection.classification"
    (detail,) = [item for item in appliance.collections.list_all(administrator) if item.id == board]
    assert (detail.name, detail.classification) == ("Board", "internal")


def test_only_an_administrator_classifies_and_nobody_another_persons_own(
    appliance: Appliance, administrator: Principal, alice: Principal
) -> None:
    board = appliance.collections.create(administrator, "Board")
    with pytest.raises(NotFound):
        appliance.collections.update(alice, board, classification="public")
    own = appliance.collections.readable(alice)[0].id
    for who in (administrator, alice):
        with pytest.raises(Denied):
            appliance.collections.update(who, own, classification="public")
