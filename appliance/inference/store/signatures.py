"""Detached signatures of models: Ed25519 (RFC 8032) over the SHA-256 of the content, by keys that an administrator trusts.

A signature file holds 64 bytes, or their base64. What is signed is the text `cloister-model-v1:` and the 64 hexadecimal digits
of the digest, so that a file of many gigabytes can be signed where it was made and checked here while it is read once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from appliance.errors import InvalidInput
from appliance.inference.store.records import Signer

_SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_MAX_FILE = 8_192


def signed_text(sha256: str) -> bytes:
    """What a signature of the content with this digest is made over."""
    return b"cloister-model-v1:" + sha256.encode()


def read_public_key(path: Path) -> bytes:
    """An Ed25519 key: PEM, 32 bytes, or their base64. Raises `InvalidInput` (`model.signer_key`)."""
    content = _small(path, "model.signer_key")
    if content.lstrip().startswith(b"-----BEGIN"):
        try:
            key = load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidInput(f"{path.name} is not a public key.", code="model.signer_key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidInput(f"{path.name} is not an Ed25519 key.", code="model.signer_key")
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    raw = _raw(content, _KEY_BYTES)
    if raw is None:
        raise InvalidInput(f"{path.name} is not a public key: PEM, 32 bytes or base64 is expected.", code="model.signer_key")
    return raw


def fingerprint(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()


def check_signature(path: Path, sha256: str, signers: Iterable[Signer]) -> Signer:
    """Whose signature it is. Raises `InvalidInput`: `model.signature` for a malformed file, `model.signature_untrusted`."""
    signature = _raw(_small(path, "model.signature"), _SIGNATURE_BYTES)
    if signature is None:
        raise InvalidInput(f"{path.name} is not a signature: 64 bytes, or their base64, are expected.", code="model.signature")
    for signer in signers:
        try:
            Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signature, signed_text(sha256))
        except InvalidSignature:
            continue
        return signer
    raise InvalidInput(
        "The signature was not made for this model by any key that is trusted on this box; the model was not imported.",
        code="model.signature_untrusted",
    )


def _small(path: Path, code: str) -> bytes:
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", code=code)
    with path.open("rb") as file:
        return file.read(_MAX_FILE)


def _raw(content: bytes, length: int) -> bytes | None:
    if len(content) == length:
        return content
    try:
        decoded = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        return None
    return decoded if len(decoded) == length else None
