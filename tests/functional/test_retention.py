"""How long things stay, as the pages ask for it and as a person at a shell would."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import text

from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.identity.models import Principal
from appliance.retention.clock import RetentionClock
from appliance.retention.rules import GRACE_MS
from appliance.storage.clock import DAY_MS, now_ms
from tests.conftest import EVERYBODY
from tests.growing_old import Time, cared_for, finish
from tests.web_clients import signed_in, store_document

Cloister = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shared(appliance: Appliance, administrator: Principal, alice: Principal) -> str:
    made = appliance.collections.create(administrator, "Handbook", readers=EVERYBODY, contributors=EVERYBODY)
    store_document(appliance, alice, "rules.txt", b"The ferry is at sea.", made)
    return made


@pytest.fixture
def talked(appliance: Appliance, alice: Principal) -> str:
    conversation = appliance.chat.create_conversation(alice).id
    finish(appliance, appliance.chat.ask(alice, conversation, "Where is the ferry?")[1].id)
    return conversation


@pytest.fixture
def later(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten days after everything was made, by clocks that agree."""
    monkeypatch.setattr("appliance.bootstrap.administration.RetentionClock", _ten_days_on)
    clock = _ten_days_on(appliance.database, "boot")
    clock.care()
    monkeypatch.setattr(appliance.retention, "_clock", clock)


def _ten_days_on(database: object, boot_id: str) -> RetentionClock:
    return RetentionClock(database, "boot", lambda: now_ms() + 10 * DAY_MS)


@pytest.fixture
def cloister(appliance: Appliance, capsys: pytest.CaptureFixture[str]) -> Cloister:
    def ran(*words: str, by: str = "administrator") -> tuple[int, str, str]:
        code = main([*words, "--data", str(appliance.settings.data_dir), "--as", by])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


@pytest.mark.anyio
async def test_what_would_go_is_told_before_and_agreed_to(
    appliance: Appliance, administrator: Principal, alice: Principal, shared: str, talked: str, later: None
) -> None:
    of_collection = f"/api/admin/collections/{shared}/retention"
    async with signed_in(appliance, "administrator") as client:
        assert (await client.get("/api/retention")).json() == {
            "days": None,
            "days_before": None,
            "effective_ms": 0,
            "going": 0,
            "doubtful": False,
        }
        for path in ("/api/retention", of_collection):
            found = (await client.get(f"{path}/outlook?days=7")).json()
            assert (found["days"], found["days_before"], found["going"]) == (7, None, 1)
            assert (await client.get(f"{path}/outlook?days=99999")).json()["error"]["code"] == "retention.days"
            assert (await client.get(f"{path}/outlook?days=-1")).status_code == 400
            refused = await client.patch(path, json={"days": 7, "going": 0})
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "retention.more_would_go")
            assert (await client.patch(path, json={"days": 7})).status_code == 409
            changed = (await client.patch(path, json={"days": 7, "going": 1})).json()
            assert changed["effective_ms"] - GRACE_MS - 10 * DAY_MS == pytest.approx(now_ms(), abs=60_000)
        (listed,) = [item for item in (await client.get("/api/admin/collections")).json() if not item["personal"]]
        assert (listed["name"], listed["days"]) == ("Handbook", 7)


@pytest.mark.anyio
async def test_people_are_told_when_it_is_near(
    appliance: Appliance, administrator: Principal, alice: Principal, shared: str, talked: str
) -> None:
    async def told() -> tuple[list[int | None], int | None]:
        async with signed_in(appliance, "alice") as client:
            (document,) = (await client.get("/api/documents")).json()
            (listed,) = (await client.get("/api/conversations")).json()["conversations"]
            shown = (await client.get(f"/api/conversations/{talked}")).json()["conversation"]
            same = (await client.get(f"/api/documents/{document['id']}")).json()
            assert same["end_ms"] == document["end_ms"]
            found = [item["days"] for item in (await client.get("/api/collections")).json() if item["id"] == shared]
            ends = [each["end_ms"] and each["end_ms"] - each[since] for each, since in
                    ((document, "uploaded_ms"), (listed, "updated_ms"), (shown, "updated_ms"))]  # fmt: skip
            return ends, found[0]

    assert await told() == ([None] * 3, None)
    appliance.retention.change(administrator, 31, going=0)
    appliance.retention.change(administrator, 31, going=0, collection_id=shared)
    assert await told() == ([None] * 3, 31)
    appliance.retention.change(administrator, 20, going=0)
    appliance.retention.change(administrator, 20, going=0, collection_id=shared)
    assert await told() == ([20 * DAY_MS] * 3, 20)


def test_a_shell_is_told_first_and_does_it_where_the_number_is_said(
    appliance: Appliance, administrator: Principal, alice: Principal, shared: str, talked: str, later: None, cloister: Cloister
) -> None:
    for words in (("retention", "show"), ("retention", "set", "7"), ("collections", "keep", "Handbook", "7")):
        code, said, complaint = cloister(*words, by="alice")
        assert (code, said) == (1, "")
        assert "You may not do this." in complaint
    assert cloister("collections", "keep", "Handbok", "7")[2] == "cloister: There is no shared collection named Handbok.\n"
    assert "A number of days from 1 to 36,500" in cloister("retention", "set", "40000")[2]
    assert cloister("retention", "show")[1] == "Conversations stay until somebody deletes them.\n"
    for words, flag, noun, since in (
        (("retention", "set"), "--conversations", "conversation", "their last message"),
        (("collections", "keep", "Handbook"), "--documents", "document", "their upload"),
    ):
        code, said, _ = cloister(*words, "7")
        assert code == 1
        assert f"1 {noun} of now would go by that number" in said
        assert f"repeat this command with {flag} 1" in said
        code, said, _ = cloister(*words, "7", "--json")
        assert (code, json.loads(said)["changed"], json.loads(said)["going"]) == (1, False, 1)
        assert f"1 {noun} would go by that number, which is done only where you say so." in cloister(*words, "7", flag, "0")[2]
        code, said, _ = cloister(*words, "7", flag, "1")
        assert code == 0
        assert f"{noun.capitalize()}s are removed 7 days after {since}." in said
        assert "until then nothing is removed." in said
        assert "Backups" in said
    assert json.loads(cloister("retention", "show", "--json")[1])["days"] == 7
    assert "; documents stay 7 days" in cloister("collections", "list")[1]
    code, said, _ = cloister("collections", "keep", "Handbook", "0")
    assert (code, said) == (0, "Documents stay until somebody deletes them.\n")
    assert cloister("retention", "set", "9")[0] == 1  # shorter than none, which holds until tomorrow


def test_an_officer_finds_what_went_and_why(
    appliance: Appliance, administrator: Principal, officer: Principal, alice: Principal, shared: str, talked: str, cloister: Cloister
) -> None:  # fmt: skip
    appliance.retention.change(administrator, 30, going=0)
    appliance.retention.change(administrator, 1, going=0, collection_id=shared)
    Time(appliance).passes(31)
    (document,) = appliance.documents.list(alice)
    assert cared_for(appliance) == (1, 1)
    for event, about, days in (("conversation.deleted", talked, "30 days"), ("document.deleted", document.id, "1 day")):
        code, said, _ = cloister("audit", "search", "--event", event, by="officer")
        assert code == 0
        assert about in said
        assert " system " in said
        assert said.endswith(f"(retention, {days})\n")
    assert talked in cloister("audit", "search", "--who", "alice", "--event", "conversation.deleted", by="officer")[1]


def test_a_clock_that_is_not_believed_is_told_of(appliance: Appliance, administrator: Principal, cloister: Cloister) -> None:
    with appliance.database.write() as connection:
        appliance.retention_clock.look(connection)
        connection.execute(text("UPDATE retention_clock SET believed_ms = believed_ms - :days"), {"days": 3 * DAY_MS})
    code, said, _ = cloister("retention", "show")
    assert code == 0
    assert said.splitlines()[1].startswith("The clock went ahead by more than a day")
    assert json.loads(cloister("retention", "show", "--json")[1])["doubtful"] is True
