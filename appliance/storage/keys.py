"""The key hierarchy: one root key, everything else derived from it by name.

HKDF-SHA256 (RFC 5869) with a label per purpose. The root key lies in one file today; other unlock slots (TPM, passphrase)
will wrap the same 32 bytes.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import SetupError
from appliance.storage.durable import settle

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Derived keys, 32 bytes each."""

    database: bytes
    blobs: bytes
    blob_names: bytes
    audit_sealing: bytes
    audit_signing: bytes
    sessions: bytes
    reports: bytes
    backup: bytes


def derive_keys(root: bytes) -> Keys:
    """All keys of the appliance from its root key."""

    def derive(label: str) -> bytes:
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"cloister/{label}/v1".encode()).derive(root)

    return Keys(
        database=derive("database"),
        blobs=derive("blobs"),
        blob_names=derive("blob-names"),
        audit_sealing=derive("audit-sealing"),
        audit_signing=derive("audit-signing"),
        sessions=derive("sessions"),
        reports=derive("reports"),
        backup=derive("backup"),
    )


def load_or_create_root_key(path: Path, *, create: bool) -> bytes:
    """The root key in `path`; a new one (mode 0600, fsynced) where there is none and `create` allows it.

    Raises `SetupError` for a missing key, a key of the wrong length and a key that others may read.
    """
    if not path.exists():
        if not create:
            raise SetupError(f"The root key {path} is missing; without it the data cannot be read.", code="setup.key_missing")
        _create(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SetupError(f"The root key {path} is readable by others (mode {mode:o}); make it 600.", code="setup.key_mode")
    root = path.read_bytes()
    if len(root) != _KEY_BYTES:
        raise SetupError(f"The root key {path} is damaged: {len(root)} bytes instead of 32.", code="setup.key_damaged")
    return root


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    settle(draft, path)
