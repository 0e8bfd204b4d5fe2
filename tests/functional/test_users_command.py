"""`cloister users`, as a person at a shell would use it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.errors import ApplianceError, NotSignedIn
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal
from tests.factor_samples import StillClock, enrol
from tests.web_clients import store_document

PASSWORD = "a long enough passphrase"
ANOTHER = "another long passphrase"

Cloister = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cloister(appliance: Appliance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cloister:
    def ran(*words: str, by: str = "administrator", typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = main(["users", *words, "--data", str(appliance.settings.data_dir), "--as", by])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


def test_what_the_page_refuses_is_refused(
    appliance: Appliance, administrator: Principal, alice: Principal, cloister: Cloister
) -> None:
    given = "--password-stdin"
    both = "Nobody may be compliance officer and administrator at once."
    before = appliance.people.list(administrator)
    for words, typed, complaint in (
        (("roles", "carol", "--role", "employee"), "", "There is no account named carol."),
        (("password", "carol", given), ANOTHER, "There is no account named carol."),
        (("disable", "carol"), "", "There is no account named carol."),
        (("enable", "carol"), "", "There is no account named carol."),
        (("delete", "carol"), "", "There is no account named carol."),
        (("remove-factor", "carol"), "", "There is no account named carol."),
        (("remove-factor", "alice"), "", "There is no second factor here."),
        (("let-in", "alice"), "", "No identity provider is set up here (policies/identity.toml)."),
        (("unlink", "alice"), "", "alice does not come in through a provider."),
        (("delete", "alice"), "", "alice can still sign in. Disable the account first, then delete it."),
        (("delete", "alice", "--documents", "0"), "", "alice can still sign in. Disable the account first, then delete it."),
        (("delete", "Administrator"), "", "Nobody deletes their own account; another administrator does."),
        (("add", "ALICE", given), PASSWORD, "Somebody has that name already."),
        (("add", " ", given), PASSWORD, "A name has 1 to 200 printable characters."),
        (("add", "carol", given), "short", "A password needs at least 12 characters."),
        (("add", "carol", given), "", "A password needs at least 12 characters."),
        (("password", "alice", given), "short", "A password needs at least 12 characters."),
        (("add", "carol", given, "--role", "officer", "--role", "administrator"), PASSWORD, both),
        (("roles", "alice", "--role", "officer", "--role", "administrator"), "", both),
        (("roles", "administrator", "--role", "employee"), "", "The last administrator must stay one."),
        (("disable", "Administrator"), "", "Nobody disables their own account; another administrator does."),
        (
            ("add", "carol"),
            PASSWORD,
            "There is no terminal to type a password at; hand it over with --password-stdin.",
        ),
    ):
        assert cloister(*words, typed=typed) == (1, "", f"cloister: {complaint}\n"), words
    assert appliance.people.list(administrator) == before
    assert appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7")


def test_only_an_administrator_keeps_accounts(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal, cloister: Cloister
) -> None:
    before = appliance.people.list(administrator)
    for who in ("alice", officer.name):
        for words in (
            ("list",),
            ("add", "accomplice", "--password-stdin", "--role", "administrator"),
            ("roles", who, "--role", "administrator"),
            ("password", "administrator", "--password-stdin"),
            ("disable", "administrator"),
            ("enable", "nobody of that name"),
            ("remove-factor", "alice"),
            ("delete", "administrator", "--conversations", "0", "--documents", "0"),
            ("keys", "administrator"),
            ("end-keys", "administrator"),
        ):
            assert cloister(*words, by=who, typed=ANOTHER) == (1, "", "cloister: You may not do this.\n"), (who, words)
    assert appliance.people.list(administrator) == before
    with appliance.database.read() as connection:
        refused = [record for record in search(connection, AuditFilter(), limit=50) if record.event == "access.denied"]
    assert len(refused) == 20


@pytest.mark.parametrize("words", [("roles", "alice"), ("add", "carol", "--role", "master"), ("password",)])
def test_words_that_mean_nothing_are_not_run(words: tuple[str, ...], appliance: Appliance, cloister: Cloister) -> None:
    with pytest.raises(SystemExit) as ended:
        cloister(*words)
    assert ended.value.code == 2


def test_accounts_are_kept_from_the_shell(appliance: Appliance, administrator: Principal, cloister: Cloister) -> None:
    code, said, _ = cloister("add", " Carol ", "--password-stdin", "--json", typed=f"{PASSWORD}\n")
    made = json.loads(said)
    assert (code, made) == (0, {"id": made["id"], "name": "Carol", "roles": ["employee"], "disabled": False})
    assert cloister("add", "dave", "--role", "administrator", "--password-stdin", typed=PASSWORD)[1] == "dave can sign in now.\n"

    token = appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7")
    roles = cloister("roles", "CAROL", "--role", "officer", "--role", "employee")
    assert roles == (0, "Roles of Carol: employee, officer.\n", "")
    assert appliance.sessions.principal(token) is None
    token = appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7")
    renewed = cloister("password", "carol", "--password-stdin", typed=f"{ANOTHER}\n")
    assert renewed == (0, "Carol was signed out everywhere and has a new password. API keys of theirs have ended.\n", "")
    assert appliance.sessions.principal(token) is None

    token = appliance.sessions.sign_in("carol", ANOTHER, "192.0.2.7")
    assert cloister("disable", "carol")[1] == "Carol is disabled and was signed out everywhere. API keys of theirs have ended.\n"
    assert appliance.sessions.principal(token) is None
    with pytest.raises(ApplianceError):
        appliance.sessions.sign_in("carol", ANOTHER, "192.0.2.7")
    lines = cloister("list")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["administrator", "Carol", "dave"]
    assert lines[0].endswith(" (you)")
    assert lines[1].startswith(f"{'Carol':<24} employee, officer; since 20")
    assert lines[1].endswith("; disabled")
    assert cloister("enable", "carol")[1] == "Carol can sign in again.\n"
    assert appliance.sessions.sign_in("carol", ANOTHER, "192.0.2.7")

    # another administrator may be taken out by one who stays
    assert cloister("disable", "administrator", by="dave")[0] == 0
    assert cloister("list")[2] == "cloister: There is no account named administrator, or it is disabled.\n"
    listed = json.loads(cloister("list", "--json", by="dave")[1])["users"]
    assert [(each["name"], each["disabled"]) for each in listed] == [("administrator", True), ("Carol", False), ("dave", False)]
    with appliance.database.read() as connection:
        records = [record for record in search(connection, AuditFilter(), limit=50) if record.event.startswith("person.")]
    told = [(record.actor_name, dict(record.facts)) for record in records if record.event != "person.listed"]
    assert told[:7] == [
        ("dave", {"disabled": "yes"}),
        ("administrator", {"disabled": "no"}),
        ("administrator", {"disabled": "yes"}),
        ("administrator", {"changed": "password"}),
        ("administrator", {"roles_before": "employee", "roles": "employee,officer"}),
        ("administrator", {"roles": "administrator"}),
        ("administrator", {"roles": "employee"}),
    ]


def test_api_keys_are_listed_and_ended(
    appliance: Appliance, administrator: Principal, alice: Principal, cloister: Cloister
) -> None:
    assert cloister("keys", "alice") == (0, "alice has no API key.\n", "")
    nothing = (1, "", "cloister: There is no such API key, or it has ended.\n")
    assert cloister("end-keys", "alice") == nothing
    made = [appliance.api_keys.create(alice, PASSWORD, name, [KeyScope.ASK], 30) for name in ("Import", "Nightly")]
    appliance.api_keys.admit(made[0][1], "192.0.2.7")
    lines = cloister("keys", "ALICE")[1].splitlines()
    assert sorted(line.split("; ends ")[0] for line in lines) == sorted(f"{key.id}  {key.name}; ask" for key, _ in made)
    assert sorted(line.rpartition("; ")[2][:10] for line in lines) == ["last used ", "never used"]
    listed = json.loads(cloister("keys", "alice", "--json")[1])["keys"]
    assert {each["id"]: each["scopes"] for each in listed} == {key.id: ["ask"] for key, _ in made}
    assert not any(text[-64:] in line for _, text in made for line in [*lines, json.dumps(listed)])
    assert cloister("end-keys", "alice", "--key", "unknown") == nothing
    assert cloister("end-keys", "alice", "--key", made[0][0].id) == (0, "1 API key of alice ended.\n", "")
    assert [key.id for key in appliance.api_keys.list(alice)] == [made[1][0].id]
    assert json.loads(cloister("end-keys", "alice", "--json")[1]) == {"ended": 1}
    assert appliance.api_keys.list(alice) == []


def test_who_left_is_deleted_where_the_numbers_are_said(
    appliance: Appliance, administrator: Principal, alice: Principal, cloister: Cloister
) -> None:
    conversations = [appliance.chat.create_conversation(alice).id for _ in range(2)]
    store_document(appliance, alice, "diary.txt", b"Dear diary.")
    everybody = frozenset({"group:everyone"})
    handbook = appliance.collections.create(administrator, "Handbook", readers=everybody, contributors=everybody)
    store_document(appliance, alice, "rules.txt", b"No ball games.", handbook)
    cloister("disable", "alice")

    code, said, complaint = cloister("delete", "Alice")
    assert (code, complaint) == (1, "")
    assert said.splitlines() == [
        "alice has 2 conversations and 1 document of their own; they go with the account, its groups and grants, for good.",
        "What stays:",
        "- 1 document that alice put into shared collections",
        "- questions that they showed to administrators and that were taken into golden sets, if any",
        "- backups made until now, copies that upgrades keep for 30 days, and what was exported of the audit log",
        "- what they wrote and were called, sealed in the audit log, until an officer erases it",
        "Nothing is deleted yet. To delete the account, repeat this command with --conversations 2 --documents 1",
    ]
    code, said, _ = cloister("delete", "alice", "--json")
    assert (code, json.loads(said)) == (1, {"deleted": None, "conversations": 2, "documents": 1, "shared_documents": 1})
    differing = (
        "cloister: alice has 2 conversations and 1 document of their own, "
        "which are deleted with the account only where you say so.\n"
    )
    for words in (("--conversations", "2"), ("--documents", "1"), ("--conversations", "0", "--documents", "0")):
        assert cloister("delete", "alice", *words) == (1, "", differing), words
    assert len(cloister("list")[1].splitlines()) == 2

    code, said, complaint = cloister("delete", "alice", "--conversations", "2", "--documents", "1")
    assert (code, complaint) == (0, "")
    assert said.startswith(
        "alice was deleted with 2 conversations and 1 document of their own.\nWhat stays:\n- 1 document that alice"
    )
    assert cloister("delete", "alice")[2] == "cloister: There is no account named alice.\n"
    assert [line.split()[0] for line in cloister("list")[1].splitlines()] == ["administrator"]
    assert [item.name for item in appliance.documents.list(administrator)] == ["rules.txt"]
    assert appliance.conversation_clearing.run(lambda _: None) == len(conversations)


def test_the_only_administrator_whose_phone_is_lost_comes_in_again(
    appliance: Appliance, administrator: Principal, cloister: Cloister
) -> None:
    clock = StillClock().of(appliance)
    enrol(appliance, administrator, clock)
    listed = cloister("list", "--json")
    assert [user["second_factor"] for user in json.loads(listed[1])["users"]] == [True]
    assert "; second factor (you)" in cloister("list")[1]
    with pytest.raises(NotSignedIn):
        appliance.sessions.sign_in("administrator", PASSWORD, "192.0.2.7")
    told = "administrator was signed out everywhere and signs in with the password alone now.\n"
    assert cloister("remove-factor", "Administrator") == (0, told, "")
    assert appliance.sessions.sign_in("administrator", PASSWORD, "192.0.2.7")
    with appliance.database.read() as connection:
        removed = [record for record in search(connection, AuditFilter(), limit=50) if record.event == "factor.removed"]
    assert [record.actor_pseudonym for record in removed] == [administrator.pseudonym]
