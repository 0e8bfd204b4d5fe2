"""What the documents say about the code is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOW = (ROOT / "docs" / "request-flow.md").read_text()
PROSE, TABLE = FLOW.split("| --- | --- |\n")
PLACES = {
    name: path
    for row in TABLE.strip().splitlines()
    for name, path in zip(re.findall(r"`(\w+)`", row), re.findall(r"[\w/]+\.py", row), strict=False)
}


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_each_symbol_stands_in_the_file_named_for_it(row: str) -> None:
    names, paths = re.findall(r"`(\w+)`", row), re.findall(r"[\w/]+\.py", row)
    assert len(names) == len(paths)
    for name, path in zip(names, paths, strict=True):
        assert re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE), name


@pytest.mark.parametrize("owner, member", sorted(set(re.findall(r"`([A-Z]\w+)\.(\w+)", PROSE))))
def test_each_method_the_prose_names_is_there(owner: str, member: str) -> None:
    assert re.search(rf"^    (?:async )?def {member}\b", (ROOT / PLACES[owner]).read_text(), re.MULTILINE)


def test_each_symbol_of_the_table_is_spoken_of() -> None:
    assert [name for name in PLACES if not re.search(rf"`{name}\b", PROSE)] == []
