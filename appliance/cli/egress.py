"""`cloister egress status`: which layers of the seal hold for each process, and what has moved. Looked at from outside, too."""

from __future__ import annotations

import argparse

import msgspec

from appliance.administration.egress_review import EgressStatus
from appliance.bootstrap import open_appliance
from appliance.cli.output import Output
from appliance.egress.seal.observation import contradictions
from appliance.settings import load_settings


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["status"], help="status: the layers of each process and the meter")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 only where processes run, every layer of each holds, and nothing seen from here speaks against it."""
    appliance = open_appliance(load_settings(arguments.data))
    try:
        status = appliance.egress.found()
    finally:
        appliance.close()
    against = {report.process: contradictions(report) for report in status.processes}
    document = msgspec.to_builtins(status) | {"gaps": status.gaps, "contradictions": against}
    output.result(document, *_lines(status, against))
    return 0 if status.processes and not status.gaps and not any(against.values()) else 1


def _lines(status: EgressStatus, against: dict[str, list[str]]) -> list[str]:
    if not status.processes:
        return ["No process of this box runs, so there is nothing to seal."]
    lines = [f"Seal: {status.strength} (the weakest of {len(status.processes)} processes)"]
    for report in status.processes:
        held = [layer.name for layer in report.layers if layer.held]
        lines.append(f"  {report.process}: {', '.join(held) or 'no layer holds'}")
        because = f" ({report.reason})" if report.reason else ""
        lines += [f"    WARNING {layer.name}: {layer.detail}{because}" for layer in report.missing]
        lines += [f"    WARNING seen from outside: {sentence}" for sentence in against[report.process]]
    if status.counters:
        foreign = ", ".join(status.counters.foreign) or "none"
        lines.append(f"Interfaces besides loopback: {foreign}; {status.counters.foreign_bytes} bytes moved on them")
        lines.append(f"Internet sockets in use: {status.counters.sockets}")
    lines.append(f"Calls through the gate in the last hour: {status.last_hour.made}, refused: {status.last_hour.refused}")
    return lines
