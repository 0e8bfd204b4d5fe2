"""To whom a collection is opened, by the names that people have for them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.bootstrap import Appliance
from appliance.errors import InvalidInput, NotFound
from appliance.identity.models import EVERYONE, EVERYONE_NAME, Principal, Role
from appliance.identity.store import comparable_name
from appliance.policy.resources import Grantee


@dataclass(frozen=True, slots=True)
class Grantees:
    """All groups and people of the box by grantee, each with its name; `employees` are those whom anything can be opened to."""

    groups: dict[Grantee, str]
    people: dict[Grantee, str]
    employees: frozenset[Grantee]

    def chosen(self, arguments: argparse.Namespace, *, anybody: bool = False) -> frozenset[Grantee]:
        """Those named by `--group` and `--user`; `anybody` takes people who are no employees, too.

        Raises `NotFound` (`group.not_found`, `person.unknown`), and `InvalidInput` for nobody at all (`collection.nobody`) or
        for somebody who may read no documents (`collection.not_employee`).
        """
        if (arguments.whom_required or arguments.contribute) and not (arguments.groups or arguments.people):
            raise InvalidInput("Say with --user or --group whom it is about.", code="collection.nobody")
        found = set()
        for name in arguments.groups:
            found.add(_called(self.groups, name, NotFound(f"There is no group named {name}.", code="group.not_found")))
        for name in arguments.people:
            person = _called(self.people, name, NotFound(f"There is no account named {name}.", code="person.unknown"))
            if not anybody and person not in self.employees:
                raise InvalidInput(
                    f"{self.people[person]} is no employee, and reads no documents.", code="collection.not_employee"
                )
            found.add(person)
        return frozenset(found)

    def named(self, some: Iterable[Grantee]) -> list[dict[str, str]]:
        """Groups first, that of everybody before all others, then people."""
        known = {**self.groups, **self.people}
        told = []
        for grantee in some:
            kind, _, identifier = grantee.partition(":")
            told.append({"kind": kind, "id": identifier, "name": known.get(grantee, "a former colleague")})
        return sorted(told, key=lambda each: (each["kind"], each["id"] != EVERYONE, each["name"].casefold()))


def grantee_arguments(parser: argparse.ArgumentParser, *, contribute: str, required: bool) -> None:
    """`--user`, `--group` and `--contribute`; `required` where it makes no sense without anybody."""
    parser.add_argument("--user", dest="people", action="append", default=[], metavar="USER", help="this person; repeatable")
    parser.add_argument(
        "--group", dest="groups", action="append", default=[], metavar="GROUP", help=f"this group, or {EVERYONE_NAME}; repeatable"
    )
    parser.add_argument("--contribute", action="store_true", help=contribute)
    parser.set_defaults(whom_required=required)


def known_grantees(appliance: Appliance, principal: Principal) -> Grantees:
    """As the page asks for them: recorded, and by the right to list people and groups."""
    groups = {f"group:{group.id}": group.name for group in appliance.groups.list(principal)}
    accounts = {f"principal:{account.principal.id}": account.principal for account in appliance.people.list(principal)}
    employees = frozenset(grantee for grantee, person in accounts.items() if Role.EMPLOYEE in person.roles)
    return Grantees(groups, {grantee: person.name for grantee, person in accounts.items()}, employees)


def _called(known: dict[Grantee, str], name: str, unknown: NotFound) -> Grantee:
    for grantee, called in known.items():
        if comparable_name(called) == comparable_name(name):
            return grantee
    raise unknown
