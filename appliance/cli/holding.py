"""`cloister audit hold | lift | holds | erase`: whose words must stay, and whose are erased. Officers only, as on the page."""

from __future__ import annotations

import argparse

from appliance.administration.erasure import Erased
from appliance.audit.log import utc_text
from appliance.bootstrap import Appliance
from appliance.cli.output import Output
from appliance.errors import NotFound
from appliance.identity.models import Principal
from appliance.identity.store import comparable_name
from appliance.language.counts import counted

_ENOUGH = 8
"""As many letters of a pseudonym as the page shows."""


def acting_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="person", metavar="USER", required=True, help="the officer who acts")


def about_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("who", metavar="PERSON", help="pseudonym; or name, as long as the account is there")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="kept sealed in the log")
    acting_arguments(parser)


def pseudonym_of(appliance: Appliance, officer: Principal, who: str) -> str:
    """Of somebody named by pseudonym, by what only theirs begins with, or by name where the account is there.

    Raises `NotFound` (`person.unknown`).
    """
    if not _is_text(who):
        raise NotFound("There is no account with such a name: it is no text.", code="person.unknown")
    people = appliance.audit_review.people(officer)
    wanted = comparable_name(who)
    for pseudonym, name in people:
        if who == pseudonym or (name and comparable_name(name) == wanted):
            return pseudonym
    begun = [pseudonym for pseudonym, _ in people if len(who) >= _ENOUGH and pseudonym.startswith(who)]
    if len(begun) == 1:
        return begun[0]
    raise NotFound(
        f"There is no account named {who}; `cloister audit holds` lists deleted ones by their pseudonyms.", code="person.unknown"
    )


def _is_text(word: str) -> bool:
    """Not bytes that a shell handed over and that are no UTF-8: nothing can print or store them."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def hold(appliance: Appliance, officer: Principal, arguments: argparse.Namespace, output: Output) -> int:
    placed = appliance.holds.place(officer, pseudonym_of(appliance, officer, arguments.who), arguments.reason)
    output.result({"person": placed.pseudonym, "entry": placed.placed_seq}, f"Held: {arguments.who} (entry {placed.placed_seq}).")
    return 0


def lift(appliance: Appliance, officer: Principal, arguments: argparse.Namespace, output: Output) -> int:
    pseudonym = pseudonym_of(appliance, officer, arguments.who)
    appliance.holds.lift(officer, pseudonym, arguments.reason)
    output.result({"person": pseudonym}, f"The hold on {arguments.who} is lifted.")
    return 0


def holds(appliance: Appliance, officer: Principal, _arguments: argparse.Namespace, output: Output) -> int:
    found = appliance.holds.list(officer)
    names = found.names
    held = [
        {
            "person": hold.pseudonym,
            "name": names.get(hold.pseudonym),
            "by": names.get(hold.placed_by, hold.placed_by),
            "since": utc_text(hold.placed_ms),
            "entry": hold.placed_seq,
        }
        for hold in found.holds
    ]
    left = [
        {"person": each.pseudonym, "deleted": utc_text(each.deleted_ms), "values": each.values, "held": each.held}
        for each in found.leftovers
    ]
    lines = [
        f"{each['name'] or 'deleted account'} {each['person']} held since {each['since']} by {each['by']} (entry {each['entry']})"
        for each in held
    ]
    for each in found.leftovers:
        state = f"deleted {utc_text(each.deleted_ms)}, {counted(each.values, 'value')} sealed{', held' if each.held else ''}"
        lines.append(f"deleted account {each.pseudonym} {state}")
    if held:
        lines.append("Conversations and uploads of held people are not removed by their age until the hold is lifted.")
    output.result({"holds": held, "deleted": left}, *(lines or ["Nobody is held."]))
    return 0


def erase(appliance: Appliance, officer: Principal, arguments: argparse.Namespace, output: Output) -> int:
    done = appliance.erasure.erase(officer, pseudonym_of(appliance, officer, arguments.who), arguments.reason)
    document: dict[str, object] = {
        "values": done.values,
        "first": done.first,
        "last": done.last,
        "exports": [record.seq for record in done.exports],
        "backups": [record.seq for record in done.backups],
        "kept_copies": [copy.path.name for copy in done.kept_copies],
        "remains_on_disk": done.remains_on_disk,
    }
    output.result(document, *_told(done))
    return 0


def _told(done: Erased) -> list[str]:
    lines = [f"Erased: {counted(done.values, 'value')} of entries {done.first} to {done.last}. The entries stay."]
    copies = [
        *(f"  export {record.facts['format']} of {utc_text(record.time_ms)} (entry {record.seq})" for record in done.exports),
        *(f"  backup of {utc_text(record.time_ms)} (entry {record.seq})" for record in done.backups),
        *(f"  {copy.path.name}, kept by an upgrade: `cloister upgrade --remove-copies` removes it" for copy in done.kept_copies),
    ]
    lines += ["Copies made before may still hold names and words:", *copies] if copies else []
    if done.remains_on_disk:
        lines.append("Somebody was reading meanwhile, so encrypted remains stay on the disk until the database writes over them.")
    return lines
