"""The signature of a report: Ed25519 (RFC 8032) over its canonical form (RFC 8785).

A box signs with a key of its own, derived from its root key. Where the proof was made without a box, the key was made for it
and thrown away: such a signature shows that the report was not changed since, and not who made it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.audit.canonical import canonical_json
from appliance.egress.proof.report import FORMAT, Report, problems
from appliance.errors import InvalidInput, SetupError
from appliance.settings import Settings
from appliance.storage.keys import derive_keys, load_or_create_root_key

OF_THE_BOX, OF_THE_PROOF = "this box", "made for this proof"
_LARGEST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Checked:
    """A report whose signature holds. `fingerprint`: SHA-256 of the public key; `signer`: whose the report says it is."""

    report: Report
    fingerprint: str
    signer: str


def signed(report: Report, key: Ed25519PrivateKey, signer: str) -> bytes:
    content = msgspec.to_builtins(report)
    public = key.public_key().public_bytes_raw()
    signature = {
        "algorithm": "Ed25519",
        "signer": signer,
        "public_key": base64.b64encode(public).decode(),
        "value": base64.b64encode(key.sign(_signed_text(content))).decode(),
    }
    return json.dumps({"report": content, "signature": signature}, indent=1, ensure_ascii=False).encode() + b"\n"


def check(path: Path) -> Checked:
    """Raises `InvalidInput`: `report.no_file`, `report.unreadable`, `report.signature` where it was changed, `report.verdict`."""
    try:
        document = json.loads(path.read_bytes()[:_LARGEST_BYTES])
        content, signature = document["report"], document["signature"]
        public = base64.b64decode(signature["public_key"], validate=True)
        value = base64.b64decode(signature["value"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(value, _signed_text(content))
        report = msgspec.convert(content, Report)
    except InvalidSignature:
        raise InvalidInput("The report is not as it was signed.", code="report.signature") from None
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}.", code="report.no_file") from None
    except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise InvalidInput(f"{path.name} is no report of a proof.", code="report.unreadable") from error
    if report.format != FORMAT or report.problems != problems(report.legs) or report.held == bool(report.problems):
        raise InvalidInput("The report says other than what its legs show.", code="report.verdict")
    return Checked(report, fingerprint_of(public), str(signature["signer"]))


def fingerprint_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()


def box_key(settings: Settings) -> Ed25519PrivateKey | None:
    """The key with which this data directory signs reports; None where there is no box. Raises `SetupError` for a bad one."""
    if not settings.root_key_path.exists():
        return None
    try:
        root = load_or_create_root_key(settings.root_key_path, create=False)
    except OSError as error:
        raise SetupError(f"The root key cannot be read: {error.strerror}.", code="setup.key_unreadable") from error
    return Ed25519PrivateKey.from_private_bytes(derive_keys(root).reports)


def _signed_text(content: dict[str, Any]) -> bytes:
    return FORMAT.encode() + b":" + canonical_json(content)
