"""The report as a page for people, and the files that a proof leaves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from appliance.egress.proof.leg import Leg
from appliance.egress.proof.report import Report, shows

PROCEDURE = Path(__file__).parent / "packet-capture.md"
REPORT, PAGE = "report.json", "report.md"


def leave(directory: Path, report: Report, signed: bytes, fingerprint: str) -> list[Path]:
    """Write report, page and procedure; where they are."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [directory / name for name in (REPORT, PAGE, PROCEDURE.name)]
    files[0].write_bytes(signed)
    files[1].write_text("\n".join(page(report, fingerprint)) + "\n")
    shutil.copyfile(PROCEDURE, files[2])
    return files


def page(report: Report, fingerprint: str) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"# Does anything leave this box? {'No.' if report.held else 'The proof did not hold.'}"
    yield ""
    yield f"Made {report.made} in {report.seconds:.0f} s; this page repeats `{REPORT}`, which is signed with {fingerprint}."
    yield f"Check it with `cloister egress verify-report {REPORT}`. What only a capture on your own network can show: "
    yield f"`{PROCEDURE.name}`. No destination was named for these days, whatever the box of every day has named."
    yield from (f"- **{sentence}**" for sentence in report.problems)
    for leg in report.legs:
        yield from _leg(leg)
    machine = report.machine
    yield ""
    yield f"Linux {machine.kernel} ({machine.architecture}, Landlock {machine.landlock}), Python {machine.python}, code"
    yield f"{machine.code_sha256}. Packages: {', '.join(f'{name} {version}' for name, version in machine.packages.items())}."


def _leg(leg: Leg) -> Iterator[str]:
    yield from ("", f"## {leg.name[0].upper()}{leg.name[1:]}: {len(leg.attempts)} attempts", "", shows(leg), "")
    yield from (f"- {item}" for item in attempts(leg))
    for each in leg.controls:
        yield f"- control {each.place}: seen {', '.join(each.seen) or 'nowhere'}"
    yield from (f"- {step.name}: {'' if step.held else 'FAILED, '}{step.detail} ({step.seconds} s)" for step in leg.steps)
    sent = "" if leg.packets_sent is None else f" of {leg.packets_sent} sent"
    yield f"- packets seen: {leg.packets}{sent}, {leg.packets_of_kernel} of them the kernel's own, over {leg.wire}"
    for process in leg.status.get("processes", []):
        held = [layer["name"] for layer in process["layers"] if layer["held"]]
        yield f"- layers that hold for {process['process']}: {', '.join(held) or 'none'}"
    if counters := leg.status.get("counters"):
        moved = f"{counters['foreign_bytes']} bytes on {len(counters['foreign'])} interfaces"
        yield f"- in the network of the box: {moved} besides loopback"
    yield f"- files that libraries left: {', '.join(leg.left_behind) or 'none'}"


def attempts(leg: Leg) -> Iterator[str]:
    """Each in a line: who, where to, how often."""
    for each in leg.attempts:
        name = f" ({each.name})" if each.name else ""
        who = f"{each.command or each.process} [{each.pid}]"
        yield f"{who}: {each.protocol} {each.address} port {each.port}{name}, {each.count} x"
