"""Versions of models as the shell names and shows them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from appliance.administration.golden.models import GoldenSet
from appliance.administration.golden.places import IndexComparison
from appliance.cli.output import Output
from appliance.inference.store.versions import ModelVersion
from appliance.retrieval.index_progress import IndexProgress
from appliance.storage.digests import Watch

_STEP = 0.1
_UNNAMED: Mapping[str, str] = MappingProxyType({})
_WORTH_TELLING_BYTES = 500_000_000


def version_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="name@number, as `cloister models list` shows it")


def told(output: Output, version: ModelVersion, *sentences: str) -> int:
    """Say what has become of a version; the exit code."""
    output.result(document_of(version), line_of(version), *sentences)
    return 0


def document_of(version: ModelVersion) -> dict[str, Any]:
    """All a program may want to know."""
    return asdict(version) | {"measured": dict(version.measured), "trials": [dict(trial) for trial in version.trials]}


def line_of(version: ModelVersion, groups: Mapping[str, str] = _UNNAMED) -> str:
    """One line for people; `groups` holds names by id."""
    share, form = "", version.form
    if version.canary_percent is not None:
        share = f" {version.canary_percent} %"
    elif version.canary_group is not None:
        share = f" {groups.get(version.canary_group, 'a group')}"
    marks = " encrypted" * version.encrypted + " signed" * (version.signer is not None)
    return (
        f"{version.state.value + share:<12} {version.id:<32} {version.kind}, {version.format} {version.quantisation}, "
        f"{version.size_class.value}, {version.size_bytes / 1e6:,.0f} MB, needs {version.memory_mb:,} MB, "
        f"context {version.context_tokens:,}, {version.licence}{marks}{f', vectors of {form.sentence}' if form else ''}"
    )


def index_document(index: IndexProgress) -> dict[str, Any]:
    """The index of an embedding model, for programs."""
    return asdict(index) | {"state": index.state.value, "percent": index.percent, "sentence": index.sentence}


def comparison_document(about: GoldenSet, found: IndexComparison) -> dict[str, Any]:
    """What a golden set says of an index, for programs."""
    moved = {"worse": found.worse, "better": found.better}
    document = {name: value for name, value in asdict(found).items() if name != "moved"}
    document |= {name: [place._asdict() for place in places] for name, places in moved.items()}
    counts = {"first": found.first._asdict(), "found": found.found._asdict()}
    return document | counts | {"set": about.name, "stands_against": found.stands_against}


def comparison_lines(about: GoldenSet, found: IndexComparison) -> list[str]:
    """The same for people, question by question where something changed."""
    if found.reason_code:
        return [f"{about.name}: could not be asked. {found.reason}"]
    told = (
        f"{about.name}: of {found.compared} questions the expected passage comes first for {found.first.before}, now "
        f"{found.first.now}; among the first {found.depth} for {found.found.before}, now {found.found.now}"
    )
    lines = [f"{told}: a regression" if found.regressed else told]
    for mark, places in (("worse ", found.worse), ("better", found.better)):
        lines += [f"  {mark} {item.text} ({_place(item.before)}, now {_place(item.now)})" for item in places]
    return lines


def _place(place: int | None) -> str:
    return "not found" if place is None else f"place {place}"


def figures_of(version: ModelVersion) -> list[str]:
    """What was measured, one line per variant; of a version without a table, its own figures."""
    rows = version.trials or ({"format": version.quantisation, **version.measured},)
    return [f"  {_variant(row):<32} {_figures(row)}".rstrip() for row in rows]


def _variant(row: Mapping[str, Any]) -> str:
    runtime = f" in {row['runtime']}" if "runtime" in row else ""
    return f"{row['format']}{runtime}" + (f" ({row['version']})" if "version" in row else "")


def _figures(row: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:g}" for name, value in row.items() if isinstance(value, int | float))
    outcome = f"{row['outcome']}: {row['reason']}" if "outcome" in row else ""
    return "; ".join(part for part in (figures, outcome) if part)


def watched(output: Output, what: str) -> Watch:
    """Says every tenth how far reading a large file is."""
    told = 0.0

    def watch(done: int, total: int) -> None:
        nonlocal told
        if total < _WORTH_TELLING_BYTES:
            return
        if done < told * total:  # the next file
            told = 0.0
        if done >= (told + _STEP) * total:
            told = done / total
            output.progress(f"{what}: {told:.0%} of {total / 1e6:,.0f} MB")

    return watch
