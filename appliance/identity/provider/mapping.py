"""From groups at the provider to roles and groups of this box. Pure; what the table does not name is never touched."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.identity.models import Role
from appliance.identity.provider.policy import Rule


def roles_after(rules: Iterable[Rule], claimed: frozenset[str], held: frozenset[Role]) -> frozenset[Role]:
    """Roles that the table names follow the provider; the others stay as they are. May be empty, or hold two that exclude."""
    named = {rule.role: False for rule in rules if rule.role} | {
        rule.role: True for rule in rules if rule.role and rule.group in claimed
    }
    return frozenset(role for role in held if role not in named) | frozenset(role for role, wanted in named.items() if wanted)


def groups_wanted(rules: Iterable[Rule], claimed: frozenset[str]) -> dict[str, bool]:
    """Each group of the box that the table names, and whether this person belongs to it."""
    wanted: dict[str, bool] = {}
    for rule in rules:
        if rule.box_group:
            wanted[rule.box_group] = wanted.get(rule.box_group, False) or rule.group in claimed
    return wanted
