from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import DocumentRejected, NotFound, Unavailable
from appliance.storage.blobs import BlobStore, sealed_bytes

SEGMENT = 64 * 1024
HEADER = 20
SEALED = SEGMENT + 16
LIMIT = 10_000_000
SENTENCE = b"The night code of the signal room is not for everybody. "


@pytest.fixture
def store(tmp_path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", b"k" * 32, b"n" * 32)


def put(store: BlobStore, content: bytes) -> str:
    return store.put([content], limit_bytes=LIMIT).name


def path_of(store: BlobStore, name: str):
    return store.directory / name[:2] / name


def refused(store: BlobStore, name: str) -> bool:
    try:
        list(store.read(name))
    except Unavailable as error:
        return error.stable_code == "blob.damaged"
    return False


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_how_long_a_stored_file_is_follows_from_its_content(store, size):
    assert store.stored_bytes(put(store, bytes(size))) == sealed_bytes(size)


def test_a_full_disk_is_said_to_be_full_and_keeps_no_draft(store):
    writer = store.writer(limit_bytes=LIMIT)
    writer._file.close()
    writer._file = open("/dev/full", "wb")
    with pytest.raises(Unavailable) as caught:
        writer.write(SENTENCE)
        writer.commit()
    assert caught.value.stable_code == "disk.full"
    writer.discard()
    assert list(store.directory.glob("drafts/*")) == []


def test_a_blob_above_the_limit_leaves_nothing(store):
    with pytest.raises(DocumentRejected) as error:
        store.put([b"x" * 600, b"x" * 600], limit_bytes=1_000)
    assert error.value.stable_code == "document.too_large"
    assert [path for path in store.directory.rglob("*") if path.is_file()] == []


def test_a_blob_that_fails_while_it_arrives_leaves_nothing(store):
    def broken():
        yield b"x" * 200_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.put(broken(), limit_bytes=LIMIT)
    assert [path for path in store.directory.rglob("*") if path.is_file()] == []


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFound):
        list(store.read("0" * 64))


@pytest.mark.parametrize("position", [0, 3, 4, HEADER - 1, HEADER, HEADER + 5, HEADER + SEALED, -1])
def test_one_changed_byte_is_noticed(store, position):
    name = put(store, SENTENCE * 3_000)
    path = path_of(store, name)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert refused(store, name)


@pytest.mark.parametrize("kept", [0, 3, HEADER, HEADER + 10, HEADER + SEALED - 1, HEADER + SEALED, HEADER + 2 * SEALED])
def test_a_file_cut_short_is_noticed(store, kept):
    name = put(store, bytes(3 * SEGMENT))
    path = path_of(store, name)
    os.truncate(path, kept)
    assert refused(store, name)


def test_appended_segments_are_noticed(store):
    name = put(store, bytes(2 * SEGMENT))
    path = path_of(store, name)
    content = path.read_bytes()
    path.write_bytes(content + content[HEADER : HEADER + SEALED])
    assert refused(store, name)


def test_segments_in_another_order_are_noticed(store):
    name = put(store, bytes(SEGMENT) + b"\x01" * SEGMENT + b"\x02" * SEGMENT)
    path = path_of(store, name)
    content = path.read_bytes()
    first, second = content[HEADER : HEADER + SEALED], content[HEADER + SEALED : HEADER + 2 * SEALED]
    path.write_bytes(content[:HEADER] + second + first + content[HEADER + 2 * SEALED :])
    assert refused(store, name)


def test_a_segment_of_another_blob_is_noticed(store):
    one, other = put(store, bytes(2 * SEGMENT)), put(store, b"\x01" * 2 * SEGMENT)
    path = path_of(store, one)
    content, foreign = path.read_bytes(), path_of(store, other).read_bytes()
    path.write_bytes(content[:HEADER] + foreign[HEADER : HEADER + SEALED] + content[HEADER + SEALED :])
    assert refused(store, one)


def test_another_key_reads_nothing(store, tmp_path):
    name = put(store, SENTENCE)
    assert refused(BlobStore(tmp_path / "blobs", b"x" * 32, b"n" * 32), name)


@given(
    content=st.one_of(st.binary(max_size=300), st.integers(-2, 2).map(lambda by: bytes(2 * SEGMENT + by))),
    cut=st.integers(1, 70_000),
)
@settings(max_examples=40, deadline=None)
def test_what_goes_in_comes_out_however_it_was_cut(tmp_path_factory, content, cut):
    store = BlobStore(tmp_path_factory.mktemp("blobs"), b"k" * 32, b"n" * 32)
    stored = store.put((content[start : start + cut] for start in range(0, len(content), cut)), limit_bytes=LIMIT)
    pieces = list(store.read(stored.name))
    assert b"".join(pieces) == content
    assert stored.size_bytes == len(content)
    assert max(map(len, pieces)) <= SEGMENT


def test_the_same_content_is_stored_once_under_a_name_that_only_the_key_tells(store, tmp_path):
    name = put(store, SENTENCE)
    assert put(store, SENTENCE) == name
    assert list(store.names()) == [name]
    assert put(BlobStore(tmp_path / "other", b"k" * 32, b"m" * 32), SENTENCE) != name


def test_nothing_readable_lies_on_disk_and_nobody_else_may_look(store):
    name = put(store, SENTENCE * 100)
    path = path_of(store, name)
    assert SENTENCE[:12] not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_removing_twice_is_no_error(store):
    name = put(store, SENTENCE)
    store.remove(name)
    store.remove(name)
    assert list(store.names()) == []
    assert not store.holds(name)
