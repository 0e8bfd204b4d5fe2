from __future__ import annotations

import pytest

from appliance.errors import SetupError
from appliance.storage.keys import derive_keys, load_or_create_root_key


def test_a_missing_key_is_never_replaced_by_a_new_one(tmp_path):
    with pytest.raises(SetupError, match="missing"):
        load_or_create_root_key(tmp_path / "root.key", create=False)
    assert not (tmp_path / "root.key").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "root.key"
    load_or_create_root_key(path, create=True)
    path.chmod(0o640)
    with pytest.raises(SetupError, match="readable by others"):
        load_or_create_root_key(path, create=False)


def test_a_damaged_key_is_refused(tmp_path):
    path = tmp_path / "root.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(SetupError, match="damaged"):
        load_or_create_root_key(path, create=False)


def test_the_key_is_made_once_and_for_the_owner_alone(tmp_path):
    path = tmp_path / "keys" / "root.key"
    made = load_or_create_root_key(path, create=True)
    assert load_or_create_root_key(path, create=True) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_every_purpose_has_a_key_of_its_own_and_none_is_shown():
    keys = derive_keys(b"\x01" * 32)
    values = {getattr(keys, name) for name in keys.__slots__}
    assert len(values) == len(keys.__slots__)
    assert all(len(value) == 32 for value in values)
    assert not any(value.hex() in repr(keys) for value in values)
