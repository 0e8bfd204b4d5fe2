"""Which model answers where others cannot be loaded; what they say is not the subject."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ApplianceError, Denied, SetupError, Unavailable
from appliance.inference.load_failures import LoadFailure
from appliance.inference.pool import RuntimeKey, RuntimePool, Told
from appliance.inference.routing import Router
from appliance.inference.selection.models import Offer, Selection, SelectionRequest
from appliance.inference.selection.policy import parse_policy
from appliance.inference.stub import StubRuntime
from tests.unit.inference.selection.offers import BOXES, OFFERS, POLICIES, ask, policy_text

pytestmark = pytest.mark.filterwarnings("ignore::appliance.inference.stub.InsecureStubWarning")
MISTRAL, QWEN, SMOL = OFFERS["medium"], OFFERS["small"], OFFERS["micro"]
FAR, CANARY = OFFERS["far"], OFFERS["canary"]
DIGEST = SetupError("The file is damaged.", code="setup.model_digest")
SHORT = Unavailable("There is not enough memory.", code="inference.load_failed")


class Box:
    """What is loaded and what fails, and what was said of it."""

    def __init__(self) -> None:
        self.offers: list[Offer] = [MISTRAL, QWEN, SMOL]
        self.failing: dict[str, Exception] = {}
        self.tried: list[str] = []
        self.told: list[tuple[str, str, str]] = []
        self.remembered: dict[str, LoadFailure] = {}
        self.router = Router(
            hardware=lambda: BOXES["large"],
            offers=lambda: [replace(offer, failed=self.remembered.get(offer.model_id)) for offer in self.offers],
            policy=POLICIES["usual"],
            seal=lambda: ask().seal,
            pool=RuntimePool(self.load),
            failures=self,
        )

    def load(self, key: RuntimeKey, _: Told) -> StubRuntime:
        self.tried.append(key.model_id)
        if key.model_id in self.failing:
            raise self.failing[key.model_id]
        return StubRuntime(["yes"])

    def failed(self, offer: Offer, error: ApplianceError, instead: str) -> None:
        self.told.append((offer.model_id, error.stable_code, instead))
        self.remembered[offer.model_id] = LoadFailure(error.stable_code, error.sentence, 1, 0, 1)

    def loaded(self, offer: Offer) -> None:
        if self.remembered.pop(offer.model_id, None):
            self.told.append((offer.model_id, "", offer.model_id))

    def answered(self, request: SelectionRequest | None = None) -> tuple[str, list[str]]:
        """Who answered, and what was decided on the way there."""
        decided: list[Selection] = []
        with self.router.lend_loadable(lambda: request or ask(), decided=decided.append) as (selection, _):
            assert selection is decided[-1]
            return selection.require().offer.model_id, [one.winner.offer.model_id if one.winner else "" for one in decided]


@pytest.fixture
def box() -> Box:
    return Box()


def test_where_the_next_is_forbidden_it_is_a_refusal_with_the_first_reason(box: Box) -> None:
    box.offers = [QWEN, MISTRAL, OFFERS["genai"]]  # secret: no mistral, and not through genai
    box.failing = {"qwen@1": DIGEST}
    with pytest.raises(SetupError, match="damaged"):
        box.answered(ask("secret"))
    assert box.tried == ["qwen@1"]
    assert box.told == [("qwen@1", "setup.model_digest", "")]


@pytest.mark.parametrize(
    "error", [Denied("The gate says no."), Unavailable("Busy.", code="inference.busy"), Unavailable("x", code="inference.closed")]
)
def test_a_denial_or_a_moment_is_no_reason_to_go_on(box: Box, error: ApplianceError) -> None:
    box.failing = {"mistral@1": error}
    with pytest.raises(type(error)):
        box.answered()
    assert (box.tried, box.told) == (["mistral@1"], [])


def test_what_nobody_foresaw_is_not_passed_over(box: Box) -> None:
    box.failing = {"mistral@1": ZeroDivisionError()}
    with pytest.raises(ZeroDivisionError):
        box.answered()
    assert box.told == []


def test_an_answer_that_fails_in_the_middle_fails(box: Box) -> None:
    def broken() -> None:
        with box.router.lend_loadable(ask):
            raise Unavailable("It died.", code="inference.died")

    with pytest.raises(Unavailable, match="died"):
        broken()
    assert (box.tried, box.told) == (["mistral@1"], [])


def test_the_next_answers_and_each_is_told_with_what_came_instead(box: Box) -> None:
    box.failing = {"mistral@1": DIGEST, "qwen@1": SHORT}
    assert box.answered() == ("smol@1", ["mistral@1", "qwen@1", "smol@1"])
    assert box.told == [("mistral@1", "setup.model_digest", "qwen@1"), ("qwen@1", "inference.load_failed", "smol@1")]
    assert box.answered() == ("smol@1", ["smol@1"]), "nobody waits for the same again"
    assert box.tried == ["mistral@1", "qwen@1", "smol@1"]
    selection = box.router.select(ask())
    assert [one.offer.model_id for one in selection.instead_of] == ["mistral@1", "qwen@1"]


def test_once_it_is_tried_again_and_loads_it_answers(box: Box) -> None:
    box.failing = {"mistral@1": SHORT}
    assert box.answered()[0] == "qwen@1"
    box.failing = {}
    box.remembered = {"mistral@1": replace(box.remembered["mistral@1"])}
    assert box.answered()[0] == "qwen@1"
    expired = box.remembered.pop("mistral@1")
    box.offers[0] = replace(MISTRAL)
    assert expired.code == "inference.load_failed"
    assert box.answered()[0] == "mistral@1"


def test_what_is_loaded_here_answers_whatever_another_process_could_not(box: Box) -> None:
    assert box.answered()[0] == "mistral@1"
    box.remembered["mistral@1"] = LoadFailure("inference.load_failed", "x.", 1, 0, 1)
    assert box.answered()[0] == "mistral@1"
    assert box.remembered == {}


def test_where_nothing_else_is_left_what_failed_is_tried_with_each_question(box: Box) -> None:
    box.offers, box.failing = [SMOL], {"smol@1": SHORT}
    for _ in range(2):
        with pytest.raises(Unavailable, match="enough memory"):
            box.answered()
    assert box.tried == ["smol@1", "smol@1"]
    box.failing = {}
    assert box.answered()[0] == "smol@1"


def test_a_model_chosen_by_hand_is_tried_and_then_refused(box: Box) -> None:
    box.failing = {"mistral@1": SHORT}
    box.answered()
    by_hand = ask(chosen="mistral", roles=frozenset(POLICIES["usual"].choosers))
    with pytest.raises(Unavailable, match="enough memory"):
        box.answered(by_hand)
    assert box.tried == ["mistral@1", "qwen@1", "mistral@1"]
    box.failing = {}
    assert box.answered(by_hand)[0] == "mistral@1"


def test_a_canary_that_cannot_be_loaded_leaves_its_conversations_to_the_active_version(box: Box) -> None:
    box.offers, box.failing = [CANARY, SMOL], {CANARY.model_id: DIGEST}
    assert box.answered() == ("smol@1", [CANARY.model_id, "smol@1"])
    assert box.told == [(CANARY.model_id, "setup.model_digest", "smol@1")]


def test_what_is_asked_about_one_version_is_answered_by_no_other(box: Box) -> None:
    box.failing = {"mistral@1": DIGEST}
    box.answered()
    told = list(box.told)
    supposing = box.router.supposing("mistral@1")
    with pytest.raises(SetupError), supposing.lend_loadable(ask):
        pass
    assert box.told == told, "nor does it say anything of the box"


def test_documents_that_are_classified_higher_while_a_model_is_loaded_are_decided_about_anew(box: Box) -> None:
    classifications = iter(["internal", "secret", "secret", "secret"])
    with box.router.lend_loadable(lambda: ask(next(classifications))) as (selection, _):
        assert (selection.classification, selection.require().offer.model_id) == ("secret", "smol@1")


def test_a_server_that_is_gone_fails_one_answer_and_is_then_passed_over(box: Box) -> None:
    box.offers = [FAR, SMOL]
    box.router.policy = parse_policy(policy_text(public={"runtimes": ["openai", "llamacpp"]}))
    gone = Unavailable("Nobody answers there.", code="inference.unreachable")
    with suppress(Unavailable), box.router.lend_loadable(lambda: ask("public")) as (selection, _):
        assert selection.require().offer == FAR
        raise gone
    assert box.answered(ask("public"))[0] == "smol@1"
    box.remembered.clear()
    box.failing = {"big@1": gone}
    assert box.answered(ask("public")) == ("smol@1", ["big@1", "smol@1"]), "it is reached for before the answer begins"


def test_a_version_deleted_between_decision_and_load_is_passed_over(box: Box) -> None:
    def offers() -> list[Offer]:
        return [SMOL] if "mistral@1" in box.tried else [MISTRAL, SMOL]

    box.router._offers = offers
    box.failing = {"mistral@1": SetupError("Its file is gone.", code="setup.model_missing")}
    assert box.answered() == ("smol@1", ["mistral@1", "smol@1"])
