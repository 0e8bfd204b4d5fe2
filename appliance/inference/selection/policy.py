"""The routing policy: `policies/routing.toml`, read at start and refused as a whole where anything in it is not understood."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from appliance.egress.seal.layers import Strength
from appliance.errors import SetupError
from appliance.identity.models import Role
from appliance.inference.devices import DeviceKind
from appliance.inference.selection.models import DEFAULT_CLASSIFICATION

CRITERIA = ("model", "runtime", "size", "device")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may answer one classification. Lists are in order of preference; `models` are patterns of names ("qwen3*")."""

    runtimes: tuple[str, ...]
    models: tuple[str, ...]
    destinations: tuple[str, ...]
    seal: Strength
    canary: bool

    def model_rank(self, name: str) -> int | None:
        """Place of the first pattern that `name` fits, None where it fits none."""
        return next((place for place, pattern in enumerate(self.models) if fnmatchcase(name, pattern)), None)


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """The whole policy. `classifications` are in order, lowest first; `devices` and `order` in order of preference."""

    classifications: tuple[str, ...]
    choosers: frozenset[Role]
    memory_headroom_mb: int
    device_headroom_mb: int
    devices: tuple[DeviceKind, ...]
    order: tuple[str, ...]
    rules: Mapping[str, Rule]
    sha256: str = ""

    def highest(self, classifications: Iterable[str]) -> str:
        """The highest of these; one that this policy does not know is above all others, so that it is refused.

        Without any it is the default: nothing of a collection was used, but the question itself is the organisation's.
        """
        found = sorted(set(classifications)) or [DEFAULT_CLASSIFICATION]
        unknown = [name for name in found if name not in self.classifications]
        return unknown[0] if unknown else max(found, key=self.classifications.index)


def load_policy(path: Path, *, runtimes: Iterable[str] | None = None) -> RoutingPolicy:
    """The policy in `path`. Raises `SetupError` (`setup.routing`) for what is missing, unknown or of the wrong type.

    `runtimes` are the names there are; a rule that names another is refused.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"The routing policy {path} cannot be read; without it no model may answer.", code="setup.routing"
        ) from error
    return parse_policy(text, str(path), runtimes=runtimes)


def parse_policy(text: str, origin: str = "routing.toml", *, runtimes: Iterable[str] | None = None) -> RoutingPolicy:
    """As `load_policy`, from its text; `origin` names it in errors."""
    reading = _Reading(origin)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise reading.refusal(f"is not valid TOML: {error}") from error
    reading.exactly(values, {item.name for item in fields(RoutingPolicy)} - {"sha256"}, "")
    classifications = reading.words(values, "classifications", "")
    if DEFAULT_CLASSIFICATION not in classifications:
        raise reading.refusal(f"does not list the classification {DEFAULT_CLASSIFICATION}, which new collections have")
    rules = values["rules"]
    if not isinstance(rules, dict):
        raise reading.refusal("needs a table [rules.<classification>] for each classification")
    reading.exactly(rules, set(classifications), "rules.")
    order = reading.words(values, "order", "", among=CRITERIA)
    if set(order) != set(CRITERIA):
        raise reading.refusal(f"must name each of {', '.join(CRITERIA)} in order")
    known = None if runtimes is None else tuple(sorted(runtimes))
    return RoutingPolicy(
        classifications=classifications,
        choosers=frozenset(Role(name) for name in reading.words(values, "choosers", "", among=tuple(Role))),
        memory_headroom_mb=reading.megabytes(values, "memory_headroom_mb"),
        device_headroom_mb=reading.megabytes(values, "device_headroom_mb"),
        devices=tuple(DeviceKind(name) for name in reading.words(values, "devices", "", among=tuple(DeviceKind))),
        order=order,
        rules={name: _rule(reading, rules[name], f"rules.{name}.", known) for name in classifications},
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _rule(reading: _Reading, values: Any, place: str, runtimes: tuple[str, ...] | None) -> Rule:
    if not isinstance(values, dict):
        raise reading.refusal(f"needs a table [{place[:-1]}]")
    reading.exactly(values, {item.name for item in fields(Rule)}, place)
    seal = values["seal"]
    if seal not in list(Strength):
        raise reading.refusal(f"has {place}seal = {seal!r}; known are {', '.join(Strength)}")
    if not isinstance(values["canary"], bool):
        raise reading.refusal(f"has {place}canary = {values['canary']!r}; it is true or false")
    return Rule(
        runtimes=reading.words(values, "runtimes", place, among=runtimes),
        models=reading.words(values, "models", place),
        destinations=reading.words(values, "destinations", place),
        seal=Strength(seal),
        canary=values["canary"],
    )


class _Reading:
    """Reads values of one file; each complaint names the file and the key."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def refusal(self, complaint: str) -> SetupError:
        return SetupError(f"The routing policy {self._origin} {complaint}.", code="setup.routing")

    def exactly(self, values: Mapping[str, Any], wanted: set[str], place: str) -> None:
        """No key missing, none unknown: what is not said is not guessed."""
        for key in sorted(wanted - set(values)):
            raise self.refusal(f"does not say {place}{key}")
        for key in sorted(set(values) - wanted):
            raise self.refusal(f"has the unknown key {place}{key}")

    def words(self, values: Mapping[str, Any], key: str, place: str, *, among: tuple[str, ...] | None = None) -> tuple[str, ...]:
        found = values[key]
        if not isinstance(found, list) or not all(isinstance(word, str) and word for word in found):
            raise self.refusal(f"needs a list of words for {place}{key}")
        for word in found:
            if found.count(word) > 1:
                raise self.refusal(f"names {word} twice in {place}{key}")
            if among is not None and word not in among:
                raise self.refusal(f"names the unknown {word} in {place}{key}; known are {', '.join(among)}")
        return tuple(found)

    def megabytes(self, values: Mapping[str, Any], key: str) -> int:
        found = values[key]
        if type(found) is not int or found < 0:
            raise self.refusal(f"needs a whole number of megabytes for {key}, not {found!r}")
        return found
