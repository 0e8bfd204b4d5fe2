"""How `cloister collections` tells of a collection, to people and to programs."""

from __future__ import annotations

from appliance.administration.collections import CollectionDetail
from appliance.cli.grantees import Grantees
from appliance.identity.models import EVERYONE
from appliance.language.counts import counted


def detail_line(detail: CollectionDetail, known: Grantees) -> str:
    if detail.owner_id is not None:
        return f"{detail.name:<24} personal, of {known.people.get(f'principal:{detail.owner_id}', '')}"
    held = f"{detail.document_count} {'document' if detail.document_count == 1 else 'documents'}"
    opened = f"read: {_told(detail.readers, known)}; contribute: {_told(detail.contributors, known)}"
    stay = "" if detail.stay.days is None else f"; documents stay {counted(detail.stay.days, 'day')}"
    return f"{detail.name:<24} {detail.classification}; {held}; {opened}{stay}"


def detail_document(detail: CollectionDetail, known: Grantees) -> dict[str, object]:
    """How many documents a personal one holds is nobody's business but its owner's."""
    personal = detail.owner_id is not None
    return {
        "id": detail.id,
        "name": detail.name,
        "personal": personal,
        "owner": known.people.get(f"principal:{detail.owner_id}", "") if personal else "",
        "readers": known.named(detail.readers),
        "contributors": known.named(detail.contributors),
        "classification": detail.classification,
        "document_count": 0 if personal else detail.document_count,
        "days": detail.stay.days,
    }


def _told(some: frozenset[str], known: Grantees) -> str:
    # a person may be called as a group is
    named = [
        f"group {each['name']}" if each["kind"] == "group" and each["id"] != EVERYONE else each["name"]
        for each in known.named(some)
    ]
    return ", ".join(named) or "nobody"
