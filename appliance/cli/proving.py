"""`cloister egress prove` and `cloister egress verify-report`."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.bootstrap import open_appliance
from appliance.cli.output import Output
from appliance.egress.proof.pages import attempts, leave
from appliance.egress.proof.prove import Wanted, prove
from appliance.egress.proof.report import Report
from appliance.egress.proof.signing import OF_THE_BOX, OF_THE_PROOF, box_key, check, fingerprint_of, signed
from appliance.errors import InvalidInput
from appliance.identity.models import SYSTEM
from appliance.inference.ollama_program import find_ollama
from appliance.inference.registry import Availability, runtime_names, runtime_specs
from appliance.settings import Settings, load_settings
from appliance.supervisor.ollama_server import ollama_program, program_places

_PREPARED = "manifest.json"


def prove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the report goes (default: egress-proof-TIME here)")
    parser.add_argument("--model", type=Path, action="append", default=[], metavar="PATH", help="ask this model, too; repeatable")
    parser.add_argument("--idle", type=float, default=0.0, metavar="SECONDS", help="let each day end with so much idleness")
    parser.add_argument("--short", action="store_true", help="two days of the four: quiet without the seal, held by the seal")


def run_prove(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 only where who tried was seen, nobody of the box tried with opt-outs, and all were held without."""
    settings = load_settings(arguments.data)
    key = box_key(settings)
    models = settings.models_dir if (settings.models_dir / _PREPARED).exists() else None
    runtimes = {name: "" if found.usable else found.reason for name, found in _runtimes()}
    ollama = ollama_program(settings) or find_ollama()
    runtimes["ollama"] = "" if ollama else "it is not installed: no program of that name lies at a usual place."
    placed = (ollama, program_places(ollama)) if ollama else None
    report = prove(Wanted(models, runtimes, arguments.model, arguments.idle, arguments.short, placed), output.progress)
    signer = OF_THE_BOX if key else OF_THE_PROOF
    key = key or Ed25519PrivateKey.generate()
    fingerprint = fingerprint_of(key.public_key().public_bytes_raw())
    directory = arguments.out or Path(f"egress-proof-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}")
    content = signed(report, key, signer)
    files = leave(directory, report, content, fingerprint)
    if settings.database_path.exists():
        _record(settings, report, content, fingerprint)
    document: dict[str, object] = {
        "held": report.held,
        "problems": report.problems,
        "legs": {leg.name: {"attempts": len(leg.attempts), "seconds": leg.seconds} for leg in report.legs},
        "report": str(files[0]),
        "fingerprint": fingerprint,
        "signer": signer,
    }
    output.result(document, *_lines(report), f"Report: {files[0]}, signed with {fingerprint} ({signer}).")
    return 0 if report.held else 1


def _record(settings: Settings, report: Report, content: bytes, fingerprint: str) -> None:
    """In the audit log of the box whose key signed: which report it was that said so."""
    facts: dict[str, str | int] = {
        "days": len(report.legs),
        "attempts": sum(len(leg.attempts) for leg in report.legs if leg.sealed or leg.opt_outs),
        "report_sha256": hashlib.sha256(content).hexdigest(),
        "key": fingerprint,
    }
    outcome = Outcome.SUCCESS if report.held else Outcome.FAILURE
    appliance = open_appliance(settings)
    try:
        with appliance.database.write() as connection:
            appliance.audit.append(connection, AuditEvent(EventName.EGRESS_PROVEN, SYSTEM, outcome=outcome, facts=facts))
    finally:
        appliance.close()


def _runtimes() -> Iterator[tuple[str, Availability]]:
    """Also those that come with the appliance and whose door is not installed."""
    specs = runtime_specs()
    for name in sorted(runtime_names()):
        yield name, specs[name].probe() if name in specs else Availability(usable=False, reason="It is not part of this version.")


def _lines(report: Report) -> list[str]:
    lines = ["Nothing left the box." if report.held else "The proof did not hold."]
    lines += [f"FAILURE {sentence}" for sentence in report.problems]
    for leg in report.legs:
        lines.append(f"{leg.name}: {len(leg.attempts)} attempts in {leg.seconds:.0f} s")
        lines += [f"  {item}" for item in attempts(leg)]
    return lines


def verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", type=Path, metavar="FILE", help="report.json, as `cloister egress prove` left it")
    parser.add_argument("--key", metavar="FINGERPRINT", help="the key that must have signed it")


def run_verify(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 where the report is as it was signed, by the key that was asked for, and says that the proof held."""
    checked = check(arguments.report)
    own = box_key(load_settings(arguments.data))
    ours = own is not None and fingerprint_of(own.public_key().public_bytes_raw()) == checked.fingerprint
    if arguments.key and checked.fingerprint != arguments.key.lower():
        raise InvalidInput("The report was signed with another key.", code="report.signer")
    worth = "the key of this box" if ours else f"a key that this box does not know (its maker says: {checked.signer})"
    document: dict[str, object] = {
        "intact": True,
        "held": checked.report.held,
        "fingerprint": checked.fingerprint,
        "of_this_box": ours,
        "made": checked.report.made,
    }
    verdict = "says that nothing left the box" if checked.report.held else "says that the proof did not hold"
    output.result(
        document, f"Unchanged since {checked.report.made}, and {verdict}.", f"Signed with {checked.fingerprint}: {worth}."
    )
    return 0 if checked.report.held else 1
