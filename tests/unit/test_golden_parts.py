"""The pure parts of golden sets: what may be kept, when a set is due, when a run is a regression, and files."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from appliance.administration.golden.checking import QUESTIONS_LIMIT, checked
from appliance.administration.golden.margin import Margin, compare_runs, load_margin
from appliance.administration.golden.models import Expected, QuestionOutcome, Schedule
from appliance.administration.golden.places import Rank, compared_places
from appliance.administration.golden.schedule import next_due_ms
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.errors import InvalidInput, SetupError
from appliance.evaluation.golden.files import read, written
from appliance.inference.selection.models import Offer
from appliance.inference.selection.offers import supposed

MARGIN = Margin(worse_questions=1, worse_share=0.05, valid_h=1)
DOCUMENTS = ["rules.pdf", "prices.xlsx"]


@pytest.mark.parametrize(
    "expected",
    [
        Expected(" "),
        Expected("Who?"),
        Expected("Who?", ("him",), silent=True),
        Expected("Who?", (), "rules.pdf", silent=True),
        Expected("Who?", ("him",), page=2),
        Expected("Who?", (), "rules.pdf", 0),
        Expected("Who?", (), "unknown.pdf"),
        Expected("Who?", ("he | she",)),
        Expected("Who?", ("x",) * 1 + tuple(str(at) for at in range(20))),
        Expected("W" * 1_001, ("him",)),
    ],
)
def test_what_cannot_be_judged_is_not_kept(expected: Expected) -> None:
    with pytest.raises(InvalidInput):
        checked([expected], DOCUMENTS)


def test_the_question_that_is_wrong_is_named_and_none_is_kept() -> None:
    with pytest.raises(InvalidInput, match="Question 2"):
        checked([Expected("Who?", ("him",)), Expected("What?")], DOCUMENTS)
    with pytest.raises(InvalidInput, match="at most"):
        checked([Expected("Who?", ("him",))], DOCUMENTS, already=QUESTIONS_LIMIT)
    assert checked([Expected(" Who? ", (" him ", "", "him"))], DOCUMENTS) == [Expected("Who?", ("him",))]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone().timestamp() * 1_000)


def test_a_set_is_due_at_its_hour_and_on_its_day() -> None:
    friday_noon = at("2026-11-20T12:00:00")
    assert next_due_ms(Schedule.OFF, 3, 0, friday_noon) is None
    assert next_due_ms(Schedule.DAILY, 3, 0, friday_noon) == at("2026-11-21T03:00:00")
    assert next_due_ms(Schedule.DAILY, 13, 0, friday_noon) == at("2026-11-20T13:00:00")
    assert next_due_ms(Schedule.DAILY, 12, 0, friday_noon) == at("2026-11-21T12:00:00"), "not twice at the same moment"
    assert next_due_ms(Schedule.WEEKLY, 3, 0, friday_noon) == at("2026-11-23T03:00:00")
    assert next_due_ms(Schedule.WEEKLY, 3, 4, friday_noon) == at("2026-11-27T03:00:00")
    assert next_due_ms(Schedule.WEEKLY, 13, 4, friday_noon) == at("2026-11-20T13:00:00")


def outcomes(verdicts: str, sha256: str = "same") -> list[QuestionOutcome]:
    """One for each letter: `+` is right."""
    return [
        QuestionOutcome(str(n), n, sha256, f"question {n}", verdict == "+", "", None, False, False)
        for n, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("before", "now", "regressed"),
    [
        ("++++", "++++", False),
        ("++++", "+++-", False),  # one hangs in the balance
        ("++++", "++--", True),
        ("++--", "--++", False),  # as much won as lost
        ("+++-", "---+", True),
        ("+" * 60, "+" * 57 + "---", False),  # a twentieth
        ("+" * 60, "+" * 56 + "----", True),
    ],
)
def test_a_run_is_a_regression_by_questions_and_in_large_sets_by_share(before: str, now: str, regressed: bool) -> None:
    assert compare_runs(outcomes(before), outcomes(now), MARGIN).regressed is regressed


def test_only_questions_that_both_runs_asked_are_compared() -> None:
    found = compare_runs(outcomes("++++"), outcomes("----", "changed since"), MARGIN)
    assert (found.compared, found.regressed) == (0, False)
    found = compare_runs(outcomes("++"), outcomes("----"), MARGIN)
    assert (found.compared, [change.question_id for change in found.worse]) == (2, ["0", "1"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[regression]\nworse_questions = 1\nworse_share = 0.05",
        "[regression]\nworse_questions = 1\nworse_share = 0.05\nvalid_h = 72\nmore = 1",
        "[regression]\nworse_questions = true\nworse_share = 0.05\nvalid_h = 72",
        "[regression]\nworse_questions = 1.5\nworse_share = 0.05\nvalid_h = 72",
        "[regression]\nworse_questions = 1\nworse_share = 2\nvalid_h = 72",
        "[regression]\nworse_questions = -1\nworse_share = 0.05\nvalid_h = 72",
        "[regression\n",
    ],
)
def test_a_policy_that_is_not_understood_keeps_the_box_from_starting(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evaluation.toml"
    path.write_text(text)
    with pytest.raises(SetupError) as refused:
        load_margin(path)
    assert refused.value.stable_code == "setup.evaluation"


def test_the_policy_that_is_shipped_is_understood() -> None:
    assert load_margin(POLICIES_DIR / "evaluation.toml").allowed(4) == 1


def test_what_is_exported_can_be_imported_and_no_spreadsheet_takes_it_for_a_formula() -> None:
    questions = [
        Expected('Who said "no, never"?', ("the captain", "captain Ann"), "rules.pdf", 3),
        Expected("=1+1 is what?\nSay it.", ("two",)),
        Expected("Who is king?", silent=True),
        Expected("What are the prices?", (), "prices.xlsx"),
    ]
    content = written(questions)
    assert read(content.encode(), "csv", DOCUMENTS) == questions
    assert not any(line.startswith("=") for line in content.splitlines())
    assert read(b"\xef\xbb\xbfQuestion;Answers;Silent\nWho?;him;no\n", "csv", DOCUMENTS) == [Expected("Who?", ("him",))]


def test_squad_files_expect_the_document_that_bears_the_title() -> None:
    answer = {"text": "thirty", "answer_start": 0}
    asked = [{"question": "How many?", "answers": [answer]}, {"question": "Who?", "answers": [], "is_impossible": True}]
    data = [{"title": title, "paragraphs": [{"context": "thirty days", "qas": asked}]} for title in ("Rules", "Elsewhere")]
    found = read(json.dumps({"data": data}).encode(), "json", DOCUMENTS)
    silent = Expected("Who?", silent=True)
    assert found == [Expected("How many?", ("thirty",), "rules.pdf"), silent, Expected("How many?", ("thirty",)), silent]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"\xff\xfe", "csv"),
        (b"text\nWho?\n", "csv"),
        (b"question,colour\nWho?,red\n", "csv"),
        (b"question,silent\nWho?,perhaps\n", "csv"),
        (b"question,page\nWho?,two\n", "csv"),
        (b"question\nWho?\n", "xlsx"),
        (b"question,answers\nHow many, in days, is it?,16\n", "csv"),
        (b"question,answers\nHow many?," + b"x" * 131_073 + b"\n", "csv"),
        (b"{}", "json"),
        (b"[", "json"),
    ],
)
def test_files_that_are_not_understood_are_refused_with_a_sentence(content: bytes, form: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(content, form, DOCUMENTS)
    assert refused.value.sentence.endswith(".")
    assert form == "json" or refused.value.stable_code == "golden.file"


def test_supposing_a_version_retires_its_elders_and_every_trial_but_its_own() -> None:
    offers = [
        Offer("llamacpp", "harbour@1", "harbour"),
        Offer("llamacpp", "harbour@2", "harbour", state="candidate"),
        Offer("llamacpp", "harbour@3", "harbour", state="canary", canary_percent=10),
        Offer("llamacpp", "reed@1", "reed"),
        Offer("llamacpp", "reed@2", "reed", state="canary", canary_percent=10),
    ]
    states = lambda version="": {offer.model_id: str(offer.state) for offer in supposed(offers, version)}
    assert states("harbour@3") == {"harbour@1": "retired", "harbour@2": "candidate", "harbour@3": "active", "reed@1": "active",
                                   "reed@2": "retired"}  # fmt: skip
    assert states() == {"harbour@1": "active", "harbour@2": "candidate", "harbour@3": "retired", "reed@1": "active",
                        "reed@2": "retired"}  # fmt: skip


@pytest.mark.parametrize(
    ("places", "regressed", "worse", "better"),
    [
        ([(1, 1), (None, None), (9, 10)], False, 0, 0),  # beyond the depth is as good as not found
        ([(1, 2), (1, 1)], False, 1, 0),  # one may be lost
        ([(1, 2), (1, 3)], True, 2, 0),  # found, and no longer first
        ([(2, None), (3, None)], True, 2, 0),  # never first, and no longer found
        ([(2, None), (3, 9), (4, 1), (5, 1)], True, 2, 2),  # first places do not make up for what is not found
        ([(1, None), (1, None), (None, 1), (9, 1)], False, 2, 2),
        ([], False, 0, 0),
    ],
)
def test_an_index_is_worse_where_more_lost_the_first_place_or_every_place(places, regressed, worse, better) -> None:
    given = [Rank(str(at), "Who?", *place) for at, place in enumerate(places)]
    found = compared_places("s", given, 8, MARGIN)
    assert (found.regressed, len(found.worse), len(found.better)) == (regressed, worse, better)
