"""Golden sets from their rows to a verdict. Database, index, search, chat, selection and policies are real; models are scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from appliance.administration.golden import runs, store
from appliance.administration.golden.checking import QUESTIONS_LIMIT
from appliance.administration.golden.conditions import digest_of
from appliance.administration.golden.objection import GoldenObjection
from appliance.administration.golden.models import Expected, QuestionOutcome, RunStatus, Schedule
from appliance.bootstrap import Appliance
from appliance.errors import ApplianceError, Conflict, Denied, InvalidInput, NotFound, Unavailable
from appliance.evaluation.answers import grade
from appliance.evaluation.corpus import index_dataset
from appliance.evaluation.dataset import Article, Dataset
from appliance.evaluation.golden.running import GoldenRunner
from appliance.identity.models import Role
from appliance.identity.store import load_principal
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.pool import RuntimePool
from appliance.inference.routing import Router
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import SizeClass
from appliance.inference.stub import InsecureStubWarning, StubEmbedder, StubRuntime
from appliance.storage import tables
from tests.conftest import PASSWORD
from tests.unit.inference.gguf_samples import METADATA, gguf, write

LEAVE = "Every employee has thirty days of annual leave. Leave is requested two weeks before it begins, from the head."
KEYS = "The night porter keeps the keys of building seven in a grey cabinet. The cabinet stands behind the second door."
FERRY = "The ferry to the island sails from the northern pier at nine. In a storm the ferry stays in the harbour until noon."
DATASET = Dataset((Article("leave.md", (LEAVE,)), Article("keys.md", (KEYS,)), Article("ferry.md", (FERRY,))), ())
QUESTIONS = [
    Expected("How many days of annual leave has every employee?", ("thirty days",), "leave.md", 1),
    Expected("Who keeps the keys of building seven?", ("night porter",), "keys.md"),
    Expected("From which pier sails the ferry to the island?", ("northern pier",)),
    Expected("Which colour has the emperor's parrot?", silent=True),
]
GOOD = {"leave": "Every employee has thirty days of annual leave.", "keys": "The night porter keeps the keys of building seven.",
        "ferry": "The ferry to the island sails from the northern pier at nine."}  # fmt: skip
# supported by the passages, so that nothing stops it, and beside the question
BAD = {"leave": "Leave is requested two weeks before it begins.", "keys": "The cabinet stands behind the second door.",
       "ferry": "In a storm the ferry stays in the harbour until noon."}  # fmt: skip


class Unnamed(StubEmbedder):
    """Of no file, as the index of a box without a model is."""

    sha256 = ""


def script_of(answers: dict[str, str]):
    def script(request) -> list[str]:
        asked = next(item.text for item in QUESTIONS if item.text in request.messages[-1].text)
        return [next(answer for word, answer in answers.items() if word in asked)]

    return script


def scripted(answers: dict[str, str]):
    with pytest.warns(InsecureStubWarning):
        return StubRuntime(script_of(answers))


@pytest.fixture
def models() -> dict[str, StubRuntime]:
    return {"harbour@1": scripted(GOOD), "harbour@2": scripted(GOOD)}


@pytest.fixture
def box(appliance: Appliance, administrator, models, tmp_path: Path, monkeypatch) -> Iterator[Appliance]:
    """Two versions of a small model, the first active, and three documents in the administrator's own collection."""
    with pytest.warns(InsecureStubWarning):
        embedder = Unnamed()
    appliance.__dict__.update(embedders=SimpleNamespace(serving=lambda: embedder))
    monkeypatch.setattr(appliance, "silence", replace(appliance.silence, threshold=4.0))  # the stand-in knows words alone
    for number in (1, 2):
        path = write(tmp_path / f"{number}.gguf", gguf(METADATA | {"llama.context_length": 4_096 + number}))
        made = appliance.model_importing.take_in(administrator, path, Order(name="harbour"))
        with appliance.database.write() as connection:
            change = {"size_class": SizeClass.SMALL.value, "memory_mb": 1, "context_tokens": 4_096}
            connection.execute(tables.model_versions.update().where(tables.model_versions.c.id == made.id).values(**change))
    appliance.model_administration.activate(administrator, "harbour@1")

    def load(key, _told) -> StubRuntime:
        if key.model_id not in models:
            raise Unavailable("It cannot be loaded.", code="inference.load_failed")
        return models[key.model_id]

    def new_router() -> Router:
        pool = RuntimePool(load)
        policy = replace(appliance.routing, memory_headroom_mb=0)
        return Router(hardware=probe_hardware, offers=appliance.offers, policy=policy, seal=appliance.seal, pool=pool)

    monkeypatch.setattr(appliance, "new_router", new_router)
    index_dataset(appliance, administrator, DATASET, lambda _: None)
    yield appliance


@pytest.fixture
def golden_set(box: Appliance, administrator) -> str:
    made = box.golden.create(administrator, own(box, administrator), "Basics")
    box.golden.add(administrator, made.id, QUESTIONS)
    return made.id


def own(box: Appliance, person) -> str:
    return next(item.id for item in box.collections.readable(person) if item.owner_id == person.id)


def run_all(box: Appliance) -> int:
    return GoldenRunner(box, "test", yield_s=0).run_waiting()


def asked(box: Appliance, administrator, set_id: str, version_id: str = ""):
    run = box.golden.start(administrator, set_id, version_id)
    run_all(box)
    return box.golden.result(administrator, run.id)


def count(box: Appliance, table) -> int:
    with box.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def events(box: Appliance, prefix: str) -> list[str]:
    names = select(tables.audit_events.c.event).order_by(tables.audit_events.c.seq)
    with box.database.read() as connection:
        return [name for name in connection.execute(names).scalars() if name.startswith(prefix)]


def test_a_run_ends_at_the_question_before_which_its_administrator_left_the_group_it_read_by(box, administrator) -> None:
    keepers = box.groups.create(administrator, "Keepers", [administrator.id]).id
    opened = [f"group:{keepers}"]
    shared = box.collections.create(administrator, "Keys", readers=opened, contributors=opened)
    with box.database.read() as connection:
        member = load_principal(connection, administrator.id)
    made = box.golden.create(member, shared, "Keys")
    box.golden.add(member, made.id, QUESTIONS[2:])
    run = box.golden.start(member, made.id, "")
    GoldenRunner(box, "test", yield_s=0).run_waiting(lambda _: box.groups.remove(administrator, keepers, [administrator.id]))
    with box.database.read() as connection:
        ended = runs.require_run(connection, run.id)
    assert (ended.status, ended.reason_code) == (RunStatus.FAILED, "policy.denied")
    assert count(box, tables.golden_outcomes) == 1


def test_a_run_asks_every_question_and_keeps_no_conversation(box, administrator, golden_set, models) -> None:
    # a model that repeats itself is stopped by the box, as people stop one: the run goes on with the next question
    models["harbour@1"] = scripted({word: f"{answer} " * 6 for word, answer in GOOD.items()})
    result = asked(box, administrator, golden_set)
    assert [item.right for item in result.outcomes] == [True] * 4, [(o.answer, o.reason, o.abstained) for o in result.outcomes]
    assert result.run.status is RunStatus.DONE
    assert result.run.figures["right"] == 4
    assert result.run.figures["retrieval"]["hit_at_1"] == 1.0
    assert result.run.figures["answers"]["abstention_recall"] == 1.0
    silence = result.run.figures["silence"]
    assert (silence["threshold"], silence["right"], silence["false"]) == (box.silence.threshold, 1.0, 0.0)
    assert all(isinstance(item.graded["answerability"], float) for item in result.outcomes)
    assert result.run.conditions["answered_by"] == ["stub"]
    assert result.run.accepted_ms, "the first run is what later ones are compared with"
    assert count(box, tables.conversations) == count(box, tables.messages) == 0
    assert events(box, "answer.") == ["answer.started"] * 3, "which documents were read stays on record"
    assert events(box, "golden.")[-3:] == ["golden.started", "golden.finished", "golden.read"]


def test_a_set_is_closed_to_whoever_may_not_read_its_collection(box, administrator, golden_set) -> None:
    other = box.people.create(administrator, "other", PASSWORD, frozenset({Role.ADMINISTRATOR, Role.EMPLOYEE}))
    run = box.golden.start(administrator, golden_set)
    for act in (
        lambda: box.golden.detail(other, golden_set),
        lambda: box.golden.result(other, run.id),
        lambda: box.golden.add(other, golden_set, QUESTIONS[:1]),
        lambda: box.golden.start(other, golden_set),
        lambda: box.golden.stop(other, run.id),
        lambda: box.golden.delete(other, golden_set),
        lambda: box.golden.detail(other, "nothing"),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(Denied):
        box.golden.create(other, own(box, administrator), "Mine")
    assert box.golden.sets(other) == [] and box.golden.progress(other) == []
    employee = box.people.create(administrator, "employee", PASSWORD, frozenset({Role.EMPLOYEE}))
    with pytest.raises(Denied):
        box.golden.sets(employee)


def test_what_was_changed_of_a_set_is_on_record_without_its_name(box, administrator, golden_set) -> None:
    def facts_of(**changed) -> dict[str, object]:
        box.golden.change(administrator, golden_set, **changed)
        newest = select(tables.audit_events.c.body).order_by(tables.audit_events.c.seq.desc()).limit(1)
        with box.database.read() as connection:
            return json.loads(connection.execute(newest).scalar_one())["facts"]

    assert facts_of(name="Other questions") == {"renamed": 1}
    assert facts_of(required=False) == {"required": 0}
    assert facts_of(name="Basics", schedule=Schedule.WEEKLY, hour=4, weekday=6) == {
        "renamed": 1, "schedule": "weekly", "hour": 4, "weekday": 6,
    }  # fmt: skip
    assert facts_of() == {"changed": "nothing"}


def test_a_run_ends_where_its_administrator_may_not_read_any_more(box, administrator, golden_set) -> None:
    run = box.golden.start(administrator, golden_set)
    box.people.update(box.people.create(administrator, "second", PASSWORD, frozenset({Role.ADMINISTRATOR})), administrator.id,
                      roles=frozenset({Role.ADMINISTRATOR}))  # fmt: skip
    run_all(box)
    ended = loaded(box, run.id)
    assert (ended.status, ended.done) == (RunStatus.FAILED, 0)
    assert events(box, "answer.") == []


def test_a_worse_version_is_not_activated_and_the_questions_are_named(box, administrator, golden_set, models) -> None:
    models["harbour@2"] = scripted(BAD)
    require(box, administrator, golden_set)
    with pytest.raises(GoldenObjection) as refused:
        box.model_administration.activate(administrator, "harbour@2")
    assert refused.value.stable_code == "golden.not_run"
    stranger = box.people.create(administrator, "stranger", PASSWORD, frozenset({Role.ADMINISTRATOR}))
    with pytest.raises(Conflict) as refused:
        box.golden.examine(stranger, "harbour@2", activates=True)
    assert (refused.value.stable_code, refused.value.data) == ("golden.out_of_reach", {})
    begun = box.golden.examine(administrator, "harbour@2", activates=True)
    assert [run.version_id for run in begun] == ["", "harbour@2"], "first what serves now, to have something to compare with"
    assert run_all(box) == 2
    assert active(box) == "harbour@1"
    noted = loaded(box, begun[1].id)
    assert noted.regressed
    assert noted.reason_code == "golden.regression"
    with pytest.raises(GoldenObjection) as refused:
        box.model_administration.activate(administrator, "harbour@2")
    assert "3 questions" in refused.value.sentence
    for question in QUESTIONS[:3]:
        assert question.text in refused.value.sentence
    assert refused.value.data["worse"] == 3
    assert len(refused.value.data["questions"].split()) == 3
    with pytest.raises(GoldenObjection) as refused:
        box.model_administration.activate(stranger, "harbour@2")
    assert "3 questions" in refused.value.sentence
    assert "leave" not in refused.value.sentence, "who may not read the collection reads nothing of its questions"
    assert (refused.value.data["questions"], refused.value.data["run"]) == ("", "")


def test_an_administrator_may_override_with_a_reason_which_is_audited(box, administrator, golden_set, models) -> None:
    models["harbour@2"] = scripted(BAD)
    require(box, administrator, golden_set)
    box.model_administration.activate(administrator, "harbour@2", despite="Its licence is the only one that we may use.")
    assert active(box) == "harbour@2"
    with box.database.read() as connection:
        body = connection.execute(
            select(tables.audit_events.c.body).where(tables.audit_events.c.event == "golden.overridden")
        ).scalar_one()
    assert b"golden.not_run" in body
    assert b"licence" not in body, "what people write is sealed"


def test_golden_sets_stand_before_a_trial_with_some_of_the_conversations_too(box, administrator, golden_set, models) -> None:
    models["harbour@2"] = scripted(BAD)
    require(box, administrator, golden_set)
    canary = lambda **given: box.model_administration.canary(administrator, "harbour@2", percent=99, **given)
    with pytest.raises(GoldenObjection) as refused:
        canary()
    assert refused.value.stable_code == "golden.not_run"
    box.golden.examine(administrator, "harbour@2", activates=False)
    run_all(box)
    with pytest.raises(GoldenObjection) as refused:
        canary()
    assert refused.value.stable_code == "golden.regression"
    assert state_of(box, "harbour@2") == "candidate"
    assert events(box, "model.trialled") == ["model.trialled"] * 2, "refusals are on record"
    with pytest.raises(InvalidInput) as too_long:
        canary(despite="why " * 251)
    assert too_long.value.stable_code == "golden.reason"
    assert events(box, "golden.overridden") == []
    assert canary(despite="Two of us try it for a week.").state == "canary"
    assert events(box, "golden.overridden") == ["golden.overridden"]


def test_a_version_as_good_may_be_tried_out_and_is_activated_later(box, administrator, golden_set) -> None:
    require(box, administrator, golden_set)
    box.golden.examine(administrator, "harbour@2", activates=False)
    run_all(box)
    assert box.model_administration.canary(administrator, "harbour@2", percent=10).state == "canary"
    box.model_administration.activate(administrator, "harbour@2")
    assert active(box) == "harbour@2"


def test_a_version_as_good_is_activated_when_the_last_run_ends_and_is_compared_with_from_then_on(
    box, administrator, golden_set
) -> None:
    require(box, administrator, golden_set)
    asked(box, administrator, golden_set)
    (run,) = box.golden.examine(administrator, "harbour@2", activates=True)
    assert box.golden.examine(administrator, "harbour@2", activates=True) == [], "it is being asked already"
    run_all(box)
    assert active(box) == "harbour@2"
    assert box.golden.detail(administrator, golden_set).overview.baseline.id == run.id
    assert events(box, "model.activated") == ["model.activated"] * 2


def test_of_several_sets_the_last_to_be_asked_activates(box, administrator, golden_set) -> None:
    second = box.golden.create(administrator, own(box, administrator), "More")
    box.golden.add(administrator, second.id, QUESTIONS[:1])
    for set_id in (golden_set, second.id):
        require(box, administrator, set_id)
    begun = [run for run in box.golden.examine(administrator, "harbour@2", activates=True) if run.activates]
    assert len(begun) == 2
    before = len(events(box, "model.activated"))
    run_all(box)
    assert active(box) == "harbour@2"
    assert len(events(box, "model.activated")) == before + 1, "nobody tried before the last one had ended"
    assert [loaded(box, run.id).reason for run in begun] == [None, None]


def test_a_run_speaks_no_longer_once_questions_were_added(box, administrator, golden_set) -> None:
    require(box, administrator, golden_set)
    asked(box, administrator, golden_set)
    asked(box, administrator, golden_set, "harbour@2")
    box.golden.add(administrator, golden_set, [Expected("What stands behind the second door?", ("cabinet",))])
    with pytest.raises(GoldenObjection) as refused:
        box.model_administration.activate(administrator, "harbour@2")
    assert refused.value.stable_code == "golden.not_run"


def test_without_required_sets_activation_is_what_it_was(box, administrator, golden_set, models) -> None:
    models["harbour@2"] = scripted(BAD)
    box.model_administration.activate(administrator, "harbour@2")
    assert active(box) == "harbour@2"


def test_a_regression_of_what_serves_is_not_compared_with_until_it_is_accepted(box, administrator, golden_set, models) -> None:
    first = asked(box, administrator, golden_set)
    models["harbour@1"] = scripted(BAD)
    second = asked(box, administrator, golden_set)
    assert (second.run.regressed, second.run.worse, second.run.accepted_ms) == (True, 3, None)
    assert {change.text for change in second.comparison.worse} == {question.text for question in QUESTIONS[:3]}
    assert box.golden.detail(administrator, golden_set).overview.baseline.id == first.run.id
    box.golden.accept(administrator, second.run.id)
    assert box.golden.detail(administrator, golden_set).overview.baseline.id == second.run.id


def test_a_loss_within_the_margin_blocks_nothing_and_does_not_add_up(box, administrator, golden_set, models) -> None:
    require(box, administrator, golden_set)
    first = asked(box, administrator, golden_set)
    models["harbour@1"] = models["harbour@2"] = scripted(GOOD | {"ferry": BAD["ferry"]})
    second = asked(box, administrator, golden_set)
    assert (second.run.worse, second.run.regressed, second.run.accepted_ms) == (1, False, None)
    box.golden.examine(administrator, "harbour@2", activates=True)
    run_all(box)
    assert active(box) == "harbour@2"
    assert box.golden.detail(administrator, golden_set).overview.baseline.id == first.run.id


def test_a_model_that_cannot_be_loaded_fails_the_run_and_does_not_become_the_measure(
    box, administrator, golden_set, models
) -> None:
    del models["harbour@1"]
    result = asked(box, administrator, golden_set)
    assert result.run.status is RunStatus.FAILED
    assert result.run.accepted_ms is None


class Failing(StubRuntime):
    """Answers as the script says, but fails with `error` where the word is asked for."""

    def __init__(self, word: str, error: ApplianceError) -> None:
        with pytest.warns(InsecureStubWarning):
            super().__init__(script_of(GOOD))
        self._word, self._error = word, error

    def complete(self, request):
        if self._word in next(item.text for item in QUESTIONS if item.text in request.messages[-1].text):
            raise self._error
        return super().complete(request)


@pytest.mark.parametrize("code", ["inference.timeout", "inference.busy", "inference.unreachable", "inference.closed", "made.up"])
def test_what_fails_in_the_box_is_no_wrong_answer(box, administrator, golden_set, models, code) -> None:
    models["harbour@1"] = Failing("ferry", Unavailable("Not now.", code=code))
    result = asked(box, administrator, golden_set)
    assert (result.run.status, result.run.reason_code) == (RunStatus.FAILED, code)
    assert result.run.accepted_ms is None
    assert [item.right for item in result.outcomes] == [True] * 2, "what was asked before stays"


def test_a_run_without_an_answer_to_each_question_is_no_measure_by_itself(box, administrator, golden_set, models) -> None:
    require(box, administrator, golden_set)
    overflow = InvalidInput("The prompt does not fit.", code="inference.context_overflow")
    models["harbour@1"] = models["harbour@2"] = Failing("ferry", overflow)
    result = asked(box, administrator, golden_set)
    assert result.run.status is RunStatus.DONE
    assert [item.failed for item in result.outcomes] == [False, False, True, False]
    assert result.run.accepted_ms is None
    box.golden.accept(administrator, result.run.id)
    box.golden.examine(administrator, "harbour@2", activates=True)
    run_all(box)
    assert active(box) == "harbour@2"
    assert box.golden.detail(administrator, golden_set).overview.baseline.id == result.run.id


def outcome_kept(question, text: str = "kept") -> QuestionOutcome:
    graded = grade(text, (), gold=(text,), possible=True, failed=False, abstained=False, supported=0, tokens=0, seconds=0.0)
    return QuestionOutcome(question.id, question.ordinal, question.expected.sha256, question.expected.text, True, text, 1, False, False,
                   asdict(graded))  # fmt: skip


def left_by_a_dead_worker(box: Appliance, administrator, set_id: str, asked: int) -> str:
    """A run of which the first `asked` questions were asked."""
    run = box.golden.start(administrator, set_id)
    with box.database.write() as connection:
        claimed = runs.claim(connection, "dead")
        questions = store.load_questions(connection, set_id)
        conditions = box.golden_gate.conditions.of(connection)
        assert runs.resume(connection, claimed, "dead", questions, digest_of(conditions)) == []
        for at, question in enumerate(questions[:asked], 1):
            assert runs.store_outcome(connection, claimed, "dead", outcome_kept(question), at)
        assert runs.claim(connection, "second") is None, "one run at a time"
        connection.execute(tables.golden_runs.update().values(lease_until_ms=0))
        assert runs.pending_ids(connection) == [run.id]
    return run.id


def test_a_run_goes_on_where_a_dead_worker_left_it_and_is_given_up_after_two(box, administrator, golden_set) -> None:
    run_id = left_by_a_dead_worker(box, administrator, golden_set, 1)
    run_all(box)
    assert [item.answer for item in box.golden.result(administrator, run_id).outcomes][0] == "kept"
    third = box.golden.start(administrator, golden_set)
    with box.database.write() as connection:
        connection.execute(tables.golden_runs.update().where(tables.golden_runs.c.id == third.id).values(attempts=2))
    run_all(box)
    assert loaded(box, third.id).reason_code == "golden.crashed"


def test_what_was_asked_of_a_question_that_changed_since_is_asked_again(box, administrator, golden_set) -> None:
    run_id = left_by_a_dead_worker(box, administrator, golden_set, 2)
    first = box.golden.detail(administrator, golden_set).questions[0]
    box.golden.change_question(administrator, golden_set, first.id, replace(first.expected, answers=("thirty",)))
    run_all(box)
    result = box.golden.result(administrator, run_id)
    assert [item.answer == "kept" for item in result.outcomes] == [False, True, False, False]
    assert (result.run.status, result.run.done) == (RunStatus.DONE, 4)


def test_what_was_asked_under_other_conditions_is_asked_again(box, administrator, golden_set) -> None:
    run_id = left_by_a_dead_worker(box, administrator, golden_set, 2)
    box.model_administration.activate(administrator, "harbour@2")
    run_all(box)
    result = box.golden.result(administrator, run_id)
    assert "kept" not in [item.answer for item in result.outcomes]
    assert result.run.conditions["language"] == ["harbour@2"]


def test_who_lost_a_run_activates_nothing_and_writes_nothing_into_it(box, administrator, golden_set, monkeypatch) -> None:
    require(box, administrator, golden_set)
    asked(box, administrator, golden_set)
    (run,) = box.golden.examine(administrator, "harbour@2", activates=True)
    finish = runs.finish

    def lost_at_the_end(connection, ended, *given, **columns) -> bool:
        taken = tables.golden_runs.update().where(tables.golden_runs.c.id == ended.id)
        connection.execute(taken.values(claimed_by="other", attempts=2))
        return finish(connection, ended, *given, **columns)

    monkeypatch.setattr(runs, "finish", lost_at_the_end)
    run_all(box)
    left = loaded(box, run.id)
    assert (left.status, left.reason_code, active(box)) == (RunStatus.RUNNING, None, "harbour@1")
    with box.database.write() as connection:
        runs.note(connection, run, "test", "made.up", "Not mine.")
        connection.execute(tables.golden_runs.update().values(status=RunStatus.DONE))
        runs.note(connection, run, "test", "made.up", "Not mine.")
    assert loaded(box, run.id).reason_code is None


def test_a_run_ends_when_it_is_stopped_and_waits_while_people_ask(box, administrator, golden_set) -> None:
    conversation = box.chat.create_conversation(administrator)
    box.chat.ask(administrator, conversation.id, "Who keeps the keys of building seven?")
    run = box.golden.start(administrator, golden_set)
    worker = threading.Thread(target=GoldenRunner(box, "test", yield_s=60).run_waiting)
    worker.start()
    while loaded(box, run.id).status is RunStatus.PENDING:
        worker.join(0.05)
    assert loaded(box, run.id).done == 0, "a person's question waits"
    box.golden.stop(administrator, run.id)
    worker.join(20)
    ended = loaded(box, run.id)
    assert (ended.status, ended.done, ended.accepted_ms) == (RunStatus.STOPPED, 0, None)
    with pytest.raises(Conflict):
        box.golden.stop(administrator, run.id)


def test_a_run_that_ended_while_it_was_to_be_stopped_was_not_stopped(box, administrator, golden_set, monkeypatch) -> None:
    run = box.golden.start(administrator, golden_set)
    authorised = box.golden._authorised_run

    def and_then_it_ends(*given):
        found = authorised(*given)
        with box.database.write() as connection:
            connection.execute(tables.golden_runs.update().values(status=RunStatus.DONE))
        return found

    monkeypatch.setattr(box.golden, "_authorised_run", and_then_it_ends)
    with pytest.raises(Conflict) as refused:
        box.golden.stop(administrator, run.id)
    assert refused.value.stable_code == "golden.ended"
    assert "golden.stopped" not in events(box, "golden.")


def test_a_worker_that_is_told_to_end_leaves_the_run_to_the_next(box, administrator, golden_set) -> None:
    run = box.golden.start(administrator, golden_set)
    runner = GoldenRunner(box, "test", yield_s=0)
    with box.database.write() as connection:
        claimed = runs.claim(connection, "test")
    runner.stop()
    runner.work_on(claimed)
    left = loaded(box, run.id)
    assert (left.status, left.attempts) == (RunStatus.PENDING, 0)


def test_runs_are_worked_on_in_the_order_in_which_they_were_begun(box, administrator, golden_set, monkeypatch) -> None:
    monkeypatch.setattr(runs, "now_ms", lambda: 1_000)
    require(box, administrator, golden_set)
    begun = [run.id for run in box.golden.examine(administrator, "harbour@2", activates=True)]
    with box.database.read() as connection:
        assert runs.pending_ids(connection) == begun
        assert [run.created_ms for run in runs.runs_in_work(connection)] == [1_000, 1_001]


def test_a_set_is_asked_by_its_schedule_for_whoever_set_it_up(box, administrator, golden_set) -> None:
    box.golden.change(administrator, golden_set, schedule=Schedule.DAILY, hour=4)
    assert not box.golden.any_due() and box.golden.start_due() == 0
    with box.database.write() as connection:
        store.change_set(connection, golden_set, due_ms=1)
    assert box.golden.any_due() and box.golden.start_due() == 1
    assert not box.golden.any_due() and box.golden.start_due() == 0
    with box.database.read() as connection:
        (run,) = runs.runs_in_work(connection)
    assert (run.acts_for, run.cause) == (administrator.id, "schedule")


def test_what_makes_no_sense_is_refused_each_for_its_own_reason(box, administrator, golden_set) -> None:
    golden, other = box.golden, box.golden.create(administrator, own(box, administrator), "Empty")
    golden.change(administrator, golden_set, schedule=Schedule.DAILY)
    question = golden.detail(administrator, golden_set).questions[0]
    stopped = golden.start(administrator, golden_set)
    golden.stop(administrator, stopped.id)
    with box.database.write() as connection:
        changed = tables.model_versions.update().where(tables.model_versions.c.id == "harbour@2")
        connection.execute(changed.values(kind="embedding"))
        store.change_set(connection, other.id, due_ms=1)
    for act, code in (
        (lambda: golden.start(administrator, other.id), "golden.empty"),
        (lambda: golden.start(administrator, golden_set, "harbour@2"), "golden.version"),
        (lambda: golden.start(administrator, golden_set, "harbour@9"), "model.unknown"),
        (lambda: golden.accept(administrator, stopped.id), "golden.not_comparable"),
        (lambda: golden.stop(administrator, stopped.id), "golden.ended"),
        (lambda: golden.create(administrator, own(box, administrator), "Empty"), "golden.name_taken"),
        (lambda: golden.change(administrator, golden_set, name="Empty", hour=5), "golden.name_taken"),
        (lambda: golden.change(administrator, golden_set, hour=24), "golden.schedule"),
        (lambda: golden.change(administrator, golden_set, weekday=7), "golden.schedule"),
        (lambda: golden.add(administrator, golden_set, QUESTIONS[:1] * QUESTIONS_LIMIT), "golden.too_many"),
        (lambda: golden.change_question(administrator, other.id, question.id, QUESTIONS[1]), "golden.question_unknown"),
        (lambda: golden.delete_question(administrator, other.id, question.id), "golden.question_unknown"),
    ):
        with pytest.raises(ApplianceError) as refused:
            act()
        assert refused.value.stable_code == code
    detail = golden.detail(administrator, golden_set)
    assert [item.expected for item in detail.questions] == QUESTIONS
    assert (detail.overview.set.name, detail.overview.set.hour) == ("Basics", 3)
    assert golden.start_due() == 0, "there is nothing to ask"


def require(box: Appliance, administrator, set_id: str) -> None:
    box.golden.change(administrator, set_id, required=True)


def active(box: Appliance) -> str:
    return next(item.id for item in box.models.versions() if item.state == "active")


def state_of(box: Appliance, version_id: str) -> str:
    return next(item.state for item in box.models.versions() if item.id == version_id)


def loaded(box: Appliance, run_id: str):
    with box.database.read() as connection:
        return runs.load_run(connection, run_id)
