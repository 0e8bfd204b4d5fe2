"""The officer's routes: filters, pages of records, disclosure, exports; each of them recorded."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from appliance.audit.checkpoints import Occasion
from appliance.audit.older import load_older
from appliance.audit.verification import verify
from appliance.bootstrap import Appliance
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal
from tests.conftest import PASSWORD
from tests.web_clients import signed_in, store_document

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_export_of_an_unknown_format_is_refused(appliance: Appliance, officer: Principal) -> None:
    async with signed_in(appliance, "officer") as client:
        answer = await client.get("/api/audit/export?format=xml")
        unknown = await client.get("/api/audit?event=nothing.happened")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "audit.format")
    assert unknown.status_code == 400


async def test_records_are_found_by_document_person_event_time_and_outcome(
    appliance: Appliance, alice: Principal, bob: Principal, officer: Principal
) -> None:
    document = store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")
    appliance.documents.get(alice, document)
    async with signed_in(appliance, "bob") as client:
        assert (await client.get(f"/api/documents/{document}")).status_code == 404
    async with signed_in(appliance, "officer") as client:

        async def events(query: str) -> list[str]:
            return [record["event"] for record in (await client.get(f"/api/audit?{query}")).json()["records"]]

        # newest first; that bob asked in vain names the collection, not the document he may not know of
        assert (await events(f"document_id={document}"))[-2:] == ["document.read", "document.uploaded"]
        assert set(await events(f"person={bob.pseudonym}")) >= {"session.created", "access.denied", "person.created"}
        assert await events("event=document.uploaded") == ["document.uploaded"]
        assert await events("until_ms=1000") == []
        assert set(await events("outcome=failure")) == {"access.denied"}
        everything = (await client.get("/api/audit")).json()
        assert [record["seq"] for record in everything["records"]] == sorted(
            (r["seq"] for r in everything["records"]), reverse=True
        )
        last = everything["records"][-1]
        older = (await client.get(f"/api/audit?before_seq={last['seq'] + 1}")).json()["records"]
        assert older[0]["seq"] == last["seq"]
        record = everything["records"][0]
        assert hashlib.sha256(b"\x00" + record["body"].encode()).hexdigest() == record["leaf_hash"]


async def test_a_sealed_name_is_disclosed_only_on_purpose_and_recorded(
    appliance: Appliance, alice: Principal, officer: Principal
) -> None:
    store_document(appliance, alice, "salaries-2026.txt", b"Salaries of everybody.")
    async with signed_in(appliance, "officer") as client:
        found = await client.get("/api/audit?event=document.uploaded")
        assert "salaries" not in found.text
        record = found.json()["records"][0]
        assert record["sealed_fields"] == ["name"]
        disclosed = await client.post(f"/api/audit/{record['seq']}/disclose")
        assert disclosed.json() == {"name": "salaries-2026.txt"}
        newest = (await client.get("/api/audit?event=audit.disclosed")).json()["records"][0]
        assert json.loads(newest["body"])["facts"] == {"disclosed": "name"}


async def test_what_was_done_by_a_key_is_found_by_it(appliance: Appliance, alice: Principal, officer: Principal) -> None:
    key, told = appliance.api_keys.create(alice, PASSWORD, "Import", KeyScope)
    async with signed_in(appliance) as client:
        assert (await client.get("/api/conversations", headers={"Authorization": f"Bearer {told}"})).status_code == 200
        assert (await client.get("/api/people", headers={"Authorization": f"Bearer {told}"})).status_code == 403
    appliance.chat.conversations(alice)
    async with signed_in(appliance, "officer") as client:
        assert (await client.get(f"/api/audit?key_id={key.id}&document_id=x")).json()["error"]["code"] == "audit.filter"
        found = (await client.get(f"/api/audit?key_id={key.id}")).json()["records"]
        assert [record["event"] for record in found] == ["access.denied", "conversation.listed", "key.created"]
        assert told[-64:] not in json.dumps(found)


async def test_exports_hold_exactly_the_filtered_records_and_are_recorded(
    appliance: Appliance, alice: Principal, officer: Principal
) -> None:
    document = store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")
    async with signed_in(appliance, "officer") as client:
        answer = await client.get(f"/api/audit/export?format=csv&document_id={document}")
        assert answer.headers["content-disposition"].startswith('attachment; filename="audit-')
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["event"] for row in rows] == ["document.uploaded"]
        lines = (await client.get("/api/audit/export?format=jsonl")).text.splitlines()
        records = [json.loads(line) for line in lines]
        # gapless up to the moment of asking: the export of the CSV file is among them, this one follows
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
        assert [record["event"] for record in records].count("audit.exported") == 1


async def test_a_bundle_from_the_page_verifies_without_the_box(
    appliance: Appliance, alice: Principal, officer: Principal, tmp_path: Path
) -> None:
    document = store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")
    key = appliance.checkpoints.verifier
    async with signed_in(appliance, "officer") as client:
        empty = (await client.get("/audit")).text
        assert "Nothing is signed yet" in empty
        assert str(key) in html.unescape(empty)
        first, second = tmp_path / "first", tmp_path / "second"
        answer = await client.get("/api/audit/export?format=checkpoint")
        assert answer.headers["content-disposition"].split('"')[1].endswith(".checkpoint.jsonl")
        first.write_bytes(answer.content)
        size = verify(first, key).checkpoint.size
        assert f'<dd id="signed-size">{size}</dd>' in (await client.get("/audit")).text
        answer = await client.get(f"/api/audit/export?format=bundle&document_id={document}&since={size}")
        assert answer.headers["content-disposition"].split('"')[1].endswith(".bundle.jsonl")
        second.write_bytes(answer.content)
        verdict = verify(second, None, load_older(first))
        assert (verdict.matching, verdict.grown_from) == (1, size)
        for wrong in ("0", "-1", "100000", str(2**60), "x"):
            assert (await client.get(f"/api/audit/export?format=checkpoint&since={wrong}")).status_code == 400


async def test_a_checkpoint_that_was_altered_is_said_on_the_page_and_hides_nothing(
    appliance: Appliance, officer: Principal
) -> None:
    appliance.checkpoints.sign(Occasion.START)
    with appliance.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_checkpoints_no_update"))
        connection.execute(text("UPDATE audit_checkpoints SET note = replace(note, 'cloister', 'cl0ister')"))
    async with signed_in(appliance, "officer") as client:
        answer = await client.get("/audit")
        assert (answer.status_code, "The last checkpoint was altered" in answer.text) == (200, True)
        assert (await client.get("/api/audit")).json()["records"]
        assert (await client.get("/api/audit/export?format=bundle")).status_code == 503
        assert (await client.get("/api/audit/export?format=csv")).status_code == 200


async def test_a_box_that_stopped_signing_is_told_of_on_the_page(
    appliance: Appliance, officer: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = appliance.checkpoints.sign(Occasion.HOUR)
    async with signed_in(appliance, "officer") as client:
        for hours, told in ((1, False), (3, True)):
            monkeypatch.setattr("web.controllers.audit.now_ms", lambda hours=hours: signed.time_ms + hours * 3_600_000)
            assert ("has not signed its log" in (await client.get("/audit")).text) is told
