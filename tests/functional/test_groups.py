"""What a group opens and which model it tries out, over the web: members have it, nobody else, and only while they belong.

Database, policies, documents, index, search, versions and selection are real; the embedder knows words and models play back.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.bootstrap import Appliance
from appliance.chat.models import Message, MessageStatus
from appliance.chat.sink import SilentSink
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.models import CompletionRequest
from appliance.inference.pool import RuntimePool
from appliance.inference.routing import Router
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import SizeClass
from appliance.inference.stub import InsecureStubWarning, StubEmbedder, StubRuntime, stub_router
from appliance.storage import tables
from tests.unit.inference.gguf_samples import METADATA, gguf, write
from tests.web_clients import signed_in, store_document

pytestmark = pytest.mark.anyio

KEYS = "The night porter keeps the keys of building seven in a grey cabinet."
QUESTION = "Who keeps the keys of building seven?"
READING = [
    "/api/documents/{}",
    "/documents/{}",
    "/api/documents/{}/pages/1",
    "/api/documents/{}/content",
]


class Unnamed(StubEmbedder):
    """Of no file, as the index of a box without a model is."""

    sha256 = ""


class Scripted:
    """What every model says, and what happens just before."""

    def __init__(self) -> None:
        self.before = lambda: None

    def __call__(self, _: CompletionRequest) -> list[str]:
        self.before()
        return ["The night porter keeps the keys of building seven."]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def runtime(script: Scripted) -> StubRuntime:
    with pytest.warns(InsecureStubWarning):
        return StubRuntime(script)


@pytest.fixture
def box(appliance: Appliance, runtime: StubRuntime, monkeypatch: pytest.MonkeyPatch) -> Appliance:
    monkeypatch.setattr(appliance, "silence", replace(appliance.silence, threshold=4.0))  # the stand-in knows words alone
    with pytest.warns(InsecureStubWarning):
        embedder, router = Unnamed(), stub_router(runtime)
    appliance.__dict__.update(embedders=SimpleNamespace(serving=lambda: embedder), router=router)
    return appliance


@pytest.fixture
def versions(box: Appliance, administrator: Principal, runtime: StubRuntime, tmp_path: Path) -> None:
    """Two versions of one small model, the first of them active; both say the same."""
    for number in (1, 2):
        path = write(tmp_path / f"{number}.gguf", gguf(METADATA | {"llama.context_length": 4_096 + number}))
        made = box.model_importing.take_in(administrator, path, Order(name="harbour"))
        with box.database.write() as connection:
            change = {"size_class": SizeClass.SMALL.value, "memory_mb": 1, "context_tokens": 4_096}
            connection.execute(tables.model_versions.update().where(tables.model_versions.c.id == made.id).values(**change))
    box.model_administration.activate(administrator, "harbour@1")
    box.__dict__["router"] = Router(
        hardware=probe_hardware,
        offers=box.offers,
        policy=replace(box.routing, memory_headroom_mb=0),
        seal=box.seal,
        pool=RuntimePool(lambda *_: runtime),
    )


@pytest.fixture
def porters(box: Appliance, administrator: Principal, alice: Principal) -> str:
    return box.groups.create(administrator, "Porters", [alice.id]).id


@pytest.fixture
def document(box: Appliance, administrator: Principal, porters: str) -> str:
    """In a collection that is opened to the porters."""
    shared = box.collections.create(
        administrator, "Buildings", readers=[f"group:{porters}"], contributors=[f"principal:{administrator.id}"]
    )
    made = store_document(box, administrator, "keys.txt", KEYS.encode(), shared)
    box.documents.ingest(made, "test")
    return made


def now(box: Appliance, person: Principal) -> Principal:
    """As their next request finds them."""
    with box.database.read() as connection:
        found = load_principal(connection, person.id)
    assert found is not None
    return found


def asked(box: Appliance, person: Principal) -> Message:
    """The answer to the question in a new conversation, worked on as a worker does."""
    conversation = box.chat.create_conversation(person)
    _, answer = box.chat.ask(person, conversation.id, QUESTION)
    box.chat.answer(answer.id, SilentSink(), "test")
    return box.chat.message(person, answer.id)


async def test_what_is_opened_to_a_group_is_its_members_until_they_leave(
    box: Appliance, administrator: Principal, alice: Principal, bob: Principal, porters: str, document: str
) -> None:
    async with (
        signed_in(box, "alice") as member,
        signed_in(box, "bob") as other,
        signed_in(box, "administrator") as keeper,
    ):
        for path in READING:
            assert (await member.get(path.format(document))).status_code == 200, path
            assert (await other.get(path.format(document))).status_code == 404, path
        assert [item["name"] for item in (await member.get("/api/documents")).json()] == ["keys.txt"]
        assert (await other.get("/api/documents")).json() == []
        assert [hit.document_id for hit in box.search.search(now(box, alice), QUESTION, 3)] == [document]
        assert box.search.search(now(box, bob), QUESTION, 3) == []
        answer = asked(box, now(box, alice))
        assert [citation.document_id for citation in answer.citations] == [document]
        assert asked(box, now(box, bob)).citations == ()
        shown = (await member.get(f"/api/conversations/{answer.conversation_id}")).json()["messages"][-1]
        assert shown["citations"][0]["document_id"] == document

        members = f"/api/groups/{porters}/members"
        assert (await keeper.request("DELETE", members, json={"people": [alice.id]})).status_code == 204
        for path in READING:
            assert (await member.get(path.format(document))).status_code == 404, path
        assert (await member.get("/api/documents")).json() == []
        assert [item["personal"] for item in (await member.get("/api/collections")).json()] == [True]
        assert box.search.search(now(box, alice), QUESTION, 3) == []
        shown = (await member.get(f"/api/conversations/{answer.conversation_id}")).json()["messages"][-1]
        assert (shown["citations"][0]["document_id"], shown["citations"][0]["text"]) == (None, "")
        assert asked(box, now(box, alice)).citations == ()

        assert (await keeper.post(members, json={"people": [bob.id]})).status_code == 204
        for path in READING:
            assert (await other.get(path.format(document))).status_code == 200, path
        assert (await keeper.delete(f"/api/groups/{porters}")).status_code == 204
        for path in READING:
            assert (await other.get(path.format(document))).status_code == 404, path


def test_who_leaves_while_their_answer_is_written_gets_none(
    box: Appliance, administrator: Principal, alice: Principal, porters: str, document: str, script: Scripted
) -> None:
    script.before = lambda: box.groups.remove(administrator, porters, [alice.id])
    answer = asked(box, now(box, alice))
    assert (answer.status, answer.reason_code, answer.text) == (MessageStatus.FAILED, "answer.denied", "")


def test_what_stays_open_is_closed_with_the_membership(
    box: Appliance, administrator: Principal, alice: Principal, porters: str, document: str
) -> None:
    before = now(box, alice)  # who a stream of events was opened for
    answer = asked(box, before)
    current = box.documents.watch(before)
    assert [item.id for item in current()] == [document]
    box.groups.remove(administrator, porters, [alice.id])
    assert current() == []
    assert [citation.text for citation in box.chat.message(before, answer.id).citations] == [""]


@pytest.mark.usefixtures("versions")
def test_a_canary_of_a_group_answers_its_members_and_nobody_else(
    box: Appliance, administrator: Principal, alice: Principal, bob: Principal, porters: str, document: str
) -> None:
    shared = next(item.id for item in box.collections.list_all(administrator) if item.name == "Buildings")
    box.collections.update(administrator, shared, readers=["group:everyone"])
    box.model_administration.canary(administrator, "harbour@2", group=porters)

    def answered_by(person: Principal) -> str:
        answer = asked(box, now(box, person))
        assert answer.status is MessageStatus.DONE
        assert answer.selection is not None
        return answer.selection.model

    assert [answered_by(person) for person in (alice, bob, administrator)] == ["harbour@2", "harbour@1", "harbour@1"]
    box.groups.remove(administrator, porters, [alice.id])
    box.groups.add(administrator, porters, [bob.id])
    assert [answered_by(person) for person in (alice, bob)] == ["harbour@1", "harbour@2"]


@pytest.mark.usefixtures("versions")
async def test_a_group_stays_while_a_model_is_tried_out_on_it(box: Appliance, administrator: Principal, porters: str) -> None:
    async with signed_in(box, "administrator") as client:
        tried = await client.post("/api/models/harbour@2/canary", json={"group": porters})
        assert (tried.status_code, tried.json()["canary_group"]) == (200, porters)
        (listed,) = [group for group in (await client.get("/api/groups")).json() if group["id"] == porters]
        assert listed["models"] == ["harbour@2"]
        refused = (await client.delete(f"/api/groups/{porters}")).json()["error"]
        assert (refused["code"], refused["models"]) == ("group.canary", "harbour@2")
        assert "harbour@2 is tried out on Porters." in refused["message"]
        assert [group["id"] for group in (await client.get("/api/groups")).json()] == ["everyone", porters]
        await client.post("/api/models/harbour@2/canary", json={"percent": 5})
        assert (await client.delete(f"/api/groups/{porters}")).status_code == 204
        again = await client.post("/api/models/harbour@2/canary", json={"group": porters})
        assert (again.status_code, again.json()["error"]["code"]) == (400, "model.canary_group")


async def test_groups_are_kept_over_the_web(
    appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal
) -> None:
    async with signed_in(appliance, "administrator") as client:
        made = await client.post("/api/groups", json={"name": " Porters ", "people": [alice.id]})
        assert made.status_code == 201
        path = f"/api/groups/{made.json()['id']}"
        await client.post("/api/admin/collections", json={"name": "Board", "contributors": [f"group:{made.json()['id']}"]})
        for method, target, body, status, code in (
            ("POST", "/api/groups", {"name": "porters"}, 409, "group.name_taken"),
            ("POST", "/api/groups", {"name": ""}, 400, "group.name"),
            ("POST", "/api/groups", {"name": "Pilots", "id": "everyone"}, 400, None),
            ("POST", "/api/groups", {"name": "Pilots", "people": ["ghost"]}, 404, "person.not_found"),
            ("PATCH", "/api/groups/everyone", {"name": "Us"}, 409, "group.built_in"),
            ("PATCH", "/api/groups/ghost", {"name": "Us"}, 404, "group.not_found"),
            ("POST", f"{path}/members", {"people": []}, 400, "group.nobody"),
            ("DELETE", "/api/groups/everyone", None, 409, "group.built_in"),
        ):
            refused = await client.request(method, target, json=body)
            assert refused.status_code == status, (method, target, refused.text)
            assert code in {None, refused.json()["error"]["code"]}
        assert (await client.patch(path, json={"name": "Harbour porters"})).status_code == 204
        assert (await client.post(f"{path}/members", json={"people": [bob.id]})).status_code == 204
        appliance.people.update(administrator, bob.id, disabled=True)
        everyone, porters = (await client.get("/api/groups")).json()
        assert (everyone["built_in"], everyone["member_count"], everyone["members"]) == (True, 3, [])
        assert (porters["name"], porters["member_count"], porters["collections"]) == ("Harbour porters", 2, ["Board"])
        assert [(member["name"], member["disabled"]) for member in porters["members"]] == [("alice", False), ("bob", True)]
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == 404
