"""The key of a box's backups, and the root key under a passphrase where one was asked for.

What an archive holds is encrypted already, or sealed here, but for models that lie in the clear on the box, too; the manifest
carries a MAC, so that nobody without the key can compose another archive. The passphrase is stretched with argon2id (RFC 9106).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from appliance.backup.container import damaged
from appliance.errors import SetupError
from appliance.storage.keys import derive_keys

_NONCE_BYTES = 12
_MEMORY_KIB, _PASSES, _LANES = 256 * 1024, 3, 4
_MOST_MEMORY_KIB, _MOST_PASSES, _MOST_LANES = 1024 * 1024, 16, 16
"""An archive says itself what its passphrase costs; beyond this we do not believe it."""


class BackupKey:
    """What the root key gives for archives."""

    def __init__(self, root: bytes) -> None:
        key = derive_keys(root).backup
        self._mac, self._seal, named = (
            HKDFExpand(SHA256(), 32, f"cloister/backup-{purpose}/v1".encode()).derive(key) for purpose in ("mac", "seal", "id")
        )
        self.id = named[:16].hex()
        """Tells keys apart and tells nothing else."""

    def mac(self, content: bytes) -> str:
        return hmac.new(self._mac, content, hashlib.sha256).hexdigest()

    def holds(self, content: bytes, mac: str) -> bool:
        return hmac.compare_digest(self.mac(content).encode(), mac.encode())

    def seal(self, plain: bytes, about: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._seal).encrypt(nonce, plain, about)

    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        try:
            return AESGCM(self._seal).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError):
            raise damaged("a sealed part was altered") from None


class _Wrapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root key under a passphrase; bytes in base64."""

    kdf: str
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    nonce: bytes
    sealed: bytes


def wrapped(root: bytes, passphrase: str, key_id: str) -> bytes:
    """The root key for `unwrapped`, bound to the archive's `key_id`."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(_NONCE_BYTES)
    stretched = _stretched(passphrase, salt, _MEMORY_KIB, _PASSES, _LANES)
    sealed = AESGCM(stretched).encrypt(nonce, root, key_id.encode())
    return msgspec.json.encode(_Wrapped("argon2id", _MEMORY_KIB, _PASSES, _LANES, salt, nonce, sealed))


def unwrapped(content: bytes, passphrase: str, key_id: str) -> bytes:
    """Raises `SetupError` (`backup.wrong_key`) for another passphrase, `InvalidInput` for what cannot be read."""
    try:
        given = msgspec.json.decode(content, type=_Wrapped)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise damaged("its key cannot be read") from None
    bounded = given.memory_kib <= _MOST_MEMORY_KIB and given.passes <= _MOST_PASSES and given.lanes <= _MOST_LANES
    if given.kdf != "argon2id" or not bounded or min(given.memory_kib, given.passes, given.lanes) < 1 or len(given.salt) != 16:
        raise damaged("its key cannot be read")
    stretched = _stretched(passphrase, given.salt, given.memory_kib, given.passes, given.lanes)
    try:
        return AESGCM(stretched).decrypt(given.nonce, given.sealed, key_id.encode())
    except (InvalidTag, ValueError):
        raise SetupError("That is not the passphrase of this backup.", code="backup.wrong_key") from None


def _stretched(passphrase: str, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    # the same passphrase typed on two keyboards may arrive in two Unicode forms
    secret = unicodedata.normalize("NFKC", passphrase).encode()
    return hash_secret_raw(
        secret, salt, time_cost=passes, memory_cost=max(memory_kib, 8 * lanes), parallelism=lanes, hash_len=32, type=Type.ID
    )
