"""Documents over HTTP: real database, blobs, parsing children and embedder; only the worker is called by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.settings import Settings
from tests.documents_samples import HARBOUR, pdf
from tests.web_clients import RecordedQueue, own_collection, signed_in, store_document

pytestmark = [pytest.mark.anyio, pytest.mark.models]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(data_dir) -> Settings:
    return Settings(data_dir=data_dir, upload_limit_mb=1)


async def in_pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def drafts(appliance: Appliance) -> list:
    return list((appliance.settings.blobs_dir / "drafts").glob("*"))


async def test_a_file_that_announces_too_much_is_refused_before_a_byte_is_stored(appliance: Appliance, alice: Principal) -> None:
    async with signed_in(appliance, "alice") as client:
        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name=big.txt"
        answer = await client.post(path, content=b"x" * 1_000_001)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "document.too_large"
    assert "1 MB" in answer.json()["error"]["message"]
    assert drafts(appliance) == []
    assert appliance.documents.list(alice) == []


async def test_a_file_that_hides_its_length_is_stopped_at_the_limit(appliance: Appliance, alice: Principal) -> None:
    async with signed_in(appliance, "alice") as client:
        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name=big.txt"
        answer = await client.post(path, content=in_pieces(b"x" * 1_500_000))
    assert answer.status_code == 413
    assert drafts(appliance) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("notes.exe", b"MZ", "document.unsupported"),
        ("empty.txt", b"", "document.empty"),
        ("letter.pdf", b"hello", "document.mislabelled"),
    ],
)
async def test_what_cannot_become_a_document_is_refused_with_a_sentence(appliance, alice, name, content, code) -> None:
    async with signed_in(appliance, "alice") as client:
        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name={name}"
        answer = await client.post(path, content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert answer.json()["error"]["message"].endswith(".")
    assert drafts(appliance) == []


async def test_an_upload_without_the_pages_own_token_is_refused(appliance: Appliance, alice: Principal) -> None:
    async with signed_in(appliance, "alice") as client:
        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name=a.txt"
        answer = await client.post(path, content=b"words", headers={"X-CSRF-Token": "0" * 64})
    assert answer.status_code == 403
    assert appliance.documents.list(alice) == []


async def test_who_signs_out_while_sending_has_sent_nothing(appliance: Appliance, alice: Principal) -> None:
    async with signed_in(appliance, "alice") as client:

        async def until_signed_out() -> AsyncIterator[bytes]:
            yield b"The first half."
            await asyncio.to_thread(appliance.sessions.sign_out, client.cookies["cloister"])
            yield b"The second half."

        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name=a.txt"
        answer = await client.post(path, content=until_signed_out())
    assert answer.status_code == 401
    assert appliance.documents.list(alice) == []
    assert drafts(appliance) == []


async def test_an_upload_is_stored_enqueued_read_and_shown(appliance_with_models: Appliance, alice: Principal) -> None:
    appliance, queue, content = appliance_with_models, RecordedQueue(), pdf()
    async with signed_in(appliance, "alice", queue) as client:
        path = f"/api/collections/{own_collection(appliance, alice)}/documents?name=harbour.pdf"
        first = await client.post(path, content=in_pieces(content, 1_000))
        again = await client.post(path, content=content)
        assert (first.status_code, again.status_code) == (201, 201)
        document = first.json()["document"]
        assert document["status"] == "PENDING"
        assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
        assert again.json()["document"]["id"] == document["id"]
        assert queue.ids == [document["id"]]

        await asyncio.to_thread(appliance.documents.ingest, document["id"], "test")
        listed = (await client.get("/api/documents")).json()
        assert [(item["name"], item["status"], item["page_count"] > 0) for item in listed] == [("harbour.pdf", "READY", True)]

        base = f"/api/documents/{document['id']}"
        page = (await client.get(f"{base}/pages/1")).json()
        assert HARBOUR.split()[0] in page["text"]
        image = await client.get(f"{base}/pages/1/image")
        assert image.headers["content-type"] == "image/png"
        assert image.content.startswith(b"\x89PNG")
        start = page["start"] + page["text"].index(HARBOUR.split()[0])
        marks = (await client.get(f"{base}/pages/1/highlights?start={start}&end={start + 5}")).json()["rectangles"]
        assert len(marks) == 1
        left, top, right, bottom = marks[0]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        for number in ("0", "99", str(2**63), "9" * 30):
            assert (await client.get(f"{base}/pages/{number}")).status_code == 404
        assert "viewer.js" in (await client.get(f"/documents/{document['id']}?page=1")).text
        assert (await client.post(f"{base}/retry")).status_code == 409
        assert (await client.delete(base)).status_code == 204
        assert (await client.get(base)).status_code == 404


async def test_a_download_is_saved_under_its_own_name_and_never_opened(appliance: Appliance, alice: Principal) -> None:
    document_id = store_document(
        appliance, alice, 'Überblick "2026".html', b"<html><body><script>alert(1)</script>words</body></html>"
    )
    async with signed_in(appliance, "alice") as client:
        answer = await client.get(f"/api/documents/{document_id}/content")
    assert answer.content.startswith(b"<html>")
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith(
        "attachment; filename=\"Uberblick _2026_.html\"; filename*=UTF-8''%C3%9Cberblick%20%222026%22.html"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_progress_tells_all_once_and_then_only_what_changed(appliance_with_models: Appliance, alice: Principal) -> None:
    appliance = appliance_with_models
    document_id = store_document(appliance, alice, "a.txt", HARBOUR.encode())
    async with signed_in(appliance, "alice") as client:
        watching = asyncio.create_task(client.get("/api/documents/events"))
        await asyncio.sleep(1)
        await asyncio.to_thread(appliance.documents.ingest, document_id, "test")
        await asyncio.sleep(1)
        client.app.state.closing.set()
        answer = await asyncio.wait_for(watching, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert (told[0]["complete"], [item["status"] for item in told[0]["changed"]]) == (True, ["PENDING"])
    assert not any(change["complete"] for change in told[1:])
    assert told[-1]["changed"][0]["status"] == "READY"
    assert sum(record.event == "document.listed" for record in _all_records(appliance)) == 1


def _all_records(appliance: Appliance) -> list:
    from appliance.audit.store import AuditFilter, following

    with appliance.database.read() as connection:
        return following(connection, AuditFilter())
