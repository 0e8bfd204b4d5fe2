"""How the model of an answer was chosen: for officers, on record, and without a word of anybody."""

from __future__ import annotations

import pytest

from appliance.audit.store import AuditFilter, search
from appliance.chat.citations import CheckedAnswer
from appliance.chat.claims import claim_answer, finish
from appliance.chat.models import MessageStatus
from appliance.chat.records import answer_ended
from appliance.chat.work import Work
from appliance.inference.models import FinishReason, Usage
from appliance.inference.selection.records import SelectionRecord

pytestmark = pytest.mark.anyio

RECORD = SelectionRecord(
    "internal", model="reed@1", runtime="llamacpp", device="cuda:0", used="cpu", reason="preferred", lost={"oak@2 genai": "memory_short"}, policy="ab12"
)  # fmt: skip


@pytest.fixture
def exchange(appliance, alice):
    """The ids of a question of alice's and of its answer."""
    question, answer = appliance.chat.ask(alice, appliance.chat.create_conversation(alice).id, "Where is the spare key?")
    with appliance.database.write() as connection:
        claim = claim_answer(connection, answer.id, "w1")
        work = Work(claim)
        work.selection, work.usage = RECORD, Usage(prompt_tokens=500, completion_tokens=12, cached_tokens=380)
        ending = work.ended(MessageStatus.DONE, CheckedAnswer("Under the red flowerpot."), FinishReason.STOP)
        assert finish(connection, claim, ending)
        appliance.audit.append(connection, answer_ended(claim, alice, ending, None))
    return question.id, answer.id


def looks(appliance) -> list:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(event="audit.read"), limit=5)


@pytest.mark.parametrize("name", ["alice", "bob", "administrator"])
async def test_who_may_not_read_the_log_learns_not_even_whether_it_exists(
    signed_in, appliance, administrator, alice, bob, exchange, name
):
    async with signed_in(name) as client:
        for message_id in (exchange[1], "0000"):
            assert (await client.get(f"/api/audit/answers/{message_id}")).status_code == 403
    assert looks(appliance) == []


async def test_what_is_no_answer_is_not_found(signed_in, appliance, officer, exchange):
    async with signed_in("officer") as client:
        for message_id in ("0000", exchange[0]):
            response = await client.get(f"/api/audit/answers/{message_id}")
            assert (response.status_code, response.json()["error"]["code"]) == (404, "audit.no_answer")
    assert [(str(look.outcome), look.resources) for look in looks(appliance)] == [("failure", ())] * 2


async def test_an_officer_reads_it_without_a_word_of_it_and_that_is_on_record(signed_in, appliance, officer, exchange):
    async with signed_in("officer") as client:
        event = (await client.get("/api/audit?event=answer.released")).json()["records"][0]
        (answer_id,) = [about["id"] for about in event["resources"] if about["kind"] == "message"]
        response = await client.get(f"/api/audit/answers/{answer_id}")
    found = response.json()
    assert (found["selection"]["model"], found["selection"]["lost"]) == ("reed@1", {"oak@2 genai": "memory_short"})
    assert (found["selection"]["device"], found["selection"]["used"]) == ("cuda:0", "cpu")
    assert (found["prompt_tokens"], found["cached_tokens"], found["completion_tokens"]) == (500, 380, 12)
    assert "total_ms" in found["timing"]
    assert "flowerpot" not in response.text
    assert "key" not in response.text
    newest = looks(appliance)[0]
    assert (newest.facts, newest.resources) == ({"shown": "selection"}, (("message", answer_id),))
    assert '"cached_tokens":380' in event["body"]


async def test_the_person_sees_what_answered_and_not_what_else_there_was(signed_in, appliance, alice, exchange):
    async with signed_in("alice") as client:
        (listed,) = (await client.get("/api/conversations")).json()["conversations"]
        _, answer = (await client.get(f"/api/conversations/{listed['id']}")).json()["messages"]
    assert (answer["runtime"], answer["device"], answer["cached_tokens"]) == ("llamacpp", "cpu", 380)
    assert "selection" not in answer
