"""The archive as other programs read it, and sizes that no test writes."""

from __future__ import annotations

import tarfile

import pytest

from appliance.backup.container import _parsed, header


@pytest.mark.parametrize("size", [0, 511, 8**11 - 1, 8**11, 3 * 10**12])
@pytest.mark.parametrize("name", ["cloister.db", "models/folders/" + "a" * 64 + "/" + "b" * 99])
def test_headers_are_read_by_others_as_by_us(name: str, size: int) -> None:
    block = header(name, size, 1_800_000_000)
    assert len(block) == tarfile.BLOCKSIZE
    assert _parsed(block) == (name, size)
    theirs = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    assert (theirs.name, theirs.size, theirs.mode, theirs.mtime, theirs.isreg()) == (name, size, 0o600, 1_800_000_000, True)


def test_a_name_that_does_not_fit_is_not_cut() -> None:
    with pytest.raises(ValueError, match="too long"):
        header("models/folders/" + "a" * 64 + "/" + "b" * 101, 0, 0)
