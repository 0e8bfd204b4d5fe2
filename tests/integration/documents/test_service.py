from __future__ import annotations

import json
import os
import subprocess
import threading
import time

import pytest
from sqlalchemy import select, text, update

from appliance.documents import claims, watch
from appliance.documents import service as documents_service
from appliance.documents.models import DocumentStatus
from appliance.errors import Conflict, Denied, DocumentRejected, NotFound, NotSignedIn, Unavailable
from appliance.storage.tables import audit_events, chunks, documents, pages
from tests.documents_samples import HARBOUR, KETTLE, SAMPLES, pdf

# refusals ------------------------------------------------------------------------------------------------------------


def test_nobody_but_its_owner_can_put_anything_into_a_persons_collection(service, bob, administrator, alices):
    for person in (bob, administrator):
        with pytest.raises((NotFound, Denied)):
            service.begin_upload(person, alices, "a.txt")


@pytest.mark.parametrize(
    "act",
    [
        lambda service, person, id_: service.get(person, id_),
        lambda service, person, id_: service.page(person, id_, 1),
        lambda service, person, id_: service.page_image(person, id_, 1),
        lambda service, person, id_: service.page_highlights(person, id_, 1, 0, 10),
        lambda service, person, id_: service.content(person, id_),
        lambda service, person, id_: service.delete(person, id_),
        lambda service, person, id_: service.retry(person, id_),
    ],
)
def test_a_foreign_document_and_one_that_is_not_there_look_the_same(appliance, service, put, bob, act):
    document = put("a.pdf", pdf())
    answers = []
    for id_ in (document.id, "0" * 32):
        with pytest.raises(NotFound) as refused:
            act(service, bob, id_)
        answers.append(refused.value.diagnostics())
    assert answers[0] == answers[1]
    assert events(appliance)[-2:] == ["access.denied"] * 2


def test_a_foreign_collection_cannot_be_listed(service, put, bob, alices):
    put("a.pdf", pdf())
    assert service.list(bob) == []
    with pytest.raises(NotFound):
        service.list(bob, alices)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.exe", b"MZ", "document.unsupported"), ("a.txt", b"", "document.empty"), ("a.pdf", b"text", "document.mislabelled")],
)
def test_a_refused_upload_leaves_nothing_but_its_audit_event(appliance, service, alice, put, name, content, code):
    with pytest.raises(DocumentRejected) as refused:
        put(name, content)
    assert refused.value.stable_code == code
    assert service.list(alice) == []
    assert stored_files(appliance) == []
    last = bodies(appliance)[-2]
    assert (last["action"], last["status"]) == ("document.uploaded", "failure")


def test_a_file_above_the_limit_is_cut_off_while_it_arrives(appliance, service, alice, alices, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(service, "_settings", replace(appliance.settings, upload_limit_mb=1))
    upload = service.begin_upload(alice, alices, "big.txt")
    with pytest.raises(DocumentRejected) as refused:
        for _ in range(3):
            upload.write(b"x" * 600_000)
    assert refused.value.stable_code == "document.too_large"
    assert stored_files(appliance) == []


def test_a_broken_upload_leaves_nothing(appliance, service, alice, alices):
    upload = service.begin_upload(alice, alices, "big.txt")
    upload.write(b"x" * 600_000)
    upload.discard()
    assert stored_files(appliance) == []
    assert service.list(alice) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("locked.pdf", pdf(password="secret"), "document.encrypted"),
        ("broken.pdf", b"%PDF-1.4 nothing", "document.corrupt"),
        ("scan.pdf", pdf(pages=((),), heading=""), "document.no_text"),
        ("really-a-sheet.docx", SAMPLES["rules.xlsx"](), "document.mislabelled"),
    ],
)
def test_a_file_that_cannot_be_read_fails_alone_and_says_why(appliance, service, put, alice, name, content, code):
    failed = put(name, content)
    fine = put("fine.txt", KETTLE.encode())
    assert (failed.status, failed.reason_code) == (DocumentStatus.FAILED, code)
    assert failed.reason.endswith(".")
    assert fine.status is DocumentStatus.READY
    assert events(appliance).count("document.failed") == 1
    with pytest.raises(NotFound):
        service.page(alice, failed.id, 1)


# the way of a document -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_becomes_ready_with_pages_chunks_and_index_rows(appliance, service, put, alice, name):
    document = put(name, SAMPLES[name]())
    assert (document.status, document.percent, document.reason) == (DocumentStatus.READY, 100, None)
    views = [service.page(alice, document.id, number) for number in range(1, document.page_count + 1)]
    assert KETTLE in "".join(view.text for view in views)
    whole = "\n\n".join(view.text for view in views)
    assert whole[views[-1].start :] == views[-1].text
    with appliance.database.read() as connection:
        rows = connection.execute(select(chunks).where(chunks.c.document_id == document.id)).all()
        indexed = connection.execute(text("SELECT count(*) FROM search_exact")).scalar_one()
    assert len(rows) == document.chunk_count == indexed
    assert all(row.text == whole[row.start : row.end] for row in rows)
    assert {KETTLE in row.text for row in rows} >= {True}


def test_the_same_file_again_is_recognised_and_another_collection_is_another_matter(appliance, service, put, alice, bob):
    first = put("a.pdf", pdf())
    again = service.begin_upload(alice, first.collection_id, "other name.pdf")
    again.write(pdf_bytes := b"".join(service.content(alice, first.id)[1]))
    assert again.commit() == (first, True)
    bobs = next(entry.id for entry in appliance.collections.readable(bob) if entry.owner_id == bob.id)
    other = service.begin_upload(bob, bobs, "a.pdf")
    other.write(pdf_bytes)
    document, duplicate = other.commit()
    assert (duplicate, document.collection_id) == (False, bobs)
    assert len(stored_files(appliance)) == 1
    service.delete(alice, first.id)
    assert b"".join(service.content(bob, document.id)[1]) == pdf_bytes
    service.delete(bob, document.id)
    assert stored_files(appliance) == []


def test_work_is_recorded_as_the_boxs_on_behalf_of_the_uploader(appliance, put, alice):
    put("a.txt", KETTLE.encode())
    ingested = next(body for body in bodies(appliance) if body["action"] == "document.ingested")
    assert ingested["actor_pseudonym"] == "system"
    assert alice.pseudonym in json.dumps(ingested)
    assert "a.txt" not in json.dumps(bodies(appliance))


def test_an_image_and_highlights_show_the_passage_on_its_page(service, put, alice):
    document = put("a.pdf", pdf())
    page = service.page(alice, document.id, 2)
    start = page.start + page.text.index(HARBOUR)
    (rectangle,) = service.page_highlights(alice, document.id, 2, start, start + len(HARBOUR))
    assert 0 < rectangle[0] < rectangle[2] < 1
    assert service.page_highlights(alice, document.id, 1, start, start + len(HARBOUR)) == []
    assert service.page_image(alice, document.id, 2).startswith(b"\x89PNG")
    with pytest.raises(NotFound):
        service.page_image(alice, document.id, 3)


def test_only_a_few_pages_are_drawn_at_once_and_who_waits_too_long_is_told(service, put, alice, monkeypatch):
    document = put("rules.pdf", pdf())
    drawing, together, leave = [], [], threading.Event()

    def draw(*_):
        drawing.append(1)
        together.append(len(drawing))
        leave.wait(10)
        drawing.pop()
        return b"a picture"

    monkeypatch.setattr(documents_service, "render_page_in_child", draw)
    monkeypatch.setattr(documents_service, "_VIEW_PATIENCE_S", 0.2)
    readers = [threading.Thread(target=service.page_image, args=(alice, document.id, 1)) for _ in range(3)]
    for reader in readers:
        reader.start()
    while len(drawing) < 3:
        time.sleep(0.01)
    with pytest.raises(Unavailable):
        service.page_image(alice, document.id, 1)
    leave.set()
    for reader in readers:
        reader.join()
    assert service.page_image(alice, document.id, 1) == b"a picture"
    assert max(together) == 3


def test_reads_are_recorded_before_anything_is_released(appliance, service, put, alice, monkeypatch):
    document = put("a.pdf", pdf())

    class AuditFailed(Exception):
        pass

    def broken(*_arguments):
        raise AuditFailed

    monkeypatch.setattr(type(appliance.audit), "append", broken)
    for act in (
        lambda: service.list(alice),
        lambda: service.get(alice, document.id),
        lambda: service.page(alice, document.id, 1),
        lambda: service.page_image(alice, document.id, 1),
        lambda: service.content(alice, document.id),
        lambda: service.delete(alice, document.id),
    ):
        with pytest.raises(AuditFailed):
            act()
    monkeypatch.undo()
    assert service.get(alice, document.id) == document


def test_the_list_can_be_watched_as_one_act_and_shows_progress(appliance, service, put, alice, alices, embedder):
    current = service.watch(alice, alices)
    before = events(appliance).count("document.listed")
    seen = []
    embedder.on_embed = lambda: seen.extend(current())
    put("a.txt", KETTLE.encode())
    assert [(document.status, document.stage) for document in seen] == [(DocumentStatus.EMBEDDING, "Indexing 1 passages")]
    assert events(appliance).count("document.listed") == before


def test_who_may_no_longer_read_a_collection_sees_it_empty_at_once(appliance, service, put, administrator, alice, bob):
    shared = appliance.collections.create(administrator, "Shared")
    both = [f"principal:{alice.id}", f"principal:{bob.id}"]
    appliance.collections.update(administrator, shared, readers=both, contributors=both[:1])
    upload = service.begin_upload(alice, shared, "a.txt")
    upload.write(KETTLE.encode())
    document, _ = upload.commit()
    current = service.watch(bob, shared)
    assert current() == [document]
    with pytest.raises(Denied):
        service.begin_upload(bob, shared, "b.txt")
    appliance.collections.update(administrator, shared, readers=both[:1])
    assert current() == []


def no_contributors(appliance, administrator, alice, shared):
    appliance.collections.update(administrator, shared, readers=[f"principal:{alice.id}"], contributors=[])


def no_account(appliance, administrator, alice, _shared):
    appliance.people.update(administrator, alice.id, disabled=True)


@pytest.mark.parametrize(("lose", "refusal"), [(no_contributors, Denied), (no_account, NotSignedIn)])
def test_who_loses_the_right_or_the_account_while_sending_has_sent_nothing(
    appliance, service, administrator, alice, lose, refusal
):
    shared = appliance.collections.create(administrator, "Shared")
    alone = [f"principal:{alice.id}"]
    appliance.collections.update(administrator, shared, readers=alone, contributors=alone)
    upload = service.begin_upload(alice, shared, "a.txt")
    upload.write(KETTLE.encode())
    lose(appliance, administrator, alice, shared)
    with pytest.raises(refusal):
        upload.commit()
    with appliance.database.read() as connection:
        assert connection.execute(select(documents)).all() == []
    assert list(appliance.settings.blobs_dir.rglob("*.part")) == []


# crashes, races and repetition ---------------------------------------------------------------------------------------


def test_a_file_that_is_deleted_while_it_is_uploaded_again_is_stored_again(appliance, service, put, alice, alices, monkeypatch):
    first = put("a.txt", KETTLE.encode(), ingest=False)
    upload = service.begin_upload(alice, alices, "b.txt")
    upload.write(KETTLE.encode())
    write = appliance.database.write

    def deleted_before():
        monkeypatch.undo()
        service.delete(alice, first.id)
        return write()

    monkeypatch.setattr(appliance.database, "write", deleted_before)
    document, duplicate = upload.commit()
    assert (document.name, duplicate) == ("b.txt", False)
    service.ingest(document.id, "worker")
    assert service.get(alice, document.id).status is DocumentStatus.READY


def test_a_second_worker_finds_the_document_taken(service, put, embedder, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    embedder.on_embed = lambda: service.ingest(document.id, "another worker")
    service.ingest(document.id, "worker")
    service.ingest(document.id, "worker")
    assert embedder.batches == [1]
    assert service.get(alice, document.id).status is DocumentStatus.READY


def test_a_document_whose_worker_died_is_taken_up_again_when_its_lease_has_run_out(appliance, service, put, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    die_while_working(appliance, document.id, attempts=1, lease_until_ms=int(time.time() * 1000) + 20_000)
    service.ingest(document.id, "worker")
    assert service.pending_ids() == []
    die_while_working(appliance, document.id, attempts=1, lease_until_ms=int(time.time() * 1000) - 1)
    assert service.pending_ids() == [document.id]
    service.ingest(document.id, "worker")
    assert service.get(alice, document.id).status is DocumentStatus.READY


def test_a_document_that_killed_three_workers_fails(appliance, service, put, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    die_while_working(appliance, document.id, attempts=3, lease_until_ms=0)
    service.ingest(document.id, "worker")
    failed = service.get(alice, document.id)
    assert (failed.status, failed.reason_code) == (DocumentStatus.FAILED, "document.parser_crashed")


def test_a_slow_worker_that_lost_its_lease_changes_nothing(appliance, service, put, embedder, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)

    def overtaken():
        embedder.on_embed = lambda: None
        die_while_working(appliance, document.id, attempts=1, lease_until_ms=0)
        service.ingest(document.id, "another worker")

    embedder.on_embed = overtaken
    service.ingest(document.id, "worker")
    assert events(appliance).count("document.ingested") == 1
    assert service.get(alice, document.id).chunk_count == 1


def test_a_renewal_that_failed_once_is_not_the_last(appliance, put, monkeypatch):
    put("a.txt", KETTLE.encode(), ingest=False)
    monkeypatch.setattr(watch, "_RENEW_S", 0.01)
    tries = Tries(appliance.database)
    with appliance.database.write() as connection:
        claim = claims.claim_document(connection, claims.pending_ids(connection)[0], "worker")
    with watch.ClaimWatch(tries, claim):
        assert tries.thrice.wait(10)


def test_a_worker_with_the_same_name_is_not_the_same_worker(appliance, service, put, embedder, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)

    def taken_by_a_namesake():
        later = int(time.time() * 1000) + 20_000
        with appliance.database.write() as connection:
            connection.execute(update(documents).values(claimed_by="worker", attempts=2, lease_until_ms=later))

    embedder.on_embed = taken_by_a_namesake
    service.ingest(document.id, "worker")
    assert events(appliance).count("document.ingested") == 0
    assert service.get(alice, document.id).status is DocumentStatus.EMBEDDING


def test_a_fault_of_the_box_hands_the_document_back(service, put, embedder, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)

    def fail():
        raise OSError("no memory for the model")

    embedder.on_embed = fail
    with pytest.raises(OSError, match="no memory"):
        service.ingest(document.id, "worker")
    assert service.pending_ids() == [document.id]
    assert service.get(alice, document.id).status is DocumentStatus.PENDING


def test_a_failed_document_can_be_tried_again_and_only_that(service, put, embedder, alice, appliance):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    with pytest.raises(Conflict):
        service.retry(alice, document.id)
    die_while_working(appliance, document.id, attempts=3, lease_until_ms=0)
    service.ingest(document.id, "worker")
    assert service.retry(alice, document.id).status is DocumentStatus.PENDING
    service.ingest(document.id, "worker")
    assert service.get(alice, document.id).status is DocumentStatus.READY


def test_a_document_deleted_while_it_is_worked_on_leaves_nothing(appliance, service, put, embedder, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    embedder.on_embed = lambda: service.delete(alice, document.id)
    service.ingest(document.id, "worker")
    assert nothing_left(appliance)


def test_a_document_deleted_while_it_is_divided_is_divided_no_further(appliance, service, put, embedder, alice, monkeypatch):
    document = put("a.txt", b"\f".join([KETTLE.encode()] * 40), ingest=False)
    divided = []
    spans = embedder.token_spans

    def deleting(page_text):
        divided.append(page_text)
        if len(divided) == 1:
            service.delete(alice, document.id)
            time.sleep(0.6)
        return spans(page_text)

    monkeypatch.setattr(embedder, "token_spans", deleting)
    service.ingest(document.id, "worker")
    assert len(divided) < 40
    assert nothing_left(appliance)


def test_deleting_a_document_frees_the_worker_that_its_file_keeps_busy(appliance, service, put, alice, monkeypatch):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: start(["sleep", "60"], **options))
    monkeypatch.setattr(claims, "LEASE_MS", 1_000)
    worker = threading.Thread(target=service.ingest, args=(document.id, "worker"))
    worker.start()
    time.sleep(0.5)
    service.delete(alice, document.id)
    worker.join(10)
    assert not worker.is_alive()
    assert nothing_left(appliance)


def test_the_writer_is_free_while_a_document_is_embedded(appliance, put, embedder):
    free = []

    def write_elsewhere():
        with appliance.database.write() as connection:
            free.append(connection.execute(text("SELECT 1")).scalar_one())

    embedder.on_embed = lambda: [thread := threading.Thread(target=write_elsewhere), thread.start(), thread.join(5)]
    put("a.txt", KETTLE.encode())
    assert free == [1]


def test_a_page_that_waits_passes_a_book_and_the_book_gets_on(appliance, service, put, alice):
    book = "\n\n".join(f"{KETTLE} Rule {number} of the house. {HARBOUR}" * 4 for number in range(400)).encode()
    large = put("book.md", book, ingest=False)
    half = put("half.md", book[: len(book) // 2], ingest=False)
    notes = [put(f"note{number}.md", f"Note {number}: {KETTLE}".encode(), ingest=False) for number in range(12)]
    broken = put("broken.pdf", b"%PDF-1.7 and nothing more", ingest=False)
    with appliance.database.write() as connection:
        connection.execute(update(documents).where(documents.c.id == notes[1].id).values(attempts=1))
        connection.execute(update(documents).where(documents.c.id == broken.id).values(uploaded_ms=0))
    service.ingest(large.id, "worker")
    assert service.get(alice, large.id).status is DocumentStatus.READY
    ended = [body["resources"][0]["id"] for body in bodies(appliance) if body["action"] in ENDED]
    assert ended[:3] == [broken.id, notes[0].id, notes[2].id], "the oldest first, and none that has been tried before"
    assert 3 < len(ended) < 2 + len(notes), "a few between two batches: the book does not wait for all of them"
    assert ended[-1] == large.id and half.id not in ended


def test_a_page_that_fails_in_passing_keeps_its_own_turn(appliance, service, put, embedder, alice, monkeypatch):
    large = put("book.md", "\n\n".join(f"{KETTLE} Rule {number}. {HARBOUR}" for number in range(400)).encode(), ingest=False)
    note = put("note.md", b"Only a note.", ingest=False)
    embed = embedder.embed

    def fail(texts):
        if any("Only a note" in text for text in texts):
            raise RuntimeError("out of order")
        return embed(texts)

    monkeypatch.setattr(embedder, "embed", fail)
    service.ingest(large.id, "worker")
    assert service.get(alice, large.id).status is DocumentStatus.READY
    assert service.pending_ids() == [note.id]
    with appliance.database.read() as connection:
        tried = connection.execute(select(documents.c.attempts).where(documents.c.id == note.id)).scalar_one()
    assert tried == 1


def test_a_damaged_stored_file_is_said_to_be_damaged(appliance, service, put, alice):
    document = put("a.txt", KETTLE.encode(), ingest=False)
    (path,) = stored_files(appliance)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"!!!!")
    service.ingest(document.id, "worker")
    assert service.get(alice, document.id).reason_code == "blob.damaged"


# deleting ------------------------------------------------------------------------------------------------------------


def test_deleting_leaves_nothing_of_the_document(appliance, service, put, alice):
    document = put("a.pdf", pdf())
    service.delete(alice, document.id)
    assert nothing_left(appliance)
    assert events(appliance)[-1] == "document.deleted"
    with pytest.raises(NotFound):
        service.get(alice, document.id)


def test_ten_thousand_chunks_are_deleted_in_seconds(appliance, service, put, alice):
    sections = (f"# Section {number}\n\nIt speaks of kettles, gates and ferries.\n" for number in range(10_000))
    document = put("long.md", "\n".join(sections).encode())
    assert document.chunk_count >= 10_000
    started = time.monotonic()
    service.delete(alice, document.id)
    assert time.monotonic() - started < 10
    assert nothing_left(appliance)


def test_orphans_are_removed_after_an_hour_and_nothing_else(appliance, service, put):
    put("kept.txt", KETTLE.encode())
    (kept,) = stored_files(appliance)
    appliance.blobs.put([b"forgotten"], limit_bytes=100)
    appliance.blobs.put([b"fresh"], limit_bytes=100)
    draft = appliance.blobs.writer(limit_bytes=100)
    draft.write(b"cut off")
    hour_ago = time.time() - 3_700
    forgotten = appliance.blobs.content_name(__import__("hashlib").sha256(b"forgotten").hexdigest())
    for path in stored_files(appliance):
        if path == kept or forgotten in str(path) or path.suffix == ".part":
            os.utime(path, (hour_ago, hour_ago))
    assert service.remove_orphans() == 2
    names = [path.name for path in stored_files(appliance)]
    assert kept.name in names
    assert len(names) == 2


ENDED = {"document.ingested", "document.failed"}


def events(appliance) -> list[str]:
    with appliance.database.read() as connection:
        return list(connection.execute(select(audit_events.c.event).order_by(audit_events.c.seq)).scalars())


def bodies(appliance) -> list[dict]:
    with appliance.database.read() as connection:
        rows = connection.execute(select(audit_events.c.body).order_by(audit_events.c.seq)).scalars()
        return [json.loads(row) for row in rows]


def stored_files(appliance) -> list:
    return sorted(path for path in appliance.blobs.directory.rglob("*") if path.is_file())


def die_while_working(appliance, document_id: str, *, attempts: int, lease_until_ms: int) -> None:
    """The row as a worker leaves it that was killed at its `attempts`th try."""
    left = {"status": "PARSING", "claimed_by": "dead worker", "attempts": attempts, "lease_until_ms": lease_until_ms}
    with appliance.database.write() as connection:
        connection.execute(update(documents).where(documents.c.id == document_id).values(**left))


def nothing_left(appliance) -> bool:
    with appliance.database.read() as connection:
        tables = [documents, pages, chunks]
        rows = [connection.execute(select(table)).first() for table in tables]
        index = [
            connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first()
            for name in ("search_vectors", "search_exact", "search_words")
        ]
    return not any([*rows, *index]) and stored_files(appliance) == []


class Tries:
    """A database whose first write fails as a busy one does."""

    def __init__(self, database) -> None:
        self.database, self.count, self.thrice = database, 0, threading.Event()

    def write(self):
        self.count += 1
        if self.count == 1:
            raise Unavailable("The box is busy. Try again in a moment.", code="database.busy")
        if self.count == 3:
            self.thrice.set()
        return self.database.write()
