"""What an answer keeps of how it came about, for the figures of its hour."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from appliance.storage.tables import messages

LEAVE = "Every employee has thirty days of paid leave in a calendar year. Unused days expire on 31 March."
QUESTION = "How many days of paid leave does an employee have?"
TRUE, INVENTED = "Every employee has thirty days of paid leave.", "The canteen serves ninety lobsters on Sundays."


@pytest.fixture
def kept(office, sink):
    alice = office.person("alice")
    office.document(office.collection(alice), "handbook.txt", LEAVE)

    def answered(question: str, reply: str = ""):
        office.runtime.replies = [reply]
        _, answer = office.chat.ask(alice, office.chat.create_conversation(alice).id, question)
        office.chat.answer(answer.id, sink, "w1")
        with office.database.read() as connection:
            return connection.execute(select(messages).where(messages.c.id == answer.id)).one()

    return answered


@pytest.mark.parametrize(
    ("reply", "sentences"),
    [(TRUE, (1, 0)), (f"{TRUE} {INVENTED}", (1, 1)), (INVENTED, (0, 1))],
    ids=["held", "one of two", "none"],
)
def test_sentences_of_the_model_are_counted_and_quotations_are_not(kept, reply, sentences) -> None:
    row = kept(QUESTION, reply)
    assert (row.sentences_supported, row.sentences_withheld) == sentences
    assert row.best_score == pytest.approx(20.0)


def test_a_silent_answer_keeps_the_score_of_the_passage_that_was_not_good_enough(kept) -> None:
    row = kept("Who has paid for the leave of the planetarium and its lobsters?")
    assert row.finish_reason == "abstained"
    assert 0 < row.best_score < 20
    assert kept("Where is Atlantis?").best_score is None
