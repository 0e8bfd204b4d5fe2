"""docs/audit-format.md lists every event with the class it has, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.audit.classes import classify
from appliance.audit.events import EventName

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "audit-format.md").read_text()
INVENTORY = dict(re.findall(r"^\| `([a-z]+\.[a-z]+)` \| (.+?) \| ", PAGE, re.MULTILINE))


@pytest.mark.parametrize("name", EventName, ids=str)
def test_the_event_is_explained(name: EventName) -> None:
    assert str(name) in INVENTORY
    if name is not EventName.ACCESS_DENIED:
        kind = classify(name)
        assert INVENTORY[name] == f"{kind.class_uid} / {kind.activity_id}"


def test_no_event_is_explained_that_does_not_exist() -> None:
    assert set(INVENTORY) == {str(name) for name in EventName}


def test_names_follow_the_grammar_and_stand_in_order() -> None:
    names = [str(name) for name in EventName]
    assert names == sorted(names)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", name) for name in names)
