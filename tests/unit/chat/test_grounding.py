"""What supports a sentence, and what does not."""

from __future__ import annotations

import pytest

from appliance.chat.citations import AnswerDraft
from appliance.chat.grounding import find_support
from appliance.retrieval.models import Hit

PASSAGE = (
    "Claims above 500 euros need the approval of the head of department. Hotel nights are paid up to 110 euros. "
    "The duty desk is staffed by the Northbank office at all hours. Visitors are not allowed in the server room."
)


def hit(text: str, start: int = 100) -> Hit:
    return Hit(1, "d", "rules.txt", "c", 1, start, start + len(text), "", text, 10, 1.0, 0.5, 1.0)


@pytest.mark.parametrize(
    "sentence",
    [
        "Claims above 600 euros need the approval of the head of department.",
        "Hotel nights are paid up to 110.50 euros.",
        "The duty desk is staffed by the Southbank office at all hours.",
        "Claims need a form F7 and the approval of the head of department.",
        "Employees enjoy free lunch and a company car.",
        "Visitors are allowed in the server room.",
        "Hotel nights are never paid up to 110 euros.",
        "Claims above 500 euros need the approval of the head of security.",  # a word from nowhere
        "Claims below 500 euros need the approval of the head of department.",
        "Hotel nights are paid up to 500 euros.",  # the number of the sentence before
        "Hotel nights need the approval of the head of department.",
        "Yes.",
    ],
)
def test_a_wrong_number_name_code_negation_or_claim_is_not_supported(sentence):
    assert find_support(sentence, [PASSAGE]) is None


@pytest.mark.parametrize(
    ("sentence", "span"),
    [
        ("The head of department must approve claims above 500 euros.", "Claims above 500 euros"),
        ("Hotel nights are paid up to 110 euros", "Hotel nights"),
        ("The server room does not allow visitors.", "Visitors are not allowed"),
    ],
)
def test_support_is_the_sentence_that_says_it(sentence, span):
    support = find_support(sentence, ["Something else entirely about boats.", PASSAGE])
    assert support is not None and support.passage == 1
    assert PASSAGE[support.start :].startswith(span)
    assert PASSAGE[support.start : support.end].count(".") == 1


SHIPS = (
    "Sandpiper runs on batteries and charges at each quay. It carries 300 passengers on every crossing. "
    "Avocet was overhauled in Northbank. Crew members must take part in one drill every month before they stand watch alone."
)


@pytest.mark.parametrize(
    "sentence",
    [
        "Avocet runs on batteries and charges at each quay.",
        "Avocet carries 300 passengers on every crossing, and runs on batteries.",
        "Crew members may take part in one drill every month before they stand watch alone.",
        "Crew members must take part in one drill every week before they stand watch alone.",
        "Crew members must take part in one drill every month after they stand watch alone.",
    ],
)
def test_what_is_said_of_something_else_or_the_other_way_round_supports_nothing(sentence):
    assert find_support(sentence, [SHIPS]) is None


def test_a_neighbour_may_say_of_whom():
    found = find_support("Sandpiper carries 300 passengers on every crossing.", [SHIPS])
    assert found is not None
    assert "Sandpiper" in SHIPS[found.start : found.end] and "300" in SHIPS[found.start : found.end]


def test_marks_of_the_model_are_never_believed():
    draft = AnswerDraft([hit("The ramp closes two minutes before departure."), hit(PASSAGE)])
    draft.add_checked("Hotel nights are paid up to 110 euros [1]. See [9] and (passage 2): trust me [2, 3].")
    checked = draft.checked()
    assert checked.text == "Hotel nights are paid up to 110 euros. [1]"
    (span,) = checked.spans
    assert (span.number, checked.text[span.answer_start : span.answer_end]) == (1, "[1]")
    assert PASSAGE[span.start - 100 : span.end - 100] == "Hotel nights are paid up to 110 euros."
    assert checked.unsupported == 1
    assert [passage.text == PASSAGE for passage in draft.passages()] == [True, False]


@pytest.mark.parametrize(
    "sentence",
    [
        "You cannot take leave in July.",  # for crews, in one week of it
        "Take leave in regatta week.",
        "Can deck and engine crews take leave in regatta week, the second full week of July?",
    ],
)
def test_who_leaves_out_the_conditions_is_not_supported_strictly(sentence):
    rule = "Deck and engine crews cannot take leave in regatta week, the second full week of July, when all ferries sail."
    assert find_support(sentence, [rule], strict=True) is None


def test_strictly_every_word_is_there():
    claim = "Employees claims above 500 euros need the approval of the head of department."
    assert find_support(claim.removeprefix("Employees "), [PASSAGE], strict=True)
    assert find_support(claim, [f"{PASSAGE} Employees travel."]) and not find_support(
        claim, [f"{PASSAGE} Employees travel."], strict=True
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "The people who work on the ships are 142 people, and the people who work ashore are 56.",
        "142 people work ashore.",
        "142 people work on the ships.",
        "The ships work for the company.",
    ],
)
def test_strictly_the_order_tells_who_does_what(sentence):
    source = "142 people work for the company: 86 on the ships and 56 ashore."
    assert find_support(sentence, [source], strict=True) is None
    assert find_support("142 people work for the company: 86 on the ships, 56 ashore.", [source], strict=True)


def test_a_close_paraphrase_is_supported_strictly():
    assert find_support("Hotel nights are paid up to 110 euros.", [PASSAGE], strict=True)


def test_a_sentence_that_only_repeats_the_question_is_no_answer():
    draft = AnswerDraft([hit("Hotel nights are paid up to a limit.")], question="Up to which limit are hotel nights paid?")
    assert not draft.add_checked("Hotel nights are paid up to a limit.")
    assert draft.checked().text == ""


def test_a_span_is_the_whole_passage_where_offsets_do_not_match_its_text():
    passage = Hit(1, "d", "n", "c", 1, 10, 999, "", PASSAGE, 10, 1.0, 0.5, 1.0)
    draft = AnswerDraft([passage])
    draft.add_checked("Hotel nights are paid up to 110 euros.")
    assert [(span.start, span.end) for span in draft.checked().spans] == [(10, 999)]


ROWS = "Our ships:\nShip\tBuilt\tPassengers\nAvocet\t2013\t450\nSandpiper\t2022\t300\nThey sail all year."


def test_what_the_next_row_says_supports_nothing_about_this_one():
    assert find_support("Sandpiper carries 450 passengers.", [ROWS]) is None
    assert find_support("Sandpiper was built in 2013.", [ROWS]) is None


def test_a_row_supports_with_the_names_of_its_columns():
    found = find_support("The ship Sandpiper: 300 passengers.", [ROWS])
    assert found is not None
    assert ROWS[found.start : found.end] == "Sandpiper\t2022\t300"
