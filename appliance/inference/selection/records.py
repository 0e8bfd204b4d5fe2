"""A decision as it is kept with each answer: ids and codes, never a name or a word of anybody. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from appliance.inference.selection.models import LOAD_CRASHED, Candidate, Selection

VERSION = 1
_POLICY_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """Which model answered and why, or the code of the refusal.

    `device` was chosen and `library` drives it; `used` is where the runtime said that it computes, empty where it did not say.
    `passed_over` maps each faster device of the box to the code of the reason why it was not chosen, `lost` every other candidate
    ("model@1 runtime", with the destination where it runs elsewhere) to that of its own. Of those lost
    `instead_of` names the ones that would have answered but could not be loaded, each with the code of its failure. `policy` is
    the beginning of the digest of the routing policy that was in force.
    """

    classification: str
    model: str = ""
    runtime: str = ""
    device: str = ""
    library: str = ""
    used: str = ""
    destination: str = ""
    reason: str = ""
    refusal: str = ""
    lost: Mapping[str, str] = field(default_factory=dict)
    passed_over: Mapping[str, str] = field(default_factory=dict)
    policy: str = ""
    instead_of: Mapping[str, str] = field(default_factory=dict)


def record_of(selection: Selection) -> SelectionRecord:
    """What is kept of a decision."""
    won = selection.winner
    lost = {_named(candidate): str(candidate.reason) for candidate in selection.candidates if candidate != won}
    policy = selection.policy_sha256[:_POLICY_CHARACTERS]
    if won is None:
        refusal = selection.refusal.code if selection.refusal else ""
        return SelectionRecord(selection.classification, refusal=refusal, lost=lost, policy=policy)
    return SelectionRecord(
        selection.classification,
        model=won.offer.model_id,
        runtime=won.offer.runtime,
        device=won.device,
        library=won.library,
        destination=won.offer.destination,
        reason=str(won.reason),
        lost=lost,
        passed_over={one.device: str(one.reason) for one in won.passed_over},
        policy=policy,
        instead_of={_named(one): one.offer.failed.code if one.offer.failed else LOAD_CRASHED for one in selection.instead_of},
    )


def _named(candidate: Candidate) -> str:
    return " ".join(filter(None, candidate.offer.key))


def write_record(record: SelectionRecord) -> str:
    """The text of `messages.selection`; equal decisions give equal text."""
    return json.dumps({"version": VERSION, **asdict(record)}, separators=(",", ":"), sort_keys=True)


def read_record(text: str) -> SelectionRecord | None:
    """The record, None where nothing was decided or a newer version of the code wrote it."""
    if not text:
        return None
    values = json.loads(text)
    if values.pop("version", None) != VERSION:
        return None
    return SelectionRecord(**values)
