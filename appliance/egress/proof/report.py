"""What the legs of the proof say together. Pure: the same legs give the same verdict wherever the report is read again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from appliance.egress.proof.leg import Leg
from appliance.egress.seal.layers import Strength

FORMAT = "cloister-egress-proof-v1"


class Machine(msgspec.Struct, frozen=True):
    """What was put to the proof, and on what."""

    kernel: str
    architecture: str
    landlock: int
    python: str
    code_sha256: str
    packages: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """`problems` is why the proof failed, one sentence each; empty where it held."""

    format: str
    made: str
    seconds: float
    machine: Machine
    legs: list[Leg]
    held: bool
    problems: list[str]


def problems(legs: list[Leg]) -> list[str]:
    """Why these legs prove nothing, or prove the contrary."""
    return [f"{leg.name}: {sentence}" for leg in legs for sentence in _of_leg(leg)] + _of_all(legs)


def shows(leg: Leg) -> str:
    """What this leg can show, and what it cannot."""
    if leg.sealed and leg.opt_outs:
        return "The box as it is delivered. Whatever left it would stand below; what was tried inside and failed would not."
    if leg.sealed:
        return (
            "Libraries were free to report, and only the seal held them. What stood below would have broken out. Commands of the "
            "shell run outside the seal and kept their opt-outs."
        )
    if leg.opt_outs:
        return (
            "No layer of the seal held, so that every try is seen: what stands below was tried although the libraries "
            "had been told not to."
        )
    return (
        "No layer of the seal held and the libraries were free to report: what stands below is what the other legs keep from "
        "happening, and shows that code of that kind is seen here."
    )


def _of_leg(leg: Leg) -> Iterator[str]:
    outside = [each for each in leg.controls if each.place != "inside the seal"]
    if len(outside) < 2 or any(each.seen != ["dns", "tcp", "udp"] for each in outside):
        yield "somebody tried to get out and was not seen, so that nothing else would have been either"
    for step in leg.steps:
        if not step.held:
            yield f"{step.name} was not done: {step.detail}"
    if not leg.steps or leg.steps[-1].name != "shutdown":
        yield "the day broke off"
    if leg.packets_unreadable:
        yield f"{leg.packets_unreadable} packets could not be read"
    if leg.packets_sent is not None and leg.packets_sent != leg.packets:
        yield f"{leg.packets_sent} packets went out and {leg.packets} were seen"
    if leg.attempts and (leg.sealed or leg.opt_outs):
        yield f"{len(leg.attempts)} attempts to get out"
    if leg.sealed:
        yield from _of_seal(leg)


def _of_seal(leg: Leg) -> Iterator[str]:
    inside = [each for each in leg.controls if each.place == "inside the seal"]
    if not inside or any(each.seen or not all(each.came.values()) or "start" in each.came for each in inside):
        yield "somebody inside the seal was not held, or could not try"
    # a kernel without one of the inner layers still holds every packet; which ones were there is told on the page
    if leg.status.get("strength") != Strength.NAMESPACE:
        yield f"the seal did not hold for all processes: {', '.join(leg.status.get('gaps', [])) or 'they did not report'}"
    if any(leg.status.get("contradictions", {}).values()):
        yield "the processes claim layers that are not seen from outside"


def _of_all(legs: list[Leg]) -> list[str]:
    found = {(leg.sealed, leg.opt_outs) for leg in legs}
    missing = []
    if (False, True) not in found:
        missing.append("no day was spent without the seal and with the opt-outs")
    if (True, False) not in found:
        missing.append("no day was spent inside the seal without the opt-outs")
    return missing
