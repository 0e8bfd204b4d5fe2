"""Where a loaded model truly computes, beside where it was told to and what the box would have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.inference.devices import SOME_GRAPHICS
from appliance.inference.models import Health


class Verdict(StrEnum):
    """How the device that is used compares."""

    AS_CHOSEN = "as_chosen"
    ELSEWHERE = "elsewhere"  # not where selection put it
    BELOW_BEST = "below_best"  # where it was put, and the box has a faster one that the policy allows
    UNTOLD = "untold"  # the library does not say


@dataclass(frozen=True, slots=True)
class Placement:
    """`used` is as in `Health`; `best` is the first device of this box in the routing policy's order."""

    runtime: str
    model_id: str
    chosen: str
    used: str
    best: str

    @property
    def verdict(self) -> Verdict:
        if not self.used:
            return Verdict.UNTOLD
        if self.used != self.chosen:
            return Verdict.ELSEWHERE
        return Verdict.AS_CHOSEN if self.used == self.best else Verdict.BELOW_BEST

    @property
    def differs(self) -> bool:
        """Whether those who run the box are told."""
        return self.verdict in {Verdict.ELSEWHERE, Verdict.BELOW_BEST}

    @property
    def sentence(self) -> str:
        match self.verdict:
            case Verdict.UNTOLD:
                return f"It was put on {self.chosen}; {self.runtime} does not say where it computes."
            case Verdict.ELSEWHERE:
                return f"It was put on {self.chosen} and computes on {_spoken(self.used)}."
            case Verdict.BELOW_BEST:
                return f"It computes on {self.used}, although this box has {self.best}."
            case Verdict.AS_CHOSEN:
                return f"It computes on {self.used}, as chosen."


@dataclass(frozen=True, slots=True)
class LoadedRuntime:
    """A model that is loaded now, and how its runtime is; one at a destination has no placement on this box."""

    runtime: str
    model_id: str
    destination: str
    health: Health
    placement: Placement | None = None


def _spoken(used: str) -> str:
    """As in a sentence: "cpu and cuda:0"."""
    return " and ".join("a graphics processor" if part == SOME_GRAPHICS else part for part in used.split("+"))
