"""`cloister egress`: which layers of the seal hold for each process, what has moved, and the proof that nothing leaves."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing

import msgspec

from appliance.administration.egress_review import EgressStatus
from appliance.bootstrap import open_appliance
from appliance.cli.output import Output
from appliance.cli.proving import prove_arguments, run_prove, run_verify, verify_arguments
from appliance.cli.verbs import add_verbs
from appliance.egress.collector.state import taken_last
from appliance.egress.seal.observation import contradictions
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _, _) in VERBS.items()}).items():
        VERBS[name][1](verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    return VERBS[arguments.verb][2](arguments, output)


def _run_status(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 only where processes run, every layer of each holds, and nothing seen from here speaks against it.

    The gate, where destinations are named, is none of the sealed; of it those layers count that it can have.
    """
    with closing(open_appliance(load_settings(arguments.data), upgrading=Upgrading(output.progress))) as appliance:
        status = appliance.egress.found()
    against = {report.process: contradictions(report) for report in status.processes}
    document = msgspec.to_builtins(status) | {"gaps": status.gaps, "contradictions": against}
    output.result(document, *_lines(status, against))
    strange = status.gate is not None and (status.gate.unrecorded or status.gate.count.strangers)
    return 0 if status.processes and not status.gaps and not any(against.values()) and not strange else 1


def _lines(status: EgressStatus, against: dict[str, list[str]]) -> list[str]:
    if not status.processes:
        return ["No process of this box runs, so there is nothing to seal."]
    sealed = [report for report in status.processes if not report.outside]
    lines = [f"Seal: {status.strength} (the weakest of {len(sealed)} processes)"]
    for report in status.processes:
        held = [layer.name for layer in report.layers if layer.held]
        lines.append(f"  {report.process}: {', '.join(held) or 'no layer holds'}")
        because = f" ({report.reason})" if report.reason else ""
        if report.outside:
            lines.append(f"    not sealed: {report.reason}")
        lines += [f"    WARNING {layer.name}: {layer.detail}{because}" for layer in report.missing]
        lines += [f"    WARNING seen from outside: {sentence}" for sentence in against[report.process]]
    if status.counters:
        foreign = ", ".join(status.counters.foreign) or "none"
        lines.append(f"Interfaces besides loopback: {foreign}; {status.counters.foreign_bytes} bytes moved on them")
        lines.append(f"Internet sockets in use: {status.counters.sockets}")
    lines += [
        f"The gate may call {each.name}: {each.host} port {each.port}, for {each.purpose}" for each in status.destinations or []
    ]
    if status.collector:
        mark = "WARNING " if status.collector.troubled else ""
        lines.append(f"{mark}{status.collector.sentence}{taken_last(status.collector)}")
    if status.destinations is None:
        lines.append("WARNING destinations.toml cannot be read: nothing may leave")
    if status.gate:
        count = status.gate.count
        lines.append(f"The gate counted {count.calls} calls and {count.refused} refusals since it started")
        if status.gate.unrecorded:
            lines.append(f"WARNING {status.gate.unrecorded} of them are not in the audit log")
        if count.strangers:
            lines.append(f"WARNING {count.strangers} tries of another account to use the gate")
    lines.append(f"Calls through the gate in the last hour: {status.last_hour.made}, refused: {status.last_hour.refused}")
    return lines


VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace, Output], int]]] = {
    "status": ("the layers of each process, looked at from outside, too, and the meter", lambda _: None, _run_status),
    "prove": ("live through days of the whole box where everything answers, and see who calls", prove_arguments, run_prove),
    "verify-report": ("whether a report of such a proof is as it was signed", verify_arguments, run_verify),
}
