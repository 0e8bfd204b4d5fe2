"""A model that computes elsewhere than chosen is seen: in the audit log once, with each answer, by the doctor, on the page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from appliance.administration.placements import Placements
from appliance.bootstrap import Appliance
from appliance.cli.doctor import _loaded
from appliance.identity.models import Principal
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.models import Health
from appliance.inference.placement import Placement
from appliance.inference.pool import RuntimePool
from appliance.inference.routing import Router
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.stub import InsecureStubWarning, StubRuntime
from appliance.storage.tables import audit_events
from workers.loaded import PERIOD_S, Loaded

CARD = Accelerator("cuda:0", "A card", 24_000, 20_000)
BOX = Hardware(cores=4, memory_total_mb=32_000, memory_available_mb=30_000, accelerators=(CARD,))


class Elsewhere:
    """A runtime whose library found no card; `device` is what it says."""

    def __init__(self) -> None:
        with pytest.warns(InsecureStubWarning):
            self._stub = StubRuntime([])
        self.device, self.model, self.context_tokens = "cpu", self._stub.model, self._stub.context_tokens
        self.asked = 0

    def health(self) -> Health:
        self.asked += 1
        return Health(ready=True, device=self.device, running=1)

    def close(self) -> None:
        pass


@pytest.fixture
def runtime() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def router(appliance: Appliance, runtime: Elsewhere) -> Router:
    def offers() -> list[Offer]:
        here = Offer("llamacpp", "smol@1", "smol", memory_mb=300, context_tokens=4_096, libraries=("cpu", "cuda"))
        return [here, replace(here, model_id="far@1", name="far", runtime="openai_http", destination="lan")]

    rule = replace(appliance.routing.rules["public"], destinations=("lan",), models=("smol", "far"))
    return Router(
        hardware=lambda: BOX,
        offers=offers,
        policy=replace(appliance.routing, rules={"public": rule, "internal": replace(rule, models=("far",))}),
        seal=appliance.seal,
        pool=RuntimePool(lambda key, told: runtime),
        placed=Placements(appliance.database, appliance.audit).note,
    )


def lend(router: Router, classification: str = "public") -> None:
    with router.lend(router.select(SelectionRequest(classification))):
        pass


def recorded(appliance: Appliance) -> list[dict[str, str]]:
    with appliance.database.read() as connection:
        found = connection.execute(select(audit_events).where(audit_events.c.event == "model.misplaced")).all()
    return [json.loads(row.body)["facts"] for row in found]


def test_it_is_recorded_once_and_again_where_it_changes(appliance: Appliance, router: Router, runtime: Elsewhere) -> None:
    with capture_logs() as events:
        lend(router)
        lend(router)
    wanted = {"runtime": "llamacpp", "chosen": "cuda:0", "used": "cpu", "best": "cuda:0", "reason": "elsewhere"}
    assert recorded(appliance) == [wanted]
    assert [event["log_level"] for event in events if event["event"] == "model.misplaced"] == ["warning"]
    runtime.device = "cuda:0"
    lend(router)
    assert len(recorded(appliance)) == 1
    runtime.device = "cpu+cuda:0"
    router.loaded()
    assert [facts["used"] for facts in recorded(appliance)] == ["cpu", "cpu+cuda:0"]


def test_a_server_elsewhere_is_not_asked(appliance: Appliance, router: Router, runtime: Elsewhere) -> None:
    lend(router, "internal")
    (far,) = router.loaded()
    assert (far.destination, far.placement, runtime.asked) == ("lan", None, 0)
    assert recorded(appliance) == []


def test_what_is_as_it_should_be_or_not_told_is_no_event(appliance: Appliance) -> None:
    note = Placements(appliance.database, appliance.audit).note
    note(Placement("genai", "smol@1", "cpu", "cpu", "cpu"))
    note(Placement("genai", "smol@1", "intel_npu:0", "", "intel_npu:0"))
    assert recorded(appliance) == []


def test_the_doctor_and_the_page_say_where_it_computes(
    appliance: Appliance, router: Router, administrator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(_loaded(appliance)) == []
    assert appliance.routing_review.explain(administrator).loaded == ()
    monkeypatch.setattr("workers.loaded.execution_providers", lambda: ("CPUExecutionProvider",))  # which loads a library
    lend(router)
    now = iter([0.0, 0.0, 0.0, PERIOD_S - 1, PERIOD_S, PERIOD_S])
    loaded = Loaded(appliance.settings.run_dir, "worker-answers", router.loaded, clock=lambda: next(now))
    assert [loaded.report(), loaded.report(), loaded.report()] == [True, False, True]
    (finding,) = _loaded(appliance)
    assert finding.state == "warning"
    assert finding.sentence == "smol@1 through llamacpp: It was put on cuda:0 and computes on cpu."
    explained = appliance.routing_review.explain(administrator)
    (one,) = explained.loaded
    assert (one.model_id, one.health.device, one.health.running) == ("smol@1", "cpu", 1)
    assert "CPUExecutionProvider" in explained.hardware.providers
