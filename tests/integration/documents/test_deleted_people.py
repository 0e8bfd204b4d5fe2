"""The account of somebody who left is deleted: what is refused, what is gone at once, what is cleared away, and what stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from sqlalchemy import Table, and_, insert, or_, select, text, update

from appliance.administration.belongings import Belongings
from appliance.administration.golden.models import Expected
from appliance.audit.events import EventName
from appliance.audit.integrity import check
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.chat import claims, clearing
from appliance.chat.clearing import ConversationClearing
from appliance.chat.models import Feedback, FeedbackKind, MessageStatus
from appliance.documents.clearing import Clearing
from appliance.documents.service import DocumentService
from appliance.errors import ApplianceError, Conflict, Denied, NotFound, NotSignedIn
from appliance.identity.models import EVERYONE, Principal, Role
from appliance.identity.store import load_principal
from appliance.policy.actions import Action
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex, merge_words
from appliance.retrieval.terms import question_terms
from appliance.storage import tables
from appliance.storage.clock import now_ms
from tests.conftest import EVERYBODY, PASSWORD
from tests.growing_old import put

WORD = "zephyranth"
"""Stands in everything that carol wrote and that is not the organisation's."""


@dataclass
class Left:
    """What carol had, who is an administrator as well, so that even golden sets hang on her."""

    person: Principal
    token: str
    own: str
    shared: str
    own_document: str
    shared_document: str
    conversation: str
    answer: str
    group: str
    shared_set: str
    hanging: dict[str, set[tuple]]


@pytest.fixture
def left(appliance: Appliance, service: DocumentService, administrator: Principal) -> Left:
    """Disabled by now."""
    roles = {Role.EMPLOYEE, Role.ADMINISTRATOR}
    carol = appliance.people.create(administrator, "Carol", PASSWORD, roles)
    group = appliance.groups.create(administrator, "Porters", [carol.id]).id
    shared = appliance.collections.create(
        administrator, "Handbook", readers=EVERYBODY | {f"principal:{carol.id}"}, contributors=EVERYBODY
    )
    own = next(item.id for item in appliance.collections.readable(carol) if item.owner_id == carol.id)
    kept = put(service, carol, shared, "rules.txt", "The ferry is for everybody.")
    gone = put(service, carol, own, f"{WORD}.txt", f"The ferry of {WORD} is at sea.")
    for collection_id in (own, shared):
        golden_set = appliance.golden.create(carol, collection_id, f"Questions about {collection_id}").id
        appliance.golden.add(carol, golden_set, [Expected("Who?", ("the porter",), "", None, False)])
        appliance.golden.start(carol, golden_set)
    conversation = appliance.chat.create_conversation(carol).id
    answer = _answered(appliance, carol, conversation, gone, kept)
    token = appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7")
    with pytest.raises(NotSignedIn):
        appliance.sessions.sign_in("carol", "a wrong passphrase", "192.0.2.7")
    with appliance.database.write() as connection:
        mistake = {"grantee_kind": "group", "grantee_id": EVERYONE, "permission": "read"}  # which policies do not follow
        connection.execute(insert(tables.grants).values(collection_id=own, **mistake))
        factor = {"secret": "A" * 32, "begun_ms": 1, "confirmed_ms": None, "last_step": 0}
        connection.execute(insert(tables.second_factors).values(principal_id=carol.id, **factor))
        connection.execute(insert(tables.recovery_codes).values(principal_id=carol.id, code_sha256="0" * 64))
        key = {"name": "Import", "digest": "0" * 64, "scopes": "ask", "created_ms": 1, "expires_ms": 2}
        connection.execute(insert(tables.api_keys).values(id="1" * 16, principal_id=carol.id, **key))
        way_in = {"issuer": "https://id.example.org", "subject": "carol", "allowed_ms": 1}
        connection.execute(insert(tables.provider_links).values(principal_id=carol.id, **way_in))
        hanging = _hanging_on(connection, carol.id)
    for table, reached in hanging.items():
        if table == "holds":  # who is held is not deleted
            continue
        assert reached, f"{table} refers to a person or to what is theirs: fill it here, and see it emptied below"
    appliance.people.update(administrator, carol.id, disabled=True)
    return Left(carol, token, own, shared, gone, kept, conversation, answer, group, golden_set, hanging)


def _answered(appliance: Appliance, person: Principal, conversation_id: str, *document_ids: str) -> str:
    """An answer with all that can hang on one, from these documents."""
    _, pending = appliance.chat.ask(person, conversation_id, f"Where is the ferry of {WORD}?")
    with appliance.database.write() as connection:
        done = {"status": MessageStatus.DONE, "text": f"The ferry of {WORD} is at sea. [1]", "finished_ms": now_ms() - 7_200_000}
        connection.execute(update(tables.messages).where(tables.messages.c.id == pending.id).values(done))
        for number, document_id in enumerate(document_ids, start=1):
            place = {"message_id": pending.id, "document_id": document_id, "page": 1, "start": 0, "end": 9}
            chunk = connection.execute(select(tables.chunks.c.id).where(tables.chunks.c.document_id == document_id)).scalar()
            connection.execute(insert(tables.message_passages).values(number=number, score=1.0, chunk_id=chunk, **place))
            connection.execute(insert(tables.message_nearest).values(rank=number, **place))
        span = {"ordinal": 1, "number": 1, "answer_start": 1, "answer_end": 2, "page": 1, "start": 0, "end": 9}
        connection.execute(insert(tables.citations).values(message_id=pending.id, **span))
        runs = select(tables.golden_runs.c.id)
        for run_id in connection.execute(runs).scalars().all():
            outcome = {"question_id": "q", "ordinal": 1, "question_sha256": "0", "right": True, "body": "{}"}
            connection.execute(insert(tables.golden_outcomes).prefix_with("OR IGNORE").values(run_id=run_id, **outcome))
    appliance.feedback.give(person, pending.id, Feedback(True, FeedbackKind.OTHER, f"So says {WORD}.", shared=True))
    return pending.id


def _hanging_on(connection, person_id: str) -> dict[str, set[tuple]]:
    """Of every table that refers to people, or to a table that does, the keys of the rows that lead to this person."""
    reached: dict[str, set[tuple]] = {"principals": {(person_id,)}}
    for _ in tables.metadata.tables:  # as often as a chain can be long
        for table in tables.metadata.tables.values():
            referring = [key for key in table.foreign_keys if key.column.table.name in reached]
            if not referring or table is tables.principals:
                continue
            found = reached.setdefault(table.name, set())
            for key in referring:
                target = key.column.table
                theirs = select(key.column).where(_among(target, reached[target.name])).scalar_subquery()
                keys = connection.execute(select(*table.primary_key).where(key.parent.in_(theirs)))
                found |= set(keys.tuples().all())
    return reached


def _among(table: Table, keys: Iterable[tuple]):
    columns = tuple(table.primary_key)
    return or_(*(and_(*(column == value for column, value in zip(columns, key, strict=True))) for key in keys), False)


def _there(connection, rows: dict[str, set[tuple]]) -> dict[str, set[tuple]]:
    found = {}
    for name, keys in rows.items():
        table = tables.metadata.tables[name]
        found[name] = set(connection.execute(select(*table.primary_key).where(_among(table, keys))).tuples().all())
    return {name: keys for name, keys in found.items() if keys}


def delete(appliance: Appliance, administrator: Principal, left: Left) -> Belongings:
    return appliance.people.delete(administrator, left.person.id, conversations=1, documents=1)


def cared_for(appliance: Appliance) -> list[str]:
    """Both cares, to the end; the messages that the one of conversations told of."""
    told: list[str] = []
    ConversationClearing(appliance.database, appliance.audit).run(told.extend)
    Clearing(appliance.database, appliance.blobs, appliance.audit, SearchIndex()).run()
    return told


def events(appliance: Appliance, name: EventName):
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(event=name), limit=200)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE_S", 0)
    monkeypatch.setattr(clearing, "_PAUSE_S", 0)


def test_only_an_administrator_deletes_and_only_who_is_there(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal, left: Left
) -> None:
    for who in (alice, officer):
        with pytest.raises(Denied):
            delete(appliance, who, left)
        with pytest.raises(Denied):
            appliance.people.belongings(who, left.person.id)
    for unknown in ("f" * 32, left.person.name, left.person.pseudonym, ""):
        with pytest.raises(NotFound):
            appliance.people.delete(administrator, unknown, conversations=0, documents=0)
        with pytest.raises(NotFound):
            appliance.people.belongings(administrator, unknown)
    assert events(appliance, EventName.PERSON_DELETED) == []


def test_neither_oneself_nor_who_can_still_sign_in(appliance: Appliance, administrator: Principal, alice: Principal) -> None:
    for who, code in ((administrator, "person.own_account"), (alice, "person.not_disabled")):
        for act in (
            lambda who=who: appliance.people.belongings(administrator, who.id),
            lambda who=who: appliance.people.delete(administrator, who.id, conversations=0, documents=0),
        ):
            with pytest.raises(Conflict) as refused:
                act()
            assert refused.value.stable_code == code
    assert appliance.sessions.sign_in("alice", PASSWORD, "192.0.2.7")


def test_who_is_held_stays_until_an_officer_lifts_it(
    appliance: Appliance, administrator: Principal, officer: Principal, left: Left
) -> None:
    appliance.holds.place(officer, left.person.pseudonym, "Matter 12 is being looked into.")
    for act in (
        lambda: appliance.people.belongings(administrator, left.person.id),
        lambda: delete(appliance, administrator, left),
    ):
        with pytest.raises(Conflict, match="An officer holds this person") as refused:
            act()
        assert refused.value.stable_code == "person.held"
    assert cared_for(appliance) == []
    tries = events(appliance, EventName.PERSON_DELETED)
    assert [(each.outcome, each.actor_name, each.facts) for each in tries] == [
        ("failure", "administrator", {"reason": "person.held"})
    ] * 2
    appliance.holds.lift(officer, left.person.pseudonym, "Matter 12 is closed.")
    assert delete(appliance, administrator, left) == Belongings(1, 1, 1)


def test_the_last_administrator_stays_whoever_asks(appliance: Appliance, administrator: Principal, left: Left) -> None:
    # her act was on its way when she was disabled
    with pytest.raises(Conflict) as refused:
        appliance.people.delete(left.person, administrator.id, conversations=0, documents=0)
    assert refused.value.stable_code == "person.not_disabled"
    assert appliance.sessions.sign_in("administrator", PASSWORD, "192.0.2.7")


def test_nothing_is_lost_where_other_numbers_were_agreed_to(appliance: Appliance, administrator: Principal, left: Left) -> None:
    for conversations, documents in ((0, 0), (1, 0), (0, 1), (2, 1), (1, 2), (-1, 1)):
        with pytest.raises(Conflict, match="Carol has 1 conversation and 1 document of their own") as refused:
            appliance.people.delete(administrator, left.person.id, conversations=conversations, documents=documents)
        assert (refused.value.stable_code, refused.value.data) == ("person.belongings", {"conversations": 1, "documents": 1})
    assert cared_for(appliance) == []
    appliance.people.update(administrator, left.person.id, disabled=False)
    carol = appliance.sessions.principal(appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7"))
    assert carol is not None
    assert carol.groups == {EVERYONE, left.group}
    assert appliance.chat.message(carol, left.answer).feedback
    assert {item.id for item in appliance.documents.list(carol)} == {left.own_document, left.shared_document}


def test_from_the_first_transaction_on_nobody_reaches_anything_of_theirs(
    appliance: Appliance, service: DocumentService, administrator: Principal, alice: Principal, officer: Principal, left: Left
) -> None:
    carol = left.person
    own_number = next(item.number for item in appliance.collections.list_all(administrator) if item.id == left.own)
    assert appliance.people.belongings(administrator, carol.id) == Belongings(1, 1, 1)
    with appliance.database.read() as connection:
        assert len(connection.execute(select(tables.throttles)).all()) == 2  # of the address and of the name
    assert delete(appliance, administrator, left) == Belongings(1, 1, 1)

    with appliance.database.read() as connection:
        assert len(connection.execute(select(tables.throttles)).all()) == 1  # of the address alone
    with pytest.raises(NotSignedIn):
        appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7")
    assert appliance.sessions.principal(left.token) is None
    with appliance.database.read() as connection:
        assert load_principal(connection, carol.id) is None
        assert SearchIndex().view(connection, {own_number}).matching(question_terms("ferry"), 9).ids.size == 0
        names = connection.execute(select(tables.principals.c.name, tables.principals.c.password_hash)).all()
    assert "carol" not in str(names).lower()
    assert carol.id not in {account.principal.id for account in appliance.people.list(administrator)}
    assert all(
        carol.id not in {member.principal.id for member in group.members} for group in appliance.groups.list(administrator)
    )
    assert appliance.groups.list(administrator)[0].member_count == 3
    assert appliance.box.state(administrator).people == 3
    assert dict(appliance.audit_review.people(officer)).get(carol.pseudonym, "") == ""
    acted = appliance.audit_review.search(officer, AuditFilter(pseudonym=carol.pseudonym))
    assert {record.actor_name for record in acted if record.actor_pseudonym == carol.pseudonym} == {None}
    names = json.loads(next(appliance.audit_review.export(officer, AuditFilter(), "bundle")))["names"]["of"]
    assert administrator.pseudonym in names
    assert carol.pseudonym not in names
    assert not any(f"principal:{carol.id}" in item.readers for item in appliance.collections.list_all(administrator))
    assert left.own not in {item.id for item in appliance.collections.list_all(administrator)}
    said = appliance.voices.read(administrator)
    assert (said.helpful, said.page) == (0, [])
    for who in (administrator, alice):
        assert service.get(who, left.shared_document).id == left.shared_document  # the organisation's
        for act in (
            lambda who=who: service.get(who, left.own_document),
            lambda who=who: appliance.chat.message(who, left.answer),
            lambda who=who: appliance.chat.conversation(who, left.conversation),
        ):
            with pytest.raises(NotFound):
                act()
    for act in (
        lambda: appliance.answer_records.record(officer, left.answer),
        lambda: appliance.people.update(administrator, carol.id, disabled=False),
        lambda: appliance.people.delete(administrator, carol.id, conversations=0, documents=0),
        lambda: appliance.people.belongings(administrator, carol.id),
        lambda: appliance.groups.add(administrator, left.group, [carol.id]),
        lambda: appliance.voices.exchange(administrator, left.answer),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(ApplianceError, match="people and groups of this box"):
        appliance.collections.update(administrator, left.shared, readers=[f"principal:{carol.id}"])


def test_acts_that_were_on_their_way_come_too_late(appliance: Appliance, service, administrator: Principal, left: Left) -> None:
    """Somebody who was let in a moment before: their principal is in the hands of a request."""
    own, shared = (service.begin_upload(left.person, where, "late.txt") for where in (left.own, left.shared))
    own.write(b"Late.")
    shared.write(b"Late.")
    delete(appliance, administrator, left)
    with pytest.raises(NotFound):
        service.begin_upload(left.person, left.own, "later.txt")
    for upload in (own, shared):
        with pytest.raises(NotSignedIn):
            upload.commit()
    with pytest.raises(NotSignedIn):
        appliance.chat.create_conversation(left.person)
    with pytest.raises(NotFound):
        appliance.chat.ask(left.person, left.conversation, f"And {WORD}?")
    cared_for(appliance)
    with appliance.database.read() as connection:
        assert connection.execute(select(tables.conversations)).all() == []
        assert connection.execute(select(tables.messages)).all() == []


def test_an_upload_that_was_permitted_before_ends_with_the_account(
    appliance: Appliance, service, administrator: Principal, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = service.begin_upload(left.person, left.shared, "late.txt")
    upload.write(b"Late.")
    delete(appliance, administrator, left)
    monkeypatch.setattr(upload, "_permit", lambda: None)  # as it was said before the file went to the disk
    with pytest.raises(NotFound):
        upload.commit()
    assert [item.id for item in service.list(administrator)] == [left.shared_document]


def test_names_are_sealed_as_words_of_who_gave_them_though_they_left_before_the_box_was_done(
    appliance: Appliance, service, administrator: Principal, alice: Principal
) -> None:
    shared = appliance.collections.create(administrator, "Handbook", readers=EVERYBODY, contributors=EVERYBODY)
    upload = service.begin_upload(alice, shared, "sick note.txt")
    upload.write(b"A cold.")
    document = upload.commit()[0]
    appliance.people.update(administrator, alice.id, disabled=True)
    service.ingest(document.id, "worker")
    other = appliance.people.create(administrator, "other", PASSWORD, frozenset({Role.ADMINISTRATOR}))
    appliance.collections.delete(other, shared, name="Handbook", documents=1)
    appliance.people.update(administrator, other.id, disabled=True)
    cared_for(appliance)
    sealed = select(tables.audit_events.c.event, tables.audit_sealed.c.subject).join(tables.audit_sealed)
    with appliance.database.read() as connection:
        subjects = dict(connection.execute(sealed).tuples().all())
    assert subjects["document.ingested"] == alice.pseudonym
    assert subjects["document.deleted"] == other.pseudonym


def test_a_question_in_the_works_ends_and_its_answer_is_kept_nowhere(
    appliance: Appliance, administrator: Principal, left: Left
) -> None:
    appliance.people.update(administrator, left.person.id, disabled=False)
    _, written = appliance.chat.ask(left.person, left.conversation, "What is written?")
    _, waiting = appliance.chat.ask(left.person, left.conversation, "What waits?")
    with appliance.database.write() as connection:
        claim = claims.claim_answer(connection, written.id, "worker")
    appliance.people.update(administrator, left.person.id, disabled=True)
    delete(appliance, administrator, left)
    assert appliance.chat.pending_ids() == []
    assert appliance.chat.settled(waiting.id)
    with appliance.database.write() as connection:
        assert claims.stop_requested(connection, claim)
        assert not claims.finish(connection, claim, claims.Ending(MessageStatus.DONE, text="Never shown."))


def test_all_of_it_is_cleared_away_wherever_it_hung(appliance: Appliance, administrator: Principal, left: Left) -> None:
    hanging = left.hanging
    delete(appliance, administrator, left)
    assert set(cared_for(appliance)) == {key[0] for key in hanging["messages"]}
    assert cared_for(appliance) == []
    with appliance.database.write() as connection:
        while merge_words(connection):  # every hour: until then the index knows the words of what is gone, and nobody of whom
            pass
    with appliance.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        nameless = {"principals": {(left.person.id,)}, "collections": hanging["collections"]}
        assert _there(connection, hanging) == nameless
        assert connection.execute(select(tables.collections.c.name).where(tables.collections.c.id == left.own)).scalar() == ""
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        for name in set(names) - {"audit_sealed"}:  # the officers' to erase
            for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').all():
                said = " ".join(str(value) for value in row).lower()
                assert "carol" not in said, (name, row)
                assert WORD not in said, (name, row)
                told = {column for column, value in row._mapping.items() if value == left.person.id}
                assert told <= _STAYING.get(name, set()), (name, told)
    assert len(list(appliance.blobs.names())) == 1


_STAYING = {
    "principals": {"id"},
    "collections": {"owner_id"},
    "documents": {"uploaded_by"},
    "golden_sets": {"acts_for"},
    "golden_runs": {"acts_for"},
}
"""Where the id of a nameless row is left."""


def test_what_the_organisation_has_stays(appliance: Appliance, service, administrator: Principal, left: Left) -> None:
    appliance.quality.record()
    with appliance.database.read() as connection:
        counted = connection.execute(select(tables.quality_hours)).all()
    delete(appliance, administrator, left)
    cared_for(appliance)
    appliance.quality.record()
    with appliance.database.read() as connection:
        assert connection.execute(select(tables.quality_hours)).all() == counted != []
    assert [item.id for item in service.list(administrator)] == [left.shared_document]
    assert len(appliance.golden.questions(administrator, left.shared_set)[1]) == 1
    assert "Porters" in {group.name for group in appliance.groups.list(administrator)}


def test_a_crash_between_is_made_up_for_in_small_steps(
    appliance: Appliance, administrator: Principal, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    appliance.people.update(administrator, left.person.id, disabled=False)
    for number in range(3):
        another = appliance.chat.create_conversation(left.person).id
        for _ in range(number):
            _answered(appliance, left.person, another, left.shared_document)
    appliance.people.update(administrator, left.person.id, disabled=True)
    appliance.people.delete(administrator, left.person.id, conversations=4, documents=1)
    monkeypatch.setattr(clearing, "MESSAGES", 3)
    left_over: list[int] = []

    def dies(_: object) -> None:
        with appliance.database.read() as connection:
            left_over.append(len(connection.execute(select(tables.messages)).all()))
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ConversationClearing(appliance.database, appliance.audit).run(dies)
    assert left_over == [5, 2]
    told: list[str] = []
    ConversationClearing(appliance.database, appliance.audit).run(told.extend)
    assert len(told) == 2
    gone = events(appliance, EventName.CONVERSATION_DELETED)
    assert len(gone) == 4
    assert all(record.facts == {"with": "person"} and record.on_behalf_of_name == "administrator" for record in gone)


def test_the_log_tells_it_with_numbers_alone_and_still_verifies(
    appliance: Appliance, administrator: Principal, left: Left
) -> None:
    delete(appliance, administrator, left)
    cared_for(appliance)
    (record,) = events(appliance, EventName.PERSON_DELETED)
    assert record.actor_name == "administrator"
    assert record.resources == (("person", left.person.pseudonym), ("collection", left.own))
    counts = {"conversations": 1, "documents": 1, "shared_documents": 1, "groups": 1, "collections_closed": 1, "golden_sets": 1}
    assert (record.facts, record.sealed_fields) == (counts, ())
    (gone,) = events(appliance, EventName.DOCUMENT_DELETED)
    assert (gone.facts["with"], gone.sealed_fields) == ("person", ())
    (talk,) = events(appliance, EventName.CONVERSATION_DELETED)
    assert talk.resources == (("conversation", left.conversation), ("person", left.person.pseudonym))
    with appliance.database.read() as connection:
        assert check(connection, appliance.keys.audit_sealing).first_bad_seq is None


def test_the_name_is_free_and_whoever_gets_it_sees_nothing(
    appliance: Appliance, service, administrator: Principal, left: Left
) -> None:
    delete(appliance, administrator, left)
    again = appliance.people.create(administrator, "Carol", PASSWORD, {Role.EMPLOYEE})
    assert again.id != left.person.id
    token = appliance.sessions.sign_in("carol", PASSWORD, "192.0.2.7")
    assert appliance.sessions.principal(token) == again
    assert appliance.chat.conversations(again) == []
    assert [item.id for item in service.list(again)] == [left.shared_document]  # which everybody reads
    assert left.own not in appliance.access.scope(again, Action.DOCUMENT_READ).collection_ids
    for number in range(2):  # one nameless row does not stand in another's way
        other = appliance.people.create(administrator, f"Guest {number}", PASSWORD, {Role.EMPLOYEE})
        appliance.people.update(administrator, other.id, disabled=True)
        appliance.people.delete(administrator, other.id, conversations=0, documents=0)
    cared_for(appliance)
    assert appliance.sessions.principal(token) == again
