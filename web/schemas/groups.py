"""Groups of people, as administrators see and change them."""

from __future__ import annotations

import msgspec

from appliance.administration.groups import GroupDetail


class NewGroup(msgspec.Struct, forbid_unknown_fields=True):
    """`people` are ids of accounts."""

    name: str
    people: list[str] = []


class GroupCreated(msgspec.Struct):
    id: str


class GroupName(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Membership(msgspec.Struct, forbid_unknown_fields=True):
    """Ids of the accounts that are put in or taken out."""

    people: list[str]


class MemberOut(msgspec.Struct):
    id: str
    name: str
    disabled: bool


class GroupOut(msgspec.Struct):
    """`collections` are names of those opened to it, `models` the versions tried out on it; everybody's lists no members."""

    id: str
    name: str
    built_in: bool
    member_count: int
    members: list[MemberOut]
    collections: list[str]
    models: list[str]

    @classmethod
    def of(cls, detail: GroupDetail) -> GroupOut:
        members = [
            MemberOut(account.principal.id, account.principal.name, account.disabled_ms is not None) for account in detail.members
        ]
        collections, models = list(detail.collections), list(detail.models)
        return cls(detail.id, detail.name, detail.built_in, detail.member_count, members, collections, models)
