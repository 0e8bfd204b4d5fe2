"""The vocabulary of selection: what is offered, what is asked, what was decided and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.egress.seal.layers import Strength
from appliance.errors import ApplianceError, Denied, Unavailable
from appliance.identity.models import Role
from appliance.inference.load_failures import LoadFailure

DEFAULT_CLASSIFICATION = "internal"
"""What a collection is until an administrator says otherwise; the routing policy must know it."""

NO_PERMITTED_RUNTIME = "inference.no_permitted_runtime"
LOAD_CRASHED = "inference.load_crashed"
LOAD_FAILED = "inference.load_failed"
CHOICE_DENIED = "inference.choice_denied"


class Reason(StrEnum):
    """Why a candidate won or lost; stable, for programs. The sentence for people stands in the `Candidate`."""

    PREFERRED = "preferred"
    CANARY = "canary"
    BY_HAND = "by_hand"
    # the version is not for this conversation
    WRONG_KIND = "wrong_kind"
    RETIRED = "retired"
    CANDIDATE = "candidate"
    UNKNOWN_STATE = "unknown_state"
    CANARY_ELSEWHERE = "canary_elsewhere"
    NOT_CHOSEN = "not_chosen"
    # policy
    CLASSIFICATION_UNKNOWN = "classification_unknown"
    CHOICE_FORBIDDEN = "choice_forbidden"
    RUNTIME_FORBIDDEN = "runtime_forbidden"
    MODEL_FORBIDDEN = "model_forbidden"
    DESTINATION_FORBIDDEN = "destination_forbidden"
    CANARY_FORBIDDEN = "canary_forbidden"
    SEAL_MISSING = "seal_missing"
    # this box
    UNUSABLE = "unusable"
    LOAD_CRASHED = "load_crashed"
    LOAD_FAILED = "load_failed"
    CONTEXT_SHORT = "context_short"
    NO_DEVICE = "no_device"
    MEMORY_UNKNOWN = "memory_unknown"
    MEMORY_SHORT = "memory_short"
    # of a device that would have been faster
    NO_LIBRARY = "no_library"
    DEVICE_FORBIDDEN = "device_forbidden"
    # it could have answered
    LESS_PREFERRED = "less_preferred"


WON = frozenset({Reason.PREFERRED, Reason.CANARY, Reason.BY_HAND})
OF_POLICY = frozenset(
    {
        Reason.CLASSIFICATION_UNKNOWN,
        Reason.RUNTIME_FORBIDDEN,
        Reason.MODEL_FORBIDDEN,
        Reason.DESTINATION_FORBIDDEN,
        Reason.CANARY_FORBIDDEN,
        Reason.SEAL_MISSING,
    }
)
OF_THE_BOX = frozenset(
    {
        Reason.UNUSABLE,
        Reason.LOAD_CRASHED,
        Reason.LOAD_FAILED,
        Reason.CONTEXT_SHORT,
        Reason.NO_DEVICE,
        Reason.MEMORY_UNKNOWN,
        Reason.MEMORY_SHORT,
    }
)
NOT_LOADED = frozenset({Reason.LOAD_CRASHED, Reason.LOAD_FAILED})


@dataclass(frozen=True, slots=True)
class Offer:
    """A model in a version, through a runtime, at a place. `destination` is empty for this box, else a named one elsewhere.

    `memory_mb` is what it takes when loaded, its context included; 0 is unknown. `libraries` are what its runtime was built
    with (`appliance.inference.devices.LIBRARIES`), which says which devices it can drive. `unusable` is the sentence of a
    runtime that cannot run on this box, empty where it can.
    """

    runtime: str
    model_id: str
    name: str
    kind: str = "language"  # or "embedding"
    size_class: str = "micro"  # "micro", "small", "medium"
    memory_mb: int = 0
    context_tokens: int = 0
    state: str = "active"  # "candidate", "canary", "active", "retired"
    canary_percent: int = 0
    canary_group: str = ""
    libraries: tuple[str, ...] = ("cpu",)
    destination: str = ""
    unusable: str = ""
    crashed: str = ""
    """Why it is not loaded again: it ended its process too often while this runtime loaded it."""
    failed: LoadFailure | None = None
    """The last time that this runtime was to load it, where that is not tried again yet."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one offer from another."""
        return (self.model_id, self.runtime, self.destination)


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """What has to be answered, and for whom.

    `classification` is the highest among the passages used. `chosen` is the id or the name of a model picked by hand.
    `loaded` holds ids of models whose memory is taken already. `conversation_id` decides whether a canary answers.
    """

    classification: str
    roles: frozenset[Role] = field(default_factory=frozenset)
    groups: frozenset[str] = field(default_factory=frozenset)
    conversation_id: str = ""
    chosen: str = ""
    context_tokens: int = 0
    seal: Strength = Strength.NONE
    loaded: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A device of this box that would be faster than the one chosen, and why it is not used."""

    device: str
    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer with the reason it won or lost.

    `device` is where it would run and `library` what would drive that; both are empty where it would not run or is elsewhere.
    """

    offer: Offer
    reason: Reason
    sentence: str
    device: str = ""
    library: str = ""
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing may answer. `denied`: policy says no; else this box cannot."""

    code: str
    sentence: str
    denied: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """The decision. `candidates` names every offer, the chosen one first, in an order that does not depend on the input's.

    `instead_of` are those of them that would have been chosen before the winner, and cannot be loaded.
    """

    classification: str
    candidates: tuple[Candidate, ...]
    winner: Candidate | None
    refusal: Refusal | None
    policy_sha256: str
    instead_of: tuple[Candidate, ...] = ()

    def require(self) -> Candidate:
        """The chosen offer with its device. Raises `Denied` or `Unavailable` with the refusal's code; there is no fallback."""
        if self.winner is not None:
            return self.winner
        assert self.refusal is not None
        kind: type[ApplianceError] = Denied if self.refusal.denied else Unavailable
        raise kind(self.refusal.sentence, code=self.refusal.code, classification=self.classification)
