"""`cloister audit verify` and `cloister audit witness`: they need a file and a key, and neither a box nor its data directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.audit.collected_check import CollectedVerdict
from appliance.audit.completeness import Completeness
from appliance.audit.log import utc_text
from appliance.audit.notes import Verifier, parse_verifier
from appliance.audit.older import load_older
from appliance.audit.store import AuditFilter
from appliance.audit.verification import Verdict
from appliance.audit.witness import verify_file, witness
from appliance.cli.output import Output
from appliance.errors import InvalidInput
from appliance.language.counts import counted

_COMPLETENESS = {
    Completeness.SHOWN: "Nothing that matches was left out: every entry that could match is in the file.",
    Completeness.CLOCK: "Nothing that matches was left out, as long as the clock of the box was never turned back.",
    Completeness.WORD: "That no other entry matches is the word of the box, recorded in the log as it exported; an export with "
    "--whole shows it.",
    Completeness.NOTHING: "It shows no entries.",
}
_YEAR_10000_MS = 253_402_300_800_000
_ONE_FILE = "Whether the log was cut or rewritten before, one file cannot show: compare it with an older one by --since."
_WHOLE = (
    "It is the whole log up to there. Whether the box still has it like this, its next lines or a newer checkpoint will show."
)
_SAME = (
    "Both files are signed over the same entries, so nothing was proved about growth: of what was written, cut or rewritten "
    "since then they say nothing."
)
_NO_KEY = (
    "Whose key signed this nobody has said, so it proves nothing: name the key with --key; the page Audit log of the box "
    "shows it."
)


def verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="an evidence bundle, as the page or `cloister audit export` made it, or what a collector was sent",
    )
    parser.add_argument("--key", metavar="VERIFIERKEY", help="the key that must have signed it")
    parser.add_argument(
        "--since", type=Path, metavar="OLDER", help="an older evidence bundle, checkpoint or memory that the log must continue"
    )


def witness_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the file on your own medium that remembers what you saw")
    parser.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", help="a newer evidence bundle, checkpoint or collected file; else only tell"
    )
    parser.add_argument("--key", metavar="VERIFIERKEY", help="the key of the box, needed the first time")


def run_verify(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 only where everything held, by a key that was named here or by the older file."""
    key = _key(arguments.key)
    older = load_older(arguments.since, key) if arguments.since else None
    return _told(verify_file(arguments.file, key, older), output)


def run_witness(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 only where the newer file continues what the memory holds; else the memory stays as it was."""
    key = _key(arguments.key)
    if arguments.file is not None:
        verdict = witness(arguments.memory, arguments.file, key)
        return _told(verdict, output, *_remembered(verdict, arguments.memory))
    seen = load_older(arguments.memory, key)
    output.result(
        {"size": seen.checkpoint.size, "root": seen.checkpoint.root.hex(), "verifier_key": str(seen.verifier)},
        f"The log was seen with {seen.checkpoint.size} entries. Ask for a newer checkpoint with --since {seen.checkpoint.size}.",
        f"Key: {seen.verifier}",
    )
    return 0


def _remembered(verdict: Verdict | CollectedVerdict, memory: Path) -> list[str]:
    """Also what was not shown: a stick that is not there begins anew, and a file handed over twice says nothing of today."""
    kept = f"Kept in {memory}."
    if verdict.grown_from is None:
        return [f"{memory} is a new memory: nothing older was compared.", kept]
    if verdict.grown_from == verdict.checkpoint.size:
        return ["This very checkpoint was seen before: of the log since then it says nothing. Ask the box for a newer one.", kept]
    return [kept]


def _key(text: str | None) -> Verifier | None:
    try:
        return None if text is None else parse_verifier(text)
    except ValueError as error:
        raise InvalidInput(f"This is no verifier key: {error}.", code="audit.key") from None


def _told(verdict: Verdict | CollectedVerdict, output: Output, *more: str) -> int:
    document, lines = _collected(verdict) if isinstance(verdict, CollectedVerdict) else _bundle(verdict)
    before, after = ([], more) if verdict.key_named else ([_NO_KEY], ())
    output.result(document, *before, *lines, f"Key: {verdict.verifier}", *after)
    return 0 if verdict.key_named else 1


def _collected(verdict: CollectedVerdict) -> tuple[dict[str, object], list[str]]:
    size = verdict.checkpoint.size
    document: dict[str, object] = {
        "held": verdict.key_named,
        "verifier_key": str(verdict.verifier),
        "size": size,
        "root": verdict.checkpoint.root.hex(),
        "time": verdict.time,
        "entries": verdict.entries,
        "after": verdict.after,
        "repeated": verdict.repeated,
        "grown_from": verdict.grown_from,
    }
    lines = [
        f"{_begin(verdict)}: the first {size} entries are the log as it was signed at {verdict.time}, every one of them.",
        f"Came after that checkpoint, and under none yet: {verdict.after} of {verdict.entries} entries.",
    ]
    if verdict.repeated:
        lines.append(f"{counted(verdict.repeated, 'line')} came more than once, each time the same.")
    lines.append(_growth(verdict, _WHOLE))
    return document, lines


def _bundle(verdict: Verdict) -> tuple[dict[str, object], list[str]]:
    size = verdict.checkpoint.size
    document: dict[str, object] = {
        "held": verdict.key_named,
        "verifier_key": str(verdict.verifier),
        "size": size,
        "root": verdict.checkpoint.root.hex(),
        "time": verdict.time,
        "filter": {} if verdict.wanted is None else verdict.wanted.facts(),
        "matching": verdict.matching,
        "shown": verdict.shown,
        "disclosed": verdict.disclosed,
        "gone": verdict.gone,
        "completeness": str(verdict.completeness),
        "grown_from": verdict.grown_from,
    }
    lines = [f"{_begin(verdict)}: {_matching(verdict)} a log of {size} entries that was signed at {verdict.time}."]
    if verdict.wanted is not None:
        lines.append(f"Asked for: {_asked_for(verdict.wanted)}.")
    lines.append(_COMPLETENESS[verdict.completeness])
    if verdict.disclosed:
        lines.append(f"{verdict.disclosed} values disclosed in it are those that were sealed.")
    if verdict.gone:
        lines.append(
            f"Not there any more when it was exported: {counted(verdict.gone, 'sealed value')} of them. "
            "Entries audit.erased say which were erased. The entries themselves are whole."
        )
    lines.append(_growth(verdict, _ONE_FILE))
    return document, lines


def _begin(verdict: Verdict | CollectedVerdict) -> str:
    return "It holds" if verdict.key_named else "Nothing in it contradicts the rest"


def _growth(verdict: Verdict | CollectedVerdict, alone: str) -> str:
    if verdict.grown_from is None:
        return alone
    if verdict.grown_from == verdict.checkpoint.size:
        return _SAME
    return f"The log has only grown since {verdict.grown_from} entries of it were signed."


def _matching(verdict: Verdict) -> str:
    """What was written after an export is not in it, and may be much."""
    if verdict.wanted is None:
        return "the state of"
    return f"{verdict.matching} entries that match, among the first {verdict.wanted.through_seq or verdict.checkpoint.size} of"


def _asked_for(wanted: AuditFilter) -> str:
    parts = [
        wanted.event and f"event {wanted.event}",
        wanted.outcome and f"outcome {wanted.outcome}",
        wanted.pseudonym and f"person {wanted.pseudonym!a}",
        wanted.resource and f"about {'/'.join(wanted.resource)!a}",
        None if wanted.since_ms is None else f"from {_moment(wanted.since_ms)}",
        None if wanted.until_ms is None else f"until {_moment(wanted.until_ms)}",
    ]
    return ", ".join(filter(None, parts)) or "everything"


def _moment(time_ms: int) -> str:
    """A filter may name times that no calendar has."""
    return utc_text(time_ms) if 0 <= time_ms < _YEAR_10000_MS else f"{time_ms} ms after 1970"
