"""From a question to a stored, cited, audited answer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import delete, select, update

from appliance.administration.belongings import belongings_of, delete_person
from appliance.chat import citations
from appliance.chat.missing import NO_ANSWER, STILL_READING, nothing_found
from appliance.chat.models import ABSTAINED, QUOTED, MessageStatus
from appliance.chat.prompt import CLOSELY
from appliance.cli.ask import answered_by_box
from appliance.errors import InvalidInput, NotFound, Throttled, Unavailable
from appliance.identity.models import SYSTEM
from appliance.identity.store import set_disabled
from appliance.storage import tables

LEAVE = "Every employee has thirty days of paid leave in a calendar year. Unused days expire on 31 March."
PARKING = "The car park behind the workshop is open from 06:30 to 22:00. Visitors register at the front desk."
QUESTION = "How many days of paid leave does an employee have?"


@pytest.fixture
def alice(office):
    person = office.person("alice")
    office.handbook = office.document(office.collection(person), "handbook.txt", PARKING, LEAVE)
    return person


def ask(office, person, text=QUESTION):
    conversation = office.chat.create_conversation(person)
    return office.chat.ask(person, conversation.id, text)[1].id


def test_a_person_cannot_see_ask_stop_or_delete_in_somebody_elses_conversation(office, alice):
    stranger = office.person("stranger")
    conversation = office.chat.create_conversation(alice)
    _, answer = office.chat.ask(alice, conversation.id, QUESTION)
    for act in (
        lambda: office.chat.conversation(stranger, conversation.id),
        lambda: office.chat.ask(stranger, conversation.id, "?"),
        lambda: office.chat.delete_conversation(stranger, conversation.id),
        lambda: office.chat.message(stranger, answer.id),
        lambda: office.chat.stop(stranger, answer.id),
        lambda: office.chat.message(stranger, "no such message"),
    ):
        with pytest.raises(NotFound):
            act()
    assert office.chat.conversations(stranger) == []
    assert office.events().count("access.denied") == 6
    assert office.chat.message(alice, answer.id).status is MessageStatus.PENDING


def test_silence_right_after_an_upload_says_that_reading_goes_on_and_never_of_other_peoples_documents(office, alice, sink):
    def answer(person) -> str:
        answer_id = ask(office, person, "When does the planetarium close?")
        office.chat.answer(answer_id, sink, "w1")
        return office.chat.message(person, answer_id).text

    stranger = office.person("stranger")
    assert answer(alice) == NO_ANSWER
    with office.database.write() as connection:
        connection.execute(update(tables.documents).where(tables.documents.c.id == office.handbook).values(status="PARSING"))
    assert answer(alice) == f"{NO_ANSWER} {STILL_READING}"
    assert answer(stranger) == NO_ANSWER


def test_an_address_that_no_passage_holds_is_neither_shown_nor_released_and_a_hole_in_that_is_met_at_the_end(
    office, alice, sink, monkeypatch
):
    office.runtime.replies = ["Every employee has thirty days of paid leave in a calendar year //a.io."] * 3
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    assert "a.io" not in sink.text + office.chat.message(alice, answer_id).text
    monkeypatch.setattr(citations, "may_tell", lambda *_: True)
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.text, answer.reason_code) == (MessageStatus.FAILED, "", "answer.withheld")


def test_each_thing_that_is_asked_is_searched_for_and_quoted(office, alice, sink):
    parts = ["When is the car park behind the workshop open", "how many days of paid leave does an employee have"]
    answer_id = ask(office, alice, f"{parts[0]}, and {parts[1]}?")
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert office.search.queries == parts
    assert [citation.text.split(" ", 2)[:2] for citation in answer.citations] == [["The", "car"], ["Every", "employee"]]
    assert office.runtime.requests[0].messages[-1].text.count(LEAVE) == 1


def test_what_is_not_answered_beside_what_is_is_said_once_all_is_checked_and_cites_nothing(office, alice, sink):
    stranger = office.person("stranger")
    office.document(office.collection(stranger), "stars.txt", "The planetarium closes at nine in the evening.")
    answer_id = ask(office, alice, "When does the planetarium close, and how many days of paid leave does an employee have?")
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    said, missing = answer.text.rsplit("\n\n", 1)
    assert (said.count("["), len(answer.citations)) == (1, 1)
    assert missing == "The documents you may read do not contain an answer to “When does the planetarium close”."
    assert missing not in sink.text
    assert answer.finish_reason != ABSTAINED


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (["Where is [1] kept?"], "an answer to “Where is kept”."),
        (["when is\npayday?", "who pays  it"], "an answer to “when is payday” or “who pays it”."),
        (["why " * 60], f"an answer to “{'why ' * 29}why …”."),
    ],
)
def test_what_is_missing_is_named_as_it_was_asked_without_marks_and_not_at_length(parts, told):
    assert nothing_found(parts).endswith(told)


NEAR = "Which employee has sixty paid leave vouchers?"


def test_where_the_documents_hold_no_answer_the_nearest_passages_are_offered_and_nothing_is_cited(office, alice, sink):
    answer_id = ask(office, alice, NEAR)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.text, answer.citations, answer.passages_used) == (NO_ANSWER, (), 0)
    (near,) = answer.nearest
    assert (near.document_id, near.document_name, near.page, near.text) == (office.handbook, "handbook.txt", 2, LEAVE)
    assert LEAVE[: near.end - near.start] == LEAVE
    assert office.runtime.requests == []
    told = office.last_event("answer.released")
    assert office.handbook in told, "the log says whose text was shown"
    (_, again) = office.chat.conversation(alice, answer.conversation_id)[1]
    assert again.nearest == answer.nearest


def test_nothing_is_offered_where_nothing_is_near(office, alice, sink):
    answer_id = ask(office, alice, "When does the planetarium close?")
    office.chat.answer(answer_id, sink, "w1")
    assert office.chat.message(alice, answer_id).nearest == ()


def test_what_was_offered_is_shown_only_to_whoever_may_still_read_it(office, alice, sink):
    answer_id = ask(office, alice, NEAR)
    office.chat.answer(answer_id, sink, "w1")
    with office.database.write() as connection:
        connection.execute(delete(tables.grants))
    assert office.chat.message(alice, answer_id).nearest == ()


def test_rights_that_end_while_a_question_is_worked_on_leave_nothing_to_offer(office, alice, sink):
    answer_id = ask(office, alice, NEAR)
    search = office.search.search

    def closing(*arguments, **more):
        found = search(*arguments, **more)
        with office.database.write() as connection:
            connection.execute(delete(tables.grants))
        return found

    office.search.search = closing
    office.chat.answer(answer_id, sink, "w1")
    with office.database.read() as connection:
        assert connection.execute(select(tables.message_nearest)).all() == []


def test_documents_out_of_scope_never_reach_prompt_answer_or_citation(office, alice, sink):
    stranger = office.person("stranger")
    answer_id = ask(office, stranger)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(stranger, answer_id)
    assert (answer.status, answer.text, answer.citations) == (MessageStatus.DONE, NO_ANSWER, ())
    assert office.runtime.requests == []


def test_a_supported_answer_is_streamed_cited_stored_and_audited(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave in a calendar year [7]."]
    answer_id = ask(office, alice)
    assert office.chat.pending_ids() == [answer_id]
    office.chat.answer(answer_id, sink, "w1")
    assert office.chat.pending_ids() == []
    answer = office.chat.message(alice, answer_id)
    assert answer.status is MessageStatus.DONE
    assert answer.text == "An employee has thirty days of paid leave in a calendar year. [1]"
    (citation,) = answer.citations
    assert answer.text[citation.answer_start : citation.answer_end] == "[1]"
    assert citation.text == "Every employee has thirty days of paid leave in a calendar year."
    assert (citation.document_id, citation.document_name, citation.page) == (office.handbook, "handbook.txt", 2)
    assert answer.passages_found == 1 and answer.passages_used == 1 and answer.model == "scripted"
    assert sink.seen[0] == ("reset", 1) and sink.seen[-1] == ("finished", answer_id)
    assert sink.text.startswith("An employee")
    events = office.events()
    assert events.index("question.asked") < events.index("answer.started") < events.index("answer.released")


def test_what_was_read_is_in_the_log_before_the_first_delta_leaves(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    durable = []
    office.runtime.before_each = lambda position: durable.append(office.events()[-1])
    office.chat.answer(ask(office, alice), sink, "w1")
    assert durable[0] == "answer.started"


def test_an_invented_answer_is_replaced_by_the_passages_own_words(office, alice, sink):
    office.runtime.replies = ["Employees enjoy unlimited holidays and 45 days of parental sabbatical [1]."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert "45" not in answer.text and answer.finish_reason == QUOTED
    assert "“Every employee has thirty days of paid leave in a calendar year.” [1]" in answer.text
    assert answer.citations[0].text == "Every employee has thirty days of paid leave in a calendar year."


def test_where_nothing_supports_an_answer_the_best_passage_is_asked_once_more(office, alice, sink):
    office.runtime.replies = ["Employees enjoy unlimited holidays.", "An employee has thirty days of paid leave."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.text, answer.finish_reason) == ("An employee has thirty days of paid leave. [1]", "stop")
    first, second = office.runtime.requests
    assert second.messages[-1].text.endswith(CLOSELY) and CLOSELY not in first.messages[-1].text
    assert second.max_tokens < first.max_tokens
    assert (answer.prompt_tokens, answer.completion_tokens) == (20, 4 + 8), "both tries are counted"
    again = sink.seen.index(("stage", "again"))
    assert sink.seen[again - 1] == ("reset", 1), "what was shown of the first try is taken back"
    assert "unlimited" not in "".join(item[1] for item in sink.seen[again:] if item[0] == "delta")


def test_a_second_try_that_takes_too_long_leaves_the_passages_own_words(office, alice, sink):
    office.runtime.replies = ["Employees enjoy unlimited holidays.", "An employee has thirty days of paid leave."]

    def hangs_at_second(_position):
        if len(office.runtime.requests) == 2:
            raise Unavailable("It took too long.", code="inference.timeout")

    office.runtime.before_each = hangs_at_second
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.finish_reason) == (MessageStatus.DONE, QUOTED)
    assert answer.text == "“Every employee has thirty days of paid leave in a calendar year.” [1]"


def test_words_of_what_nothing_supports_may_be_said_again_by_a_try_or_a_quotation_that_is_supported(office, alice, sink):
    invented = "Every employee has thirty days of paid leave in a calendar year on the moon with 99 llamas."
    for second in ("An employee has thirty days of paid leave.", invented):
        office.runtime.replies = [invented, second]
        answer_id = ask(office, alice)
        office.chat.answer(answer_id, sink, "w1")
        answer = office.chat.message(alice, answer_id)
        assert "thirty days of paid leave" in answer.text and "llamas" not in answer.text
        assert len(answer.citations) == 1


def test_a_stop_while_the_model_waits_for_memory_ends_the_wait(office, alice, sink, monkeypatch):
    @contextmanager
    def waits(request, _told, _decided):
        office.chat.stop(alice, answer_id)
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            request()
            time.sleep(0.01)
        yield

    monkeypatch.setattr(office.chat._answering._router, "lend_loadable", waits)
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    assert office.chat.message(alice, answer_id).status is MessageStatus.STOPPED
    assert office.runtime.requests == []


def test_a_stopped_answer_is_not_tried_again(office, alice, sink):
    office.runtime.replies = ["Employees enjoy unlimited holidays, " * 40]
    answer_id = ask(office, alice)
    office.runtime.before_each = lambda position: office.chat.stop(alice, answer_id) if position == 3 else time.sleep(0.01)
    office.chat.answer(answer_id, sink, "w1")
    assert office.chat.message(alice, answer_id).status is MessageStatus.STOPPED
    assert len(office.runtime.requests) == 1


def test_a_micro_model_is_preceded_by_the_passages_own_words_and_followed_only_where_grounded(office, alice, sink):
    office.runtime.model = replace(office.runtime.model, size_bytes=90_000_000)
    office.runtime.replies = ["The unused days expire on 31 March. There are 99 days. " + "More words follow. " * 20]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    quote = "“Every employee has thirty days of paid leave in a calendar year.” [1]"
    assert next(item for item in sink.seen if item[0] == "delta") == ("delta", quote, 0)
    offsets = [(item[2], len(item[1])) for item in sink.seen if item[0] == "delta"]
    assert all(offset + length == following for (offset, length), (following, _) in pairwise(offsets))
    answer = office.chat.message(alice, answer_id)
    assert answer.text == f"{quote}\n\nThe unused days expire on 31 March. [1]"
    assert sink.text == answer.text, "nothing is shown that is taken back"
    assert answer.completion_tokens < 30, "the first invented sentence ends the answer"
    assert [answer.text[c.answer_start : c.answer_end] for c in answer.citations] == ["[1]", "[1]"]
    assert office.runtime.requests[0].max_tokens < office.settings.answer_tokens


def test_a_model_that_goes_round_in_circles_is_stopped_and_still_answers(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave. " * 60]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.finish_reason) == (MessageStatus.DONE, "stop")
    assert answer.text == "An employee has thirty days of paid leave. [1]"
    assert answer.completion_tokens < 30


def test_a_question_the_documents_do_not_answer_costs_no_generation_and_cites_nothing(office, alice, sink):
    answer_id = ask(office, alice, "What is the boiling temperature of tungsten hexafluoride?")
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.text, answer.citations, answer.passages_used) == (NO_ANSWER, (), 0)
    assert office.runtime.requests == []


def test_answering_twice_answers_once(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave.", "Something else."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    before = office.chat.message(alice, answer_id)
    office.chat.answer(answer_id, sink, "w2")
    assert office.chat.message(alice, answer_id) == before
    assert len(office.runtime.requests) == 1


def test_a_claimed_answer_is_left_alone_until_its_lease_runs_out_and_given_up_after_two_crashes(office, alice, sink):
    answer_id = ask(office, alice)
    for attempt in (1, 2):
        with office.database.write() as connection:
            from appliance.chat.claims import claim_answer

            assert claim_answer(connection, answer_id, f"dead-{attempt}").attempt == attempt
        office.chat.answer(answer_id, sink, "w")
        assert sink.seen == [] and office.chat.pending_ids() == []
        with office.database.write() as connection:
            connection.execute(update(tables.messages).where(tables.messages.c.id == answer_id).values(lease_until_ms=1))
        assert office.chat.pending_ids() == [answer_id]
    office.chat.answer(answer_id, sink, "w")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.reason_code) == (MessageStatus.FAILED, "answer.crashed")
    assert "answer.failed" in office.events()
    assert sink.seen == [("finished", answer_id)]


def test_a_disabled_person_gets_no_answer(office, alice, sink):
    answer_id = ask(office, alice)
    with office.database.write() as connection:
        connection.execute(update(tables.principals).where(tables.principals.c.id == alice.id).values(disabled_ms=1))
    office.chat.answer(answer_id, sink, "w1")
    with office.database.read() as connection:
        row = connection.execute(select(tables.messages).where(tables.messages.c.id == answer_id)).one()
    assert (row.status, row.reason_code, row.text) == ("FAILED", "answer.denied", "")
    assert office.search.queries == []


def test_a_runtime_that_fails_leaves_a_reason(office, alice, sink):
    def fail(position):
        raise Unavailable("The language model does not answer.", code="inference.unavailable")

    office.runtime.before_each = fail
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.reason_code) == (MessageStatus.FAILED, "inference.unavailable")
    assert answer.reason == "The language model does not answer."


def test_a_broken_sink_does_not_cost_the_answer(office, alice):
    class Broken:
        def __getattr__(self, name):
            raise ConnectionError("gone")

    office.runtime.replies = ["An employee has thirty days of paid leave."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, Broken(), "w1")
    assert office.chat.message(alice, answer_id).status is MessageStatus.DONE


def test_stop_before_the_start_ends_the_answer_at_once(office, alice, sink):
    answer_id = ask(office, alice)
    office.chat.stop(alice, answer_id)
    assert office.chat.message(alice, answer_id).status is MessageStatus.STOPPED
    office.chat.answer(answer_id, sink, "w1")
    assert sink.seen == [] and office.runtime.requests == []
    assert {"stop.requested", "answer.stopped"} <= set(office.events())


def test_stop_while_writing_keeps_what_is_written_with_valid_citations_only(office, alice, sink):
    office.runtime.replies = [
        "Every employee has thirty days of paid leave in a calendar year [3]. "
        + "".join(f"Holidays on the moon are part {part} of it [2]. " for part in range(400))
    ]
    answer_id = ask(office, alice)
    reached = threading.Event()

    def slowly(position):
        if position == 20:
            reached.set()
        if position > 20:
            time.sleep(0.02)

    office.runtime.before_each = slowly
    worker = threading.Thread(target=office.chat.answer, args=(answer_id, sink, "w1"))
    worker.start()
    assert reached.wait(5)
    pressed = time.monotonic()
    office.chat.stop(alice, answer_id)
    worker.join(5)
    assert time.monotonic() - pressed < 2  # a second, and a slow machine
    answer = office.chat.message(alice, answer_id)
    assert answer.status is MessageStatus.STOPPED and answer.finish_reason == "cancelled"
    assert answer.text == "Every employee has thirty days of paid leave in a calendar year. [1]"
    assert [citation.number for citation in answer.citations] == [1]
    assert "[3]" not in answer.text and "[2]" not in answer.text


def test_a_question_that_cannot_fit_is_refused_when_asked(office, alice):
    conversation = office.chat.create_conversation(alice)
    with pytest.raises(InvalidInput) as refusal:
        office.chat.ask(alice, conversation.id, "why " * 2_000)
    assert refusal.value.stable_code == "chat.question_too_long"
    with pytest.raises(InvalidInput) as refusal:
        office.chat.ask(alice, conversation.id, "  \n ")
    assert refusal.value.stable_code == "chat.question_empty"
    assert office.chat.conversation(alice, conversation.id)[1] == []


def test_a_followup_searches_with_what_it_leans_on_and_sees_the_history(office, alice, sink):
    conversation = office.chat.create_conversation(alice)
    office.runtime.replies = ["An employee has thirty days of paid leave.", "Unused days expire on 31 March."]
    for text in (QUESTION, "And when do they expire?"):
        office.chat.answer(office.chat.ask(alice, conversation.id, text)[1].id, sink, "w1")
    assert "leave" in office.search.queries[1] and "expire" in office.search.queries[1]
    prompt = office.runtime.requests[1].messages
    assert [message.role for message in prompt] == ["system", "user", "assistant", "user"]
    assert prompt[1].text == QUESTION
    assert office.chat.conversation(alice, conversation.id)[1][-1].text == "Unused days expire on 31 March. [1]"


def test_a_deleted_document_leaves_the_answer_and_takes_the_cited_text(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    with office.database.write() as connection:
        connection.execute(tables.documents.delete().where(tables.documents.c.id == office.handbook))
    (citation,) = office.chat.message(alice, answer_id).citations
    assert (citation.document_id, citation.text) == (None, "")


def test_losing_the_right_to_a_document_takes_the_cited_text_from_old_answers(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    with office.database.write() as connection:
        connection.execute(tables.grants.delete())
    (citation,) = office.chat.message(alice, answer_id).citations
    assert (citation.document_id, citation.document_name, citation.text) == (None, "", "")


def test_rights_lost_while_an_answer_is_written_hold_it_back(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]

    def revoke(position):
        if position == 3:
            with office.database.write() as connection:
                connection.execute(tables.grants.delete())

    office.runtime.before_each = revoke
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    answer = office.chat.message(alice, answer_id)
    assert (answer.status, answer.reason_code, answer.text) == (MessageStatus.FAILED, "answer.denied", "")


def test_nobody_fills_the_queue_for_all_others(office, alice, sink):
    conversation = office.chat.create_conversation(alice)
    waiting = [office.chat.ask(alice, conversation.id, QUESTION)[1].id for _ in range(10)]
    another = office.chat.create_conversation(alice)
    with pytest.raises(Throttled):
        office.chat.ask(alice, another.id, QUESTION)
    assert office.events().count("question.asked") == 10
    bob = office.person("bob")
    assert office.chat.ask(bob, office.chat.create_conversation(bob).id, QUESTION)
    office.chat.stop(alice, waiting[0])
    assert office.chat.ask(alice, another.id, QUESTION)


def test_two_deletions_at_once_are_one_act_and_one_record(office, alice):
    conversation = office.chat.create_conversation(alice)
    ends = []

    def delete():
        try:
            office.chat.delete_conversation(alice, conversation.id)
            ends.append("deleted")
        except NotFound:
            ends.append("not found")

    windows = [threading.Thread(target=delete) for _ in range(3)]
    with office.database.write():  # all three have looked before the first may act
        for window in windows:
            window.start()
        time.sleep(0.3)
    for window in windows:
        window.join()
    assert sorted(ends) == ["deleted", "not found", "not found"]
    assert office.events().count("conversation.deleted") == 1


def test_deleting_a_conversation_while_it_is_answered_ends_the_work_unseen(office, alice, sink):
    office.runtime.replies = [" ".join(f"word{part}" for part in range(400))]
    office.runtime.before_each = lambda _: time.sleep(0.01)
    conversation = office.chat.create_conversation(alice)
    answer_id = office.chat.ask(alice, conversation.id, QUESTION)[1].id
    worker = threading.Thread(target=office.chat.answer, args=(answer_id, sink, "w1"))
    worker.start()
    time.sleep(0.3)
    office.chat.delete_conversation(alice, conversation.id)
    worker.join(2)
    assert not worker.is_alive()
    assert office.chat.conversations(alice) == []


def test_an_account_deleted_while_it_is_answered_leaves_no_answer(office, alice, sink):
    office.runtime.replies = ["An employee has thirty days of paid leave."]

    def delete_account(position: int) -> None:
        if position == 3:
            with office.database.write() as connection:
                delete_person(connection, office.audit, SYSTEM, alice, belongings_of(connection, alice.id))

    office.runtime.before_each = delete_account
    answer_id = ask(office, alice)
    office.chat.answer(answer_id, sink, "w1")
    assert len(office.runtime.requests) == 1
    assert office.chat.settled(answer_id)
    assert {"person.deleted", "answer.started"} <= set(office.events())
    assert "answer.released" not in office.events()
    with office.database.read() as connection:
        assert [row.role for row in connection.execute(select(tables.messages))] == ["user"]  # until it is cleared away
        assert connection.execute(select(tables.message_passages)).all() == []


def test_answer_now_takes_its_own_question_before_any_worker_can(office, alice):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    swept = []
    office.runtime.before_each = lambda _: swept.extend(office.chat.pending_ids())
    message = office.chat.answer_now(alice, QUESTION)
    assert message.status is MessageStatus.DONE and message.citations[0].page == 2
    assert swept == []


def test_a_question_left_to_a_box_that_has_ended_is_answered_all_the_same(office, alice):
    office.runtime.replies = ["An employee has thirty days of paid leave."]
    message = answered_by_box(office, alice, QUESTION, None, "")
    assert message.status is MessageStatus.DONE and message.citations[0].page == 2


def test_conversations_take_their_title_from_the_first_question(office, alice):
    conversation = office.chat.create_conversation(alice)
    office.chat.ask(alice, conversation.id, QUESTION)
    office.chat.ask(alice, conversation.id, "Something else?")
    assert [item.title for item in office.chat.conversations(alice)] == [QUESTION]
    office.chat.delete_conversation(alice, conversation.id)
    assert office.chat.conversations(alice) == []
