"""What the box computes with, and which model would answer what."""

from __future__ import annotations

import msgspec

from appliance.inference.hardware.models import Hardware
from appliance.inference.placement import LoadedRuntime
from appliance.inference.selection.explain import Explanation
from appliance.inference.selection.models import Candidate, Selection


class AcceleratorOut(msgspec.Struct):
    """A graphics or neural processor; memory in megabytes, 0 where it is not known."""

    device: str
    kind: str
    name: str
    memory_total_mb: int
    memory_free_mb: int
    shares_memory: bool


class HardwareOut(msgspec.Struct):
    """What the appliance may use of the machine.

    `providers` are ONNX Runtime's execution providers; `remarks` says what could not be looked at.
    """

    processor: str
    architecture: str
    features: list[str]
    cores: int
    cpu_quota: float | None
    memory_total_mb: int
    memory_available_mb: int
    memory_limit_mb: int | None
    accelerators: list[AcceleratorOut]
    providers: list[str]
    remarks: list[str]

    @classmethod
    def of(cls, hardware: Hardware) -> HardwareOut:
        return msgspec.convert(hardware, cls, from_attributes=True)


class PassedOverOut(msgspec.Struct):
    """A faster device of this box and why it is not used."""

    device: str
    reason: str
    sentence: str


class CandidateOut(msgspec.Struct):
    """`reason` is a stable code, `sentence` is for people; `destination` is empty for this box."""

    model: str
    runtime: str
    device: str
    library: str
    passed_over: list[PassedOverOut]
    destination: str
    state: str
    reason: str
    sentence: str

    @classmethod
    def of(cls, candidate: Candidate) -> CandidateOut:
        offer = candidate.offer
        return cls(
            offer.model_id,
            offer.runtime,
            candidate.device,
            candidate.library,
            [PassedOverOut(one.device, str(one.reason), one.sentence) for one in candidate.passed_over],
            offer.destination,
            offer.state,
            str(candidate.reason),
            candidate.sentence,
        )


class DecisionOut(msgspec.Struct):
    """`winner` is None where nothing answers; `refusal` is the sentence that people see then.

    `instead_of` are those of the `others` that would have come before the winner and cannot be loaded.
    """

    classification: str
    winner: CandidateOut | None
    refusal: str
    others: list[CandidateOut]
    instead_of: list[CandidateOut]

    @classmethod
    def of(cls, selection: Selection) -> DecisionOut:
        won = selection.winner
        others = [CandidateOut.of(candidate) for candidate in selection.candidates if candidate != won]
        refusal = "" if selection.refusal is None else selection.refusal.sentence
        ahead = [CandidateOut.of(candidate) for candidate in selection.instead_of]
        return cls(selection.classification, None if won is None else CandidateOut.of(won), refusal, others, ahead)


class LoadedOut(msgspec.Struct):
    """A model that a process holds now; `used` is where it truly computes, empty where nobody says. `differs` is a warning."""

    model: str
    runtime: str
    destination: str
    chosen: str
    used: str
    differs: bool
    sentence: str
    ready: bool
    running: int
    waiting: int

    @classmethod
    def of(cls, loaded: LoadedRuntime) -> LoadedOut:
        placement, health = loaded.placement, loaded.health
        told = "" if placement is None else placement.sentence
        return cls(
            loaded.model_id,
            loaded.runtime,
            loaded.destination,
            "" if placement is None else placement.chosen,
            health.device,
            placement is not None and placement.differs,
            told if health.ready else health.detail,
            health.ready,
            health.running,
            health.waiting,
        )


class RoutingOut(msgspec.Struct):
    hardware: HardwareOut
    loaded: list[LoadedOut]
    seal: str
    decisions: list[DecisionOut]

    @classmethod
    def of(cls, explanation: Explanation) -> RoutingOut:
        decisions = [DecisionOut.of(selection) for selection in explanation.selections]
        loaded = [LoadedOut.of(one) for one in explanation.loaded]
        return cls(HardwareOut.of(explanation.hardware), loaded, str(explanation.request.seal), decisions)
