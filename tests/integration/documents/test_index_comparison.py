"""Golden sets stand before another embedding model: what is found worse with it keeps it from taking over.

The questions share no word with any passage, so that vectors alone decide: a model knows what their words stand for, or does not.
"""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text

from appliance.administration.golden.index_trial import PATIENCE
from appliance.administration.golden.models import Expected
from appliance.administration.golden.objection import GoldenObjection
from appliance.cli import main
from appliance.documents import reembedding as passes
from appliance.errors import Conflict, Denied, NotFound
from appliance.identity.models import Role
from appliance.retrieval import indexes
from appliance.retrieval.indexes import EmbedderChanged
from appliance.retrieval.search import Search
from tests.conftest import PASSWORD
from tests.integration.documents.test_reembedding import Box, Model, paragraphs

PASSAGES = 10
"""More than an answer is written from."""


class Knowing(Model):
    """Knows that `berth3` is what passages call `velvet3`; of those in `lost` it believes the opposite."""

    lost: frozenset[str] = frozenset()

    def _word(self, word: str) -> np.ndarray:
        kept = word.strip("?.").lower()
        if not kept.startswith("berth"):
            return super()._word(word)
        meant = super()._word(named(int(kept.removeprefix("berth"))))
        return -meant if kept in self.lost else meant


def named(at: int) -> str:
    return paragraphs(at + 1)[at].split()[1]


class Gated(Box):
    """The administrator owns the documents; five questions are asked of them, and one that must be met with silence."""

    def __init__(self, appliance, administrator) -> None:
        super().__init__(appliance, administrator, administrator)
        self.become(Knowing("old", 384), Knowing("new", 100))
        with appliance.database.write() as connection:
            connection.execute(text("UPDATE search_indexes SET sha256 = :digest"), {"digest": self.old.sha256})
        self.put("a.txt", *paragraphs(PASSAGES))
        self.set_id = appliance.golden.create(administrator, self.collection, "Basics").id
        questions = [Expected(f"berth{at}?", (f"{named(at)} is told of here",)) for at in range(5)]
        self.questions = appliance.golden.add(administrator, self.set_id, [*questions, Expected("Who is king?", silent=True)])

    def become(self, old: Model, new: Model) -> None:
        self.old, self.new = old, new
        self.by_id = {"old@1": old, "new@1": new}

    def require(self) -> None:
        self.appliance.golden.change(self.administrator, self.set_id, required=True)

    def forget(self, *lost: int) -> None:
        self.new.lost = frozenset(f"berth{at}" for at in lost)

    def replace(self) -> None:
        self.models.activate(self.administrator, "new@1")
        self.passes.run()

    def against(self) -> str:
        return next((item.against for item in self.models.indexes(self.administrator) if item.state == "building"), "")

    def compared(self) -> list[tuple[str, dict]]:
        return [(outcome, facts) for name, outcome, facts in self.events() if name == "embedding.compared"]

    def names(self) -> list[str]:
        with self.appliance.database.read() as connection:
            return list(connection.execute(text("SELECT event FROM audit_events ORDER BY seq")).scalars())


@pytest.fixture
def box(appliance, administrator, monkeypatch) -> Gated:
    monkeypatch.setattr(passes, "BATCH", 4)
    monkeypatch.setattr(indexes, "PAUSE_S", 0)
    return Gated(appliance, administrator)


def test_a_model_that_finds_less_does_not_take_over_until_an_administrator_says_why(box, capsys) -> None:
    box.require()
    box.forget(1, 3)
    with pytest.raises(Conflict) as early:
        box.models.activate(box.administrator, "new@1", despite="because")
    assert early.value.stable_code == "golden.not_compared"
    box.replace()
    assert box.state() == {1: ("old@1", "serving"), 2: ("new@1", "building")}
    assert box.appliance.models.active("embedding").id == "old@1"
    assert box.against() == "for 2 questions of the golden sets the expected passage is found further down, or not at all."
    assert "does not take over: for 2 questions" in box.models.indexes(box.administrator)[1].sentence
    assert box.found("berth1?")[0] == f"The {named(1)} is told of here", "the old index goes on"
    ((outcome, facts),) = box.compared()
    assert (outcome, facts["questions"], facts["worse"], facts["found_before"], facts["found"]) == ("failure", 5, 2, 5, 3)
    # an index that does not serve is asked by its number, with its own model and within the same scope
    ask = lambda model, **which: Search(box.appliance.database, box.appliance.access, lambda: model, **which)
    assert ask(box.new, number=2).search(box.administrator, "berth0?", 1)[0].text.startswith(f"The {named(0)}")
    for wrong in (ask(box.old, number=2), ask(box.new), ask(box.new, number=3)):
        with pytest.raises(EmbedderChanged):
            wrong.search(box.administrator, "berth0?", 1)
    # nothing is left to do: neither asked again nor loaded
    assert box.passes.pending_ids() == []
    box.failing.add("new@1")
    box.passes.run()
    assert box.against() and len(box.compared()) == 1
    box.failing.clear()

    with pytest.raises(GoldenObjection) as refused:
        box.models.activate(box.administrator, "new@1")
    assert refused.value.stable_code == "golden.regression"
    assert "“berth1?”; “berth3?”" in refused.value.sentence
    other = box.appliance.people.create(box.administrator, "other", PASSWORD, frozenset({Role.ADMINISTRATOR}))
    with pytest.raises(GoldenObjection) as refused:
        box.models.activate(other, "new@1")
    assert ask(box.new, number=2).search(other, "berth0?", 1) == []
    assert "2 questions" in refused.value.sentence and "berth" not in refused.value.sentence
    assert main(["models", "compared", "new@1", "--as", "administrator", "--data", str(box.appliance.settings.data_dir)]) == 1
    told = capsys.readouterr().out
    assert "comes first for 5, now 3" in told and "worse  berth1? (place 1, now not found)" in told
    clerk = box.appliance.people.create(box.administrator, "clerk", PASSWORD, frozenset({Role.EMPLOYEE}))
    with pytest.raises(Denied):
        box.models.activate(clerk, "new@1", despite="I like it")
    assert box.against() and box.passes.pending_ids() == []
    assert "golden.overridden" not in box.names()

    box.models.activate(box.administrator, "new@1", despite="It is four times as fast.")
    assert box.names().count("golden.overridden") == 1
    assert box.passes.pending_ids() == ["2"]
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}
    assert box.events()[-1][2]["golden"] == "unheeded"
    # the way back is never held up
    box.by_id["old@1"].lost = frozenset({"berth0", "berth2"})
    box.models.rollback(box.administrator, "new")
    box.passes.run()
    assert box.state() == {3: ("old@1", "serving")}


def test_a_model_that_finds_as_much_takes_over_and_what_was_found_is_kept(box) -> None:
    box.require()
    box.forget(2)  # one may be lost
    box.replace()
    assert box.state() == {2: ("new@1", "serving")}
    ((outcome, facts),) = box.compared()
    assert (outcome, facts["worse"]) == ("success", 1)
    assert box.events()[-1][2]["golden_sets"] == 1
    ((about, kept),) = box.appliance.index_review.compared(box.administrator, "new@1")
    assert (about.name, kept.first, kept.found) == ("Basics", (5, 4), (5, 4))
    assert [(place.text, place.before, place.now) for place in kept.worse] == [("berth2?", 1, None)]


def test_the_way_back_does_not_lead_forward_past_the_golden_sets(box) -> None:
    box.forget(1, 3)
    box.replace()
    box.models.rollback(box.administrator, "new")
    box.passes.run()
    assert box.state() == {3: ("old@1", "serving")}
    box.require()
    with pytest.raises(Conflict) as refused:
        box.models.rollback(box.administrator, "old")
    assert refused.value.stable_code == "model.nothing_before"
    box.replace()
    assert box.against().startswith("for 2 questions") and box.appliance.models.active("embedding").id == "old@1"


def test_what_is_shown_is_of_the_index_that_is_being_made_not_of_one_that_was_given_up(box) -> None:
    box.require()
    box.forget(1, 3)
    box.replace()
    box.models.abandon(box.administrator, "new@1")
    box.models.activate(box.administrator, "new@1")
    assert box.state()[2] == ("new@1", "leaving")
    assert box.appliance.index_review.compared(box.administrator, "new@1") == [], "nothing was asked yet"


def test_without_a_required_set_nothing_is_asked(box) -> None:
    box.forget(0, 1, 2, 3, 4)
    box.replace()
    assert box.state() == {2: ("new@1", "serving")}
    assert box.compared() == []
    assert not any("berth" in words for words in box.old.read + box.new.read)


def test_a_crash_or_somebody_who_waits_costs_the_set_in_hand_alone(box) -> None:
    box.require()
    box.forget(1, 3)
    box.models.activate(box.administrator, "new@1")

    def die() -> None:
        if box.new.read[-1:] == ["berth1?"]:
            raise RuntimeError

    box.new.on_embed = die
    with pytest.raises(RuntimeError):
        box.passes.run()
    assert box.state()[2] == ("new@1", "building")
    assert (box.against(), box.compared(), box.passes.pending_ids()) == ("", [], ["2"])
    box.new.on_embed = lambda: None
    box.passes.run(lambda: any("berth0?" in words for words in box.old.read))
    assert (box.against(), box.compared()) == ("", [])
    box.passes.run()
    assert box.against().startswith("for 2 questions")
    assert len(box.compared()) == 1
    # abandoned, nothing of it stays, and another one can be tried
    box.models.abandon(box.administrator, "new@1")
    box.passes.run()
    assert box.state() == {1: ("old@1", "serving")}
    assert box.count("index_comparisons") == 0


def test_uploads_that_never_end_keep_a_comparison_from_nothing(box) -> None:
    box.require()
    box.forget(1, 3)
    box.models.activate(box.administrator, "new@1")
    box.passes.run(lambda: "berth0?" in box.old.read)
    assert box.compared() == []
    asked = []  # in both indexes
    box.old.on_embed = box.new.on_embed = lambda: asked.append(1)
    box.passes.run()
    assert len(asked) == 2 * (len(box.questions) - 1 - 1), "the first question is not asked again"
    # each upload changes what the comparison speaks of, and another one waits as soon as the first question was asked anew
    box.old.on_embed = box.new.on_embed = lambda: None
    for at in range(PATIENCE + 1):
        box.put(f"drip{at}.txt", *paragraphs(1, f"drip{at}"))
        assert box.against() == ""
        box.old.read.clear()
        box.passes.run(lambda: "berth0?" in box.old.read)
        assert len(box.compared()) == 1 + (at == PATIENCE)
    assert box.against().startswith("for 2 questions")


def test_documents_and_questions_that_come_meanwhile_are_asked_about_too(box) -> None:
    box.require()
    box.forget(1, 3)
    box.models.activate(box.administrator, "new@1")

    def upload() -> None:
        box.old.on_embed = lambda: None
        box.put("late.txt", *paragraphs(2, "late"))

    reads = iter(range(100))
    box.old.on_embed = lambda: upload() if next(reads) == 1 else None  # at the second question
    box.passes.run()
    assert box.count("search_exact_2") == box.count("chunks") == PASSAGES + 2
    assert box.against().startswith("for 2 questions")
    assert [outcome for outcome, _ in box.compared()] == ["failure"] * 2, "once for the documents of before, once for all"
    # kept back, it is kept up to date
    box.put("later.txt", *paragraphs(1, "later"))
    assert box.passes.pending_ids() == ["2"]
    assert box.against() == "", "it does not hold everything"
    box.passes.run()
    assert box.against().startswith("for 2 questions") and box.count("search_exact_2") == box.count("chunks")
    # a question that nobody asks any more speaks against nobody
    box.appliance.golden.delete_question(box.administrator, box.set_id, box.questions[1])
    assert box.passes.pending_ids() == ["2"]
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}


def test_no_reason_is_taken_for_a_comparison_that_does_not_hold_any_more(box) -> None:
    box.require()
    box.forget(1, 3)
    box.replace()
    box.appliance.golden.add(box.administrator, box.set_id, [Expected("berth7?", (f"{named(7)} is told of here",))])
    assert box.against(), "nobody has looked yet"

    def refused() -> None:
        with pytest.raises(Conflict) as early:
            box.models.activate(box.administrator, "new@1", despite="because")
        assert early.value.stable_code == "golden.not_compared"
        assert box.models.indexes(box.administrator)[1].unconditional is False
        assert "golden.overridden" not in box.names()

    refused()
    box.passes.run()
    with box.appliance.database.write() as connection:
        connection.execute(
            text("UPDATE search_collections SET generation = generation + 1")
        )  # as a document that is deleted does
    refused()
    box.passes.run()
    box.models.activate(box.administrator, "new@1", despite="because")
    assert box.names().count("golden.overridden") == 1
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}


def test_a_set_that_cannot_be_asked_keeps_the_index_back_and_says_why(box) -> None:
    box.require()
    other = box.appliance.people.create(box.administrator, "other", PASSWORD, frozenset({Role.ADMINISTRATOR}))
    with box.appliance.database.write() as connection:
        connection.execute(text("UPDATE golden_sets SET acts_for = :person"), {"person": other.id})
    box.replace()
    assert box.state()[1] == ("old@1", "serving")
    assert "may not read its collection" in box.against()
    with pytest.raises(GoldenObjection) as refused:
        box.models.activate(box.administrator, "new@1")
    assert refused.value.stable_code == "golden.failed"
    assert box.appliance.index_review.compared(other, "new@1") == [], "out of reach"
    with pytest.raises(NotFound):
        box.appliance.index_review.compared(box.administrator, "unknown@1")
    assert box.passes.pending_ids() == []
    with box.appliance.database.write() as connection:
        connection.execute(text("UPDATE index_comparisons SET compared_ms = 0"))  # long ago
    assert box.passes.pending_ids() == ["2"]
    with pytest.raises(Conflict) as early:
        box.models.activate(box.administrator, "new@1", despite="because")
    assert early.value.stable_code == "golden.not_compared"
    box.passes.run()
    assert len(box.compared()) == 1, "told once"
    # whoever changes the schedule is the one for whom it is asked
    box.appliance.golden.change(box.administrator, box.set_id, hour=4)
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}
