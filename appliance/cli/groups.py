"""`cloister groups`: who belongs together, kept without a browser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from appliance.administration.groups import GroupDetail
from appliance.bootstrap import Appliance
from appliance.cli.acting import Act, act_in_box
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.errors import NotFound
from appliance.identity.groups import group_called
from appliance.identity.models import Principal
from appliance.identity.store import principal_by_name


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        if name == "list":
            verb.add_argument("group", metavar="NAME", nargs="?", help="this group alone, with its members")
            continue
        verb.add_argument("group", metavar="NAME", help="the name of the group")
        if name == "rename":
            verb.add_argument("name", metavar="NEW", help="what it is to be called")
        if name in {"create", "add", "remove"}:
            verb.add_argument(
                "people", metavar="USER", nargs="*" if name == "create" else "+", help="by the names they sign in with"
            )


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done."""
    return act_in_box(VERBS[arguments.verb][1], arguments, output)


def group_id(appliance: Appliance, name: str) -> str:
    """The id of the group of that name, in whatever case. Raises `NotFound` (`group.not_found`)."""
    with appliance.database.read() as connection:
        return group_called(connection, name).id


def _list(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    wanted = None if arguments.group is None else group_id(appliance, arguments.group)
    groups = [group for group in appliance.groups.list(principal) if wanted in {None, group.id}]
    lines = [_line(group) for group in groups]
    if wanted is not None:
        lines += [f"  {_named(member)}" for group in groups for member in _members(group)]
    output.result({"groups": [_document(group) for group in groups]}, *lines)
    return 0


def _create(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    made = appliance.groups.create(principal, arguments.group, _people(appliance, arguments.people))
    return _told(appliance, principal, made.id, output)


def _rename(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = group_id(appliance, arguments.group)
    appliance.groups.rename(principal, which, arguments.name)
    return _told(appliance, principal, which, output)


def _delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = group_id(appliance, arguments.group)
    appliance.groups.delete(principal, which)
    output.result({"deleted": which}, f"{arguments.group} was deleted.")
    return 0


def _add(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = group_id(appliance, arguments.group)
    appliance.groups.add(principal, which, _people(appliance, arguments.people))
    return _told(appliance, principal, which, output)


def _remove(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = group_id(appliance, arguments.group)
    appliance.groups.remove(principal, which, _people(appliance, arguments.people))
    return _told(appliance, principal, which, output)


def _people(appliance: Appliance, names: Sequence[str]) -> list[str]:
    """Their ids; those of disabled accounts, too. Raises `NotFound` (`person.unknown`)."""
    found = []
    with appliance.database.read() as connection:
        for name in names:
            person = principal_by_name(connection, name, include_disabled=True)
            if person is None:
                raise NotFound(f"There is no account named {name}.", code="person.unknown")
            found.append(person.id)
    return found


def _told(appliance: Appliance, principal: Principal, which: str, output: Output) -> int:
    for group in appliance.groups.list(principal):
        if group.id == which:
            output.result(_document(group), _line(group), *(f"  {_named(member)}" for member in _members(group)))
    return 0


def _members(group: GroupDetail) -> list[dict[str, Any]]:
    return [
        {"id": account.principal.id, "name": account.principal.name, "disabled": account.disabled_ms is not None}
        for account in group.members
    ]


def _named(member: dict[str, Any]) -> str:
    return f"{member['name']} (disabled)" if member["disabled"] else str(member["name"])


def _document(group: GroupDetail) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "built_in": group.built_in,
        "member_count": group.member_count,
        "members": _members(group),
        "collections": list(group.collections),
        "models": list(group.models),
    }


def _line(group: GroupDetail) -> str:
    people = f"{group.member_count} {'person' if group.member_count == 1 else 'people'}"
    opened = f"; opened to it: {', '.join(group.collections)}" if group.collections else ""
    trials = f"; tries out {', '.join(group.models)}" if group.models else ""
    return f"{group.name:<24} {people}{opened}{trials}"


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("every group: how many belong to it, what is opened to it, what it tries out", _list),
    "create": ("make a group, with people or without", _create),
    "rename": ("give a group another name", _rename),
    "delete": ("delete a group and what is opened to it; the accounts stay", _delete),
    "add": ("put people into a group", _add),
    "remove": ("take people out of a group", _remove),
}
