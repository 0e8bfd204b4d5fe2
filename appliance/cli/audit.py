"""`cloister audit`: what officers do on the page Audit log, and the two commands that need no box."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from appliance.administration.audit_review import ENDINGS
from appliance.audit.events import EventName, Outcome, ResourceRef
from appliance.audit.log import utc_text
from appliance.audit.older import load_older
from appliance.audit.store import AuditFilter, AuditRecord
from appliance.bootstrap import Appliance
from appliance.cli.acting import act_in_box
from appliance.cli.holding import about_arguments, acting_arguments, erase, hold, holds, lift, pseudonym_of
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.cli.verifying import run_verify, run_witness, verify_arguments, witness_arguments
from appliance.errors import Conflict, InvalidInput
from appliance.identity.models import Principal
from appliance.language.counts import counted


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _, _) in VERBS.items()}).items():
        VERBS[name][1](verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    return VERBS[arguments.verb][2](arguments, output)


def _filter_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="person", metavar="USER", required=True, help="the officer who looks")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="not before, for example 2026-01-31 or 2026-01-31T08:30")
    parser.add_argument("--until", metavar="TIME", help="before; UTC where the time names no zone")
    parser.add_argument(
        "--who", metavar="USER", help="by this person, for them, or about their account; a pseudonym where it was deleted"
    )
    parser.add_argument("--event", metavar="NAME", help="for example document.read")
    parser.add_argument("--outcome", choices=[str(each) for each in Outcome])
    about = parser.add_mutually_exclusive_group()
    about.add_argument("--document", metavar="ID", help="about this document")
    about.add_argument("--api-key", metavar="ID", help="about this API key, or done by it")


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    _filter_arguments(parser)
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many, the newest (default: 50)")
    parser.add_argument("--before", type=int, metavar="SEQ", help="older than this entry")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _filter_arguments(parser)
    parser.add_argument(
        "--format", choices=list(ENDINGS), default="bundle", help="an evidence bundle (default) verifies without the box"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: audit-TIME here")
    parser.add_argument(
        "--since", metavar="OLDER", help="prove that the log continues this evidence bundle, memory, or number of entries"
    )
    parser.add_argument("--whole", action="store_true", help="show every entry that could match, however few do")
    parser.add_argument(
        "--disclose", type=int, action="append", default=[], metavar="SEQ", help="open its sealed values; repeatable"
    )


def _search(appliance: Appliance, officer: Principal, arguments: argparse.Namespace, output: Output) -> int:
    wanted = _wanted(appliance, officer, arguments)
    found = appliance.audit_review.search(officer, wanted, before_seq=arguments.before, limit=arguments.limit)
    output.result({"records": [_document(record) for record in found]}, *(_told(record) for record in found))
    return 0


def _export(appliance: Appliance, officer: Principal, arguments: argparse.Namespace, output: Output) -> int:
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    target = arguments.out or Path(f"audit-{made}.{ENDINGS[arguments.format]}")
    # before the log says that somebody took a copy
    with _new_file(target) as file:
        pieces = appliance.audit_review.export(
            officer,
            _wanted(appliance, officer, arguments),
            arguments.format,
            since=_since(appliance, arguments.since),
            whole=arguments.whole,
            disclose=arguments.disclose,
        )
        file.writelines(pieces)
    key = str(appliance.checkpoints.verifier)
    if arguments.format not in {"bundle", "checkpoint"}:
        output.result({"file": str(target), "verifier_key": key}, str(target))
        return 0
    check = f"Anybody checks it with: cloister audit verify {shlex.quote(str(target))} --key {key}"
    output.result({"file": str(target), "verifier_key": key}, f"{target}, signed with {key}", check)
    return 0


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """All that is written into it or nothing: half of a table for reading looks like a whole one."""
    try:
        with target.open("xb") as file:
            try:
                target.chmod(0o600)
                yield file
                file.flush()
            except BaseException:
                target.unlink()
                raise
    except FileExistsError:
        raise Conflict(f"There is a file {target} already.", code="audit.occupied") from None
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written ({error.strerror}).", code="audit.unwritable") from error


def _wanted(appliance: Appliance, officer: Principal, arguments: argparse.Namespace) -> AuditFilter:
    event = arguments.event
    if event is not None and event not in set(EventName):
        raise InvalidInput(f"There is no event {event}.", code="audit.event")
    about = None if arguments.document is None else ResourceRef("document", arguments.document)
    if arguments.api_key is not None:
        about = ResourceRef("key", arguments.api_key)
    wanted = AuditFilter(
        since_ms=_time_ms(arguments.begin),
        until_ms=_time_ms(arguments.until),
        event=None if event is None else EventName(event),
        outcome=None if arguments.outcome is None else Outcome(arguments.outcome),
        resource=about,
    )
    if arguments.who is None:
        return wanted
    return replace(wanted, pseudonym=pseudonym_of(appliance, officer, arguments.who))


def _time_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text} is no time; write it as 2026-01-31T08:30.", code="audit.time") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def _since(appliance: Appliance, text: str | None) -> int | None:
    """A number of entries, or that of a file. Raises `InvalidInput` (`audit.other_key`) for a file of another box."""
    if text is None or text.isdecimal():
        return None if text is None else _number(text)
    return load_older(Path(text), appliance.checkpoints.verifier).checkpoint.size


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # of thousands of digits
        raise InvalidInput("No log has so many entries.", code="audit.since") from None


def _document(record: AuditRecord) -> dict[str, object]:
    return {
        "seq": record.seq,
        "time": utc_text(record.time_ms),
        "event": record.event,
        "person": record.actor_name or record.actor_pseudonym,
        "on_behalf_of": record.on_behalf_of_name or record.on_behalf_of,
        "outcome": record.outcome,
        "resources": [ref._asdict() for ref in record.resources],
        "leaf_hash": record.leaf_hash.hex(),
        "body": record.body.decode(),
    }


def _told(record: AuditRecord) -> str:
    about = " ".join(f"{ref.kind}/{ref.id}" for ref in record.resources)
    person = record.actor_name or record.actor_pseudonym
    if "key_id" in record.facts:
        person += f" by key/{record.facts['key_id']}"
    # nobody asked for it then, so the line says by what it went
    why = f" ({record.facts['why']}, {counted(int(record.facts['days']), 'day')})" if "why" in record.facts else ""
    return f"{record.seq:>8} {utc_text(record.time_ms)} {record.outcome:<7} {record.event:<22} {person} {about}".rstrip() + why


VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace, Output], int]]] = {
    "search": ("entries of the log, newest first", _search_arguments, partial(act_in_box, _search)),
    "export": (
        "an evidence bundle that verifies without the box, or a file for reading",
        _export_arguments,
        partial(act_in_box, _export),
    ),
    "hold": (
        "keep an account from being deleted, its sealed words from being erased, what is theirs from being removed by its age",
        about_arguments,
        partial(act_in_box, hold),
    ),
    "lift": ("let a person go who was held", about_arguments, partial(act_in_box, lift)),
    "holds": (
        "who is held, and deleted accounts of which something is still sealed",
        acting_arguments,
        partial(act_in_box, holds),
    ),
    "erase": ("erase for good what is sealed of a person whose account was deleted", about_arguments, partial(act_in_box, erase)),
    "verify": ("whether an evidence bundle holds; needs no box", verify_arguments, run_verify),
    "witness": (
        "remember the newest checkpoint, and refuse a log that does not continue it; needs no box",
        witness_arguments,
        run_witness,
    ),
}
