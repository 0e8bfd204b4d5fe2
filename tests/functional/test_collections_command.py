"""`cloister collections`, as a person at a shell would use it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.identity.models import Principal, Role
from appliance.identity.store import load_principal
from tests.web_clients import store_document

Cloister = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cloister(appliance: Appliance, capsys: pytest.CaptureFixture[str]) -> Cloister:
    def ran(*words: str, by: str = "administrator") -> tuple[int, str, str]:
        code = main(["collections", *words, "--data", str(appliance.settings.data_dir), "--as", by])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


def test_what_the_page_refuses_is_refused(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal, cloister: Cloister
) -> None:
    board = appliance.collections.create(
        administrator, "Board", readers=["group:everyone"], contributors=[f"principal:{administrator.id}"]
    )
    appliance.collections.create(administrator, "Archive")
    own = appliance.collections.readable(alice)[0].id
    before = appliance.collections.list_all(administrator)
    unclear = "Say with --user or --group whom it is about."
    classes = "A collection can be classified as one of public, internal, confidential, secret."
    for words, complaint in (
        (("rename", "Bord", "Minutes"), "There is no shared collection named Bord."),
        (("rename", "My documents", "Ours"), "There is no shared collection named My documents."),
        (("open", "Bord", "--user", "alice"), "There is no shared collection named Bord."),
        (("close", "Bord", "--user", "alice"), "There is no shared collection named Bord."),
        (("classify", "Bord", "public"), "There is no shared collection named Bord."),
        (("delete", "Bord", "--name", "Bord"), "There is no shared collection named Bord."),
        (("create", "BOARD"), "There is a collection named Board already."),
        (("create", " "), "A name has 1 to 200 printable characters."),
        (("create", "Plans", "--classification", "cosmic"), classes),
        (("create", "Plans", "--contribute"), unclear),
        (("create", "Plans", "--group", "Porters"), "There is no group named Porters."),
        (("rename", "Archive", "board"), "There is a collection named Board already."),
        (("open", "Board"), unclear),
        (("close", "Board"), unclear),
        (("open", "Board", "--user", "carol"), "There is no account named carol."),
        (("open", "Board", "--user", "alice", "--group", "Porters"), "There is no group named Porters."),
        (("open", "Board", "--user", officer.name), f"{officer.name} is no employee, and reads no documents."),
        (("close", "Board", "--user", "carol"), "There is no account named carol."),
        (("classify", "Board", "cosmic"), classes),
        (("delete", "Board", "--name", "Archive"), "Type Board to delete that collection."),
        (("rename", own, "Ours"), "You may not do this."),
        (("open", own, "--group", "everyone"), "You may not do this."),
        (("classify", own, "public"), "You may not do this."),
        (("delete", own, "--name", "My documents"), "You may not do this."),
    ):
        assert cloister(*words) == (1, "", f"cloister: {complaint}\n"), words
    assert appliance.collections.list_all(administrator) == before
    kept = cloister("close", board, "--user", "administrator", "--contribute")[1]
    assert kept.endswith("read: Everyone, administrator; contribute: nobody\n")


def test_only_an_administrator_opens_collections(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal, cloister: Cloister
) -> None:
    appliance.collections.create(administrator, "Board", readers=[f"principal:{alice.id}"])
    before = appliance.collections.list_all(administrator)
    assert cloister("open", "Board", "--user", "alice", by=officer.name) == (1, "", "cloister: You may not do this.\n")
    for words in (
        ("list",),
        ("create", "Mine"),
        ("rename", "Board", "Mine"),
        ("open", "Board", "--user", "alice", "--contribute"),
        ("close", "Board", "--group", "everyone"),
        ("classify", "Board", "public"),
        ("delete", "Board", "--name", "Board"),
        ("rename", "no collection of that name", "Mine"),
    ):
        assert cloister(*words, by="alice") == (1, "", "cloister: You may not do this.\n"), words
    assert appliance.collections.list_all(administrator) == before
    with appliance.database.read() as connection:
        refused = [record for record in search(connection, AuditFilter(), limit=80) if record.event == "access.denied"]
    assert len(refused) == 9


@pytest.mark.parametrize("words", [("delete", "Board"), ("classify", "Board"), ("delete", "Board", "--documents", "all")])
def test_words_that_mean_nothing_are_not_run(words: tuple[str, ...], appliance: Appliance, cloister: Cloister) -> None:
    with pytest.raises(SystemExit) as ended:
        cloister(*words)
    assert ended.value.code == 2


def test_collections_are_kept_from_the_shell(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal, cloister: Cloister
) -> None:
    porters = appliance.groups.create(administrator, "Porters", [bob.id]).id

    def line(name: str, classification: str, read: str, contribute: str) -> tuple[int, str, str]:
        return 0, f"{name:<24} {classification}; 0 documents; read: {read}; contribute: {contribute}\n", ""

    assert cloister("create", "Minutes") == line("Minutes", "internal", "nobody", "nobody")
    made = cloister("create", "Board", "--classification", "secret", "--user", "Alice", "--contribute")
    assert made == line("Board", "secret", "alice", "alice")
    assert cloister("open", "board", "--group", "porters", "--user", "bob") == line(
        "Board", "secret", "group Porters, alice, bob", "alice"
    )
    assert cloister("open", "Board", "--group", "everyone", "--group", "Porters", "--contribute") == line(
        "Board", "secret", "Everyone, group Porters, alice, bob", "Everyone, group Porters, alice"
    )
    assert cloister("close", "Board", "--group", "Everyone") == line(
        "Board", "secret", "group Porters, alice, bob", "group Porters, alice"
    )
    assert cloister("close", "Board", "--user", "alice", "--contribute") == line(
        "Board", "secret", "group Porters, alice, bob", "group Porters"
    )
    assert cloister("close", "Board", "--user", "bob", "--user", "alice")[0] == 0
    assert [item.name for item in appliance.collections.readable(alice)] == ["My documents"]
    with appliance.database.read() as connection:
        porter = load_principal(connection, bob.id)
    assert porter
    assert [item.name for item in appliance.collections.readable(porter)] == ["My documents", "Board"]
    assert cloister("rename", "Board", "Directors")[0] == 0
    code, said, _ = cloister("classify", "Directors", "confidential", "--json")
    told = json.loads(said)
    granted = [{"kind": "group", "id": porters, "name": "Porters"}]
    assert (code, told) == (
        0,
        {
            "id": told["id"],
            "name": "Directors",
            "personal": False,
            "owner": "",
            "readers": granted,
            "contributors": granted,
            "classification": "confidential",
            "document_count": 0,
            "days": None,
        },
    )
    with appliance.database.read() as connection:
        newest = next(item for item in search(connection, AuditFilter(), limit=9) if item.event == "collection.updated")
    assert (newest.actor_name, newest.facts["classified"]) == ("administrator", "lowered")


def test_documents_go_with_a_collection_where_their_number_was_agreed_to(
    appliance: Appliance, administrator: Principal, alice: Principal, cloister: Cloister
) -> None:
    board = appliance.collections.create(administrator, "Board", contributors=[f"principal:{alice.id}"])
    store_document(appliance, alice, "private-diary.txt", b"Nobody reads this.")
    for number in range(2):
        store_document(appliance, alice, f"{number}.txt", f"Minutes {number}".encode(), collection_id=board)
    appliance.people.update(administrator, administrator.id, roles={Role.ADMINISTRATOR})  # what they kept is out of reach
    code, said, _ = cloister("list")
    assert (code, said.splitlines()) == (
        0,
        [
            f"{'Board':<24} internal; 2 documents; read: nobody; contribute: alice",
            f"{'My documents':<24} personal, of alice",
        ],
    )
    counts = {item["owner"]: item["document_count"] for item in json.loads(cloister("list", "--json")[1])["collections"]}
    assert counts == {"": 2, "alice": 0, "administrator": 0}
    for agreed in ((), ("--documents", "1")):
        assert cloister("delete", "Board", "--name", "board", *agreed) == (
            1,
            "",
            "cloister: Board holds 2 documents, which are deleted with it only where you say so.\n",
        )
    assert [item.id for item in appliance.collections.list_all(administrator) if item.owner_id is None] == [board]
    deleted = cloister("delete", "Board", "--name", "board", "--documents", "2", "--json")
    assert (deleted[0], json.loads(deleted[1])) == (0, {"deleted": board})
    assert cloister("delete", "Board", "--name", "Board")[2] == "cloister: There is no shared collection named Board.\n"
