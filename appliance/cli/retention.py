"""`cloister retention`: how long conversations stay, as the page of the box has it."""

from __future__ import annotations

import argparse

from appliance.administration.retention import Outlook
from appliance.audit.log import utc_text
from appliance.bootstrap import Appliance
from appliance.cli.acting import Act, act_in_box
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.identity.models import Principal
from appliance.language.counts import counted
from appliance.storage.clock import now_ms

KEPT = "Backups, copies that upgrades keep and exports of the audit log keep what they hold."
_DOUBT = "The clock went ahead by more than a day: until this machine has run with it for a day, only time run counts."


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        if name == "set":
            days_arguments(verb, "conversations")


def days_arguments(verb: argparse.ArgumentParser, what: str) -> None:
    """The number, and how much of `what` may go by it."""
    verb.add_argument("days", type=int, metavar="DAYS", help="a number of days; 0: they stay until somebody deletes them")
    verb.add_argument(f"--{what}", type=int, dest="going", metavar="N", help="how many may go by it (without: only told)")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done."""
    return act_in_box(VERBS[arguments.verb][1], arguments, output)


def set_days(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output, which: str | None) -> int:
    """Of conversations, or of the documents of the collection `which`. Where something would go and no number was agreed to,
    nothing is changed: exit code 1, and what would go.
    """
    noun = "conversation" if which is None else "document"
    found = appliance.retention.outlook(principal, arguments.days, which)
    if found.going and arguments.going is None:
        told = f"{counted(found.going, noun)} of now would go by that number, from {utc_text(found.rule.effective_ms)} on. {KEPT}"
        agree = f"Nothing is changed yet. To change it, repeat this command with --{noun}s {found.going}"
        output.result(document(found) | {"changed": False}, told, agree)
        return 1
    found = appliance.retention.change(principal, arguments.days, going=arguments.going or 0, collection_id=which)
    output.result(document(found) | {"changed": True}, *lines(found, noun))
    return 0


def document(found: Outlook) -> dict[str, object]:
    waits = found.rule.effective_ms > now_ms()
    return {
        "days": found.rule.days,
        "days_before": found.rule.days_before if waits else None,
        "from": utc_text(found.rule.effective_ms) if waits else None,
        "going": found.going,
        "doubtful": found.doubtful,
    }


def lines(found: Outlook, noun: str) -> list[str]:
    rule, since = found.rule, "their last message" if noun == "conversation" else "their upload"
    stay = f"{noun.capitalize()}s stay until somebody deletes them."
    told = [stay if rule.days is None else f"{noun.capitalize()}s are removed {counted(rule.days, 'day')} after {since}."]
    if rule.effective_ms > now_ms():
        before = "nothing is removed" if rule.days_before is None else f"it is {counted(rule.days_before, 'day')}"
        told.append(f"That holds from {utc_text(rule.effective_ms)} on; until then {before}.")
    if rule.days is not None:
        told.append(f"{counted(found.going, noun)} {'is' if found.going == 1 else 'are'} older than that today. {KEPT}")
    return [*told, _DOUBT] if found.doubtful else told


def _show(appliance: Appliance, principal: Principal, _arguments: argparse.Namespace, output: Output) -> int:
    found = appliance.retention.read(principal)
    output.result(document(found), *lines(found, "conversation"))
    return 0


def _set(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    return set_days(appliance, principal, arguments, output, None)


VERBS: dict[str, tuple[str, Act]] = {
    "show": ("how long conversations stay", _show),
    "set": ("let conversations stay for a number of days after their last message", _set),
}
