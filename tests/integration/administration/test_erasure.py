"""What is sealed of somebody who left can be erased for good, with an entry that says so; the log still verifies."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from appliance.audit import erasing
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.integrity import Integrity, check
from appliance.audit.store import AuditFilter, AuditRecord, last_seq, search, unseal
from appliance.audit.verification import verify
from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, InvalidInput, NotFound, NotSignedIn
from appliance.identity.models import NOBODY, SYSTEM, Principal, Role
from appliance.storage.append_only import TRIGGERS
from appliance.storage.tables import audit_sealed
from tests.conftest import PASSWORD


PASSWORD = "a long enough passphrase"
_PAGE, _USED = 4_096, 4_016  # SQLCipher's page, and what lies before its vector and its MAC


@pytest.fixture
def left(appliance: Appliance, administrator: Principal, alice: Principal, bob: Principal) -> Principal:
    """Alice, whose account was deleted: three questions, her name, and a sign-in that failed are sealed."""
    with appliance.database.write() as connection:
        for number in range(3):
            for person in (alice, bob):
                sealed = {"question": f"{person.name} asks {number}"}
                appliance.audit.append(connection, AuditEvent(EventName.QUESTION_ASKED, person, sealed=sealed))
    with pytest.raises(NotSignedIn):
        appliance.sessions.sign_in("alice", "wrong and long enough", "10.0.0.7")
    delete(appliance, administrator, alice)
    return alice


def delete(appliance: Appliance, administrator: Principal, person: Principal) -> None:
    appliance.people.update(administrator, person.id, disabled=True)
    appliance.people.delete(administrator, person.id, conversations=0, documents=0)


def sealed_of(appliance: Appliance, person: Principal) -> list[int]:
    with appliance.database.read() as connection:
        query = select(audit_sealed.c.seq).where(audit_sealed.c.subject == person.pseudonym).order_by(audit_sealed.c.seq)
        return list(connection.execute(query).scalars())


def erased(appliance: Appliance) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return search(connection, AuditFilter(event=EventName.AUDIT_ERASED))[::-1]


def checked(appliance: Appliance) -> Integrity:
    with appliance.database.read() as connection:
        return check(connection, appliance.keys.audit_sealing)


def behind_its_back(appliance: Appliance, statement: str) -> None:
    """As somebody with the root key can, who puts the triggers back in their place."""
    with appliance.database.write() as connection:
        for name in TRIGGERS:
            connection.execute(text(f"DROP TRIGGER {name}"))
        assert connection.execute(text(statement)).rowcount
        for made in TRIGGERS.values():
            connection.execute(text(made))


@pytest.mark.parametrize("who", ["administrator", "bob"])
def test_only_officers_erase(appliance: Appliance, left, request, who: str) -> None:
    with pytest.raises(Denied):
        appliance.erasure.erase(request.getfixturevalue(who), left.pseudonym, "asked for it")
    assert len(sealed_of(appliance, left)) == 6


def test_nothing_is_erased_of_people_who_are_here_or_held_or_unknown_or_without_a_reason(
    appliance: Appliance, left, bob, officer
) -> None:
    def refused(pseudonym: str, reason: str = "asked for it") -> str:
        with pytest.raises((Conflict, NotFound, InvalidInput)) as caught:
            appliance.erasure.erase(officer, pseudonym, reason)
        return caught.value.stable_code

    assert refused(bob.pseudonym) == "audit.not_deleted"
    assert refused("0" * 32) == "person.not_found"
    assert refused(left.pseudonym, " ") == "reason.length"
    appliance.holds.place(officer, left.pseudonym, "a claim")
    assert refused(left.pseudonym) == "person.held"
    assert (len(sealed_of(appliance, left)), erased(appliance)) == (6, [])
    appliance.holds.lift(officer, left.pseudonym, "settled")
    appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    assert refused(left.pseudonym) == "audit.nothing_sealed"
    assert len(erased(appliance)) == 1


def test_the_reason_of_a_standing_hold_is_not_erased_with_the_officer_who_gave_it(
    appliance: Appliance, administrator, bob, officer
) -> None:
    placed = appliance.holds.place(officer, bob.pseudonym, "court order 17")
    second = appliance.people.create(administrator, "second", PASSWORD, frozenset({Role.OFFICER}))
    delete(appliance, administrator, officer)
    with pytest.raises(Conflict) as refused:
        appliance.erasure.erase(second, officer.pseudonym, "asked for it")
    assert refused.value.stable_code == "audit.holds_placed"
    assert appliance.audit_review.disclose(second, placed.placed_seq) == {"reason": "court order 17"}
    appliance.holds.lift(second, bob.pseudonym, "taken over")
    anew = appliance.holds.place(second, bob.pseudonym, "court order 17")
    appliance.erasure.erase(second, officer.pseudonym, "asked for it")
    assert appliance.audit_review.disclose(second, anew.placed_seq) == {"reason": "court order 17"}
    assert checked(appliance).intact


def test_what_is_sealed_of_one_person_goes_and_the_entry_says_so(appliance: Appliance, left, bob, officer) -> None:
    seqs, of_bob = sealed_of(appliance, left), sealed_of(appliance, bob)
    with appliance.database.read() as connection:
        bodies = connection.execute(text("SELECT seq, body, leaf_hash FROM audit_events ORDER BY seq")).all()
    (leftover,) = appliance.holds.list(officer).leftovers
    assert (leftover.pseudonym, leftover.values, leftover.held) == (left.pseudonym, 6, False)
    done = appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    assert (done.values, done.first, done.last, done.remains_on_disk) == (6, seqs[0], seqs[-1], False)
    (record,) = erased(appliance)
    assert record.facts == {"values": 6, "first": seqs[0], "last": seqs[-1]}
    assert record.resources == (ResourceRef("person", left.pseudonym),)
    assert (sealed_of(appliance, left), sealed_of(appliance, bob)) == ([], of_bob)
    assert appliance.holds.list(officer).leftovers == []
    with appliance.database.read() as connection:
        assert unseal(connection, appliance.keys.audit_sealing, record.seq) == {"reason": "asked for it"}
        assert (
            connection.execute(text("SELECT seq, body, leaf_hash FROM audit_events ORDER BY seq")).all()[: len(bodies)] == bodies
        )
    found = checked(appliance)
    assert (found.intact, found.erased, found.vanished) == (True, 6, ())


def test_many_go_in_batches_and_what_a_crash_left_the_next_call_erases(appliance: Appliance, left, officer, monkeypatch) -> None:
    monkeypatch.setattr(erasing, "BATCH", 2)
    real, calls = erasing.erase, []

    def dying(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("the power went")
        real(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr("appliance.administration.erasure.erase", dying)
        with pytest.raises(RuntimeError):
            appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    found = checked(appliance)
    assert (len(erased(appliance)), found.erased, found.vanished) == (1, 2, ()), "what is done is told, and what is told is done"
    done = appliance.erasure.erase(officer, left.pseudonym, "once more")
    found = checked(appliance)
    assert (done.values, found.erased, found.vanished) == (4, 6, ())
    assert len({record.correlation_id for record in erased(appliance)}) == 2
    assert len(erased(appliance)) > 2


def test_a_value_that_went_without_an_entry_is_found_beside_those_that_went_with_one(
    appliance: Appliance, left, bob, officer
) -> None:
    theirs = sealed_of(appliance, bob)
    behind_its_back(appliance, f"DELETE FROM audit_sealed WHERE seq = {theirs[1]}")
    assert checked(appliance).vanished == (theirs[1],)
    appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    found = checked(appliance)
    assert (found.intact, found.erased, found.vanished) == (True, 6, (theirs[1],))


def test_an_entry_covers_neither_later_values_nor_other_peoples_nor_more_than_it_counts(
    appliance: Appliance, left, officer
) -> None:
    seqs = sealed_of(appliance, left)
    behind_its_back(appliance, f"DELETE FROM audit_sealed WHERE seq = {seqs[2]}")
    appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    found = checked(appliance)
    assert (found.erased, len(found.vanished)) == (5, 1), "one of the six in that stretch went before it"
    with appliance.database.write() as connection:
        later = appliance.audit.append(connection, AuditEvent(EventName.QUESTION_ASKED, left, sealed={"question": "late"}))
    behind_its_back(appliance, f"DELETE FROM audit_sealed WHERE seq = {later}")
    assert later in checked(appliance).vanished


def test_an_entry_that_tells_of_more_than_is_gone_is_found(appliance: Appliance, left, officer) -> None:
    """As whoever puts a value back, from a copy, that was erased."""
    first = sealed_of(appliance, left)[0]
    with appliance.database.read() as connection:
        kept = connection.execute(select(audit_sealed).where(audit_sealed.c.seq == first)).one()
    appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    (record,) = erased(appliance)
    values = f"{first}, '{kept.field}', '{kept.subject}', x'{kept.sealed_value.hex()}'"
    behind_its_back(appliance, f"INSERT INTO audit_sealed (seq, field, subject, sealed_value) VALUES ({values})")
    found = checked(appliance)
    assert (found.first_bad_seq, "6 sealed values were erased, and 5 are gone" in found.reason) == (record.seq, True)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_sealed WHERE subject = '{bob}'",
        "DELETE FROM audit_events WHERE seq = {last}",
        "DELETE FROM audit_resources WHERE seq = {last}",
        "UPDATE audit_sealed SET sealed_value = x'00' WHERE subject = '{left}'",
        "INSERT OR REPLACE INTO audit_sealed SELECT seq, field, subject, x'00' FROM audit_sealed WHERE subject = '{bob}'",
    ],
)
def test_beside_the_entry_nothing_else_goes(appliance: Appliance, left, bob, officer, statement: str) -> None:
    about = (ResourceRef("person", left.pseudonym),)
    with pytest.raises(DatabaseError, match="append-only"), appliance.database.write() as connection:
        facts: dict[str, str | int] = {"values": 6, "first": 1, "last": last_seq(connection)}
        last = appliance.audit.append(connection, AuditEvent(EventName.AUDIT_ERASED, officer, resources=about, facts=facts))
        connection.execute(text(statement.format(bob=bob.pseudonym, left=left.pseudonym, last=last)))


def test_a_failed_erasure_is_undone_with_its_entry(appliance: Appliance, left, officer, monkeypatch) -> None:
    monkeypatch.setattr("appliance.administration.erasure.erase", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    assert (erased(appliance), len(sealed_of(appliance, left))) == ([], 6)


def decrypted(appliance: Appliance) -> bytes:
    """Every page of the file, free ones too, and of the write-ahead log nothing but its length: it must be empty."""
    assert appliance.database.fold()
    path = appliance.database.path
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    content, plain = path.read_bytes(), []
    for start in range(0, len(content), _PAGE):
        page = content[start : start + _PAGE]
        iv, body = page[_USED : _USED + 16], page[0 if start else 16 : _USED]  # the first begins with a salt
        plain.append(Cipher(AES(appliance.keys.database), CBC(iv)).decryptor().update(body))
    return b"".join(plain)


def test_the_bytes_go_with_the_rows(appliance: Appliance, left, bob, officer) -> None:
    def values(person: Principal) -> list[bytes]:
        with appliance.database.read() as connection:
            query = select(audit_sealed.c.sealed_value).where(audit_sealed.c.subject == person.pseudonym)
            return list(connection.execute(query).scalars())

    theirs, others = values(left), values(bob)
    before = decrypted(appliance)
    assert all(value in before for value in theirs + others)
    appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    after = decrypted(appliance)
    assert all(value in after for value in others)
    assert not any(value[:16] in after for value in theirs)


def forged(appliance: Appliance, by: Principal, about: Principal | None, **changes: object) -> Integrity:
    """After an entry as only whoever holds the root key can write one, and after all values that it could speak of are gone."""
    with appliance.database.read() as connection:
        facts: dict[str, Any] = {"values": 6, "first": 1, "last": last_seq(connection)} | changes
    resources = () if about is None else (ResourceRef("person", about.pseudonym),)
    behalf = facts.pop("on_behalf_of", None)
    event = AuditEvent(EventName.AUDIT_ERASED, by, resources=resources, on_behalf_of=behalf, facts=facts)
    with appliance.database.write() as connection:
        seq = appliance.audit.append(connection, event)
    if about is not None:
        behind_its_back(appliance, f"DELETE FROM audit_sealed WHERE subject = '{about.pseudonym}'")
    found = checked(appliance)
    assert found.first_bad_seq in {None, seq}
    return found


def test_an_entry_of_erasure_about_nobody_is_found(appliance: Appliance, left, officer) -> None:
    assert not forged(appliance, officer, None).intact


def test_an_entry_of_erasure_about_somebody_who_is_here_is_found(appliance: Appliance, left, bob, officer) -> None:
    assert "not deleted by then" in forged(appliance, officer, bob, values=4).reason


def test_an_entry_of_erasure_about_somebody_who_is_held_is_found(appliance: Appliance, left, officer) -> None:
    appliance.holds.place(officer, left.pseudonym, "a claim")
    assert "was held" in forged(appliance, officer, left).reason


@pytest.mark.parametrize("by", [SYSTEM, NOBODY])
def test_an_entry_of_erasure_by_nobody_in_particular_is_found(appliance: Appliance, left, by: Principal) -> None:
    assert "no officer" in forged(appliance, by, left).reason


def test_an_entry_of_erasure_on_behalf_of_somebody_is_found(appliance: Appliance, left, officer, bob) -> None:
    assert "no officer" in forged(appliance, officer, left, on_behalf_of=bob).reason


@pytest.mark.parametrize(
    "changes",
    [{"values": -1}, {"values": 0}, {"values": True}, {"values": "6"}, {"first": 0}, {"last": 1_000}, {"first": 9, "last": 8}],
    ids=str,
)
def test_an_entry_of_erasure_with_impossible_numbers_is_found(
    appliance: Appliance, left, officer, changes: dict[str, object]
) -> None:
    assert "its numbers cannot be" in forged(appliance, officer, left, **changes).reason


def test_an_entry_of_erasure_that_fits_all_before_it_is_believed(appliance: Appliance, left, officer) -> None:
    """What the forged ones above differ from; docs/audit-format.md says that nothing in the box tells it from a true one."""
    appliance.holds.place(officer, left.pseudonym, "a claim")
    appliance.holds.lift(officer, left.pseudonym, "settled")
    found = forged(appliance, officer, left)
    assert (found.intact, found.erased, found.vanished) == (True, 6, ())


def test_old_values_whose_entry_does_not_say_whose_they_are_are_still_told(appliance: Appliance, left, officer) -> None:
    """Of `person.created` and `session.refused` older entries do not say it; the person is among their resources."""
    leaf = {"action": "session.refused", "actor_pseudonym": "nobody", "resources": [{"kind": "person", "id": left.pseudonym}]}
    assert erasing.subject_of(leaf) == left.pseudonym
    assert erasing.subject_of(leaf | {"resources": []}) == "nobody"
    assert erasing.subject_of(leaf | {"action": "question.asked"}) == "nobody"
    assert erasing.subject_of(leaf | {"action": "question.asked", "on_behalf_of": "somebody"}) == "somebody"


def test_evidence_verifies_and_says_how_much_was_erased(appliance: Appliance, left, officer, tmp_path) -> None:
    wanted = AuditFilter(pseudonym=left.pseudonym)
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(b"".join(appliance.audit_review.export(officer, wanted, "bundle")))
    done = appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    after.write_bytes(b"".join(appliance.audit_review.export(officer, wanted, "bundle")))
    key = appliance.checkpoints.verifier
    assert verify(before, key).gone == 0
    assert verify(after, key).gone == 6
    assert [record.facts["format"] for record in done.exports] == ["bundle"]
    assert done.backups == []


def test_copies_from_before_the_account_and_those_that_failed_are_not_named(
    appliance: Appliance, administrator: Principal, officer: Principal
) -> None:
    list(appliance.audit_review.export(officer, AuditFilter(), "csv"))
    carol = appliance.people.create(administrator, "carol", PASSWORD, frozenset({Role.EMPLOYEE}))
    list(appliance.audit_review.export(officer, AuditFilter(), "jsonl"))
    with appliance.database.write() as connection:
        for outcome in (Outcome.FAILURE, Outcome.SUCCESS):
            appliance.audit.append(connection, AuditEvent(EventName.BACKUP_MADE, SYSTEM, outcome=outcome))
    delete(appliance, administrator, carol)
    done = appliance.erasure.erase(officer, carol.pseudonym, "asked for it")
    assert [record.facts["format"] for record in done.exports] == ["jsonl"]
    assert [record.outcome for record in done.backups] == ["success"]


def test_a_second_call_after_a_crash_names_what_the_first_would_have(
    appliance: Appliance, administrator: Principal, officer: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    carol = appliance.people.create(administrator, "carol", PASSWORD, frozenset({Role.EMPLOYEE}))  # her name is sealed
    list(appliance.audit_review.export(officer, AuditFilter(), "csv"))
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.QUESTION_ASKED, carol, sealed={"question": "Where?"}))
    delete(appliance, administrator, carol)
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "BATCH", 1)
        assert appliance.erasure._erase_batch(officer, carol.pseudonym, "asked for it", "0" * 32)
    done = appliance.erasure.erase(officer, carol.pseudonym, "asked for it")
    assert (done.values, [record.facts["format"] for record in done.exports]) == (1, ["csv"])


def test_what_upgrades_keep_is_among_what_remains(appliance: Appliance, left, officer) -> None:
    appliance.settings.copies_dir.mkdir()
    (appliance.settings.copies_dir / "cloister-0016-2026-11-01T100000Z.db").write_bytes(b"as before")
    done = appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    assert [copy.revision for copy in done.kept_copies] == ["0016"]


def test_other_peoples_exports_and_checkpoints_are_not_among_what_remains(appliance: Appliance, left, bob, officer) -> None:
    for wanted, format in (  # noqa: A001
        (AuditFilter(pseudonym=bob.pseudonym), "csv"),
        (AuditFilter(), "checkpoint"),
        (AuditFilter(outcome=Outcome.FAILURE), "jsonl"),
    ):
        list(appliance.audit_review.export(officer, wanted, format))
    done = appliance.erasure.erase(officer, left.pseudonym, "asked for it")
    assert [record.facts["format"] for record in done.exports] == ["jsonl"]
