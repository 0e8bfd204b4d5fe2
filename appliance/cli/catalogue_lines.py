"""Entries of the catalogue as the shell shows them."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.inference.known_models import KnownModel, Need, Runner


def lines_of(model: KnownModel) -> Iterator[str]:
    """A line that names it, and one for each thing to know about it."""
    entry = model.entry
    yield (
        f"{entry.name}: {entry.title}, {entry.kind}, {entry.size_class.value}, {entry.parameters_m:,g} million weights, "
        f"context {entry.context_tokens:,}, template {entry.template}, {entry.licence}"
    )
    yield f"  memory     {'; '.join(map(_need, model.needs))}"
    if model.runners:
        yield f"  runs in    {'; '.join(map(_runner, model.runners))}"
    for supply in model.supplies:
        yield f"  comes from {supply.sentence}{supply.command and f': {supply.command}'}"
    yield f"  installed  {', '.join(f'{name} ({state})' for name, state in model.versions.items()) or 'no'}"
    if entry.unusable:
        yield f"  unusable   {entry.unusable}"
    if entry.note:
        yield f"  note       {entry.note}"


def _need(need: Need) -> str:
    beside = [device for device in need.fits_on if device != "cpu"]
    where = f" (fits {', '.join(beside)})" if beside else "" if need.fits_on else " (does not fit)"
    return f"{need.quantisation} {need.memory_mb:,} MB{where}"


def _runner(runner: Runner) -> str:
    return runner.name if runner.usable else f"{runner.name} (not now: {runner.reason.rstrip('.')})"
