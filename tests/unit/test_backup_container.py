"""The archive as other programs read it, and sizes that no test writes."""

from __future__ import annotations

import tarfile

import pytest

from appliance.backup.container import _parsed, header
from appliance.errors import InvalidInput


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


@pytest.mark.parametrize("size", [b"-0000000001", b"0000_000001", b" 0000000001", b"00000000o01", bytes(11)])
def test_a_size_that_is_no_plain_number_is_refused(size: bytes) -> None:
    block = bytearray(header("about.json", 0, 0))
    block[124:135] = size
    block[148:156] = f"{sum(block[:148]) + 8 * ord(' ') + sum(block[156:]):06o}\0 ".encode()
    with pytest.raises(InvalidInput, match="header cannot be read"):
        _parsed(bytes(block))
