"""`cloister models signers`, `trust`, `distrust`: the keys whose signatures on models count."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.bootstrap import Appliance
from appliance.cli.output import Output
from appliance.identity.models import Principal


def list_signers(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    signers = appliance.model_signers.list(principal)
    documents = [{"fingerprint": signer.fingerprint, "name": signer.name, "trusted_ms": signer.trusted_ms} for signer in signers]
    output.result(
        {"signers": documents}, *([f"{signer.fingerprint} {signer.name}" for signer in signers] or ["No key is trusted."])
    )
    return 0


def trust_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", type=Path, metavar="FILE", help="an Ed25519 public key: PEM, 32 bytes or base64")
    parser.add_argument("--name", required=True, help="whose key it is")


def trust(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    signer = appliance.model_signers.trust(principal, arguments.key, arguments.name)
    output.result({"fingerprint": signer.fingerprint, "name": signer.name}, f"Signatures by {signer.fingerprint} count now.")
    return 0


def fingerprint_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fingerprint", metavar="FINGERPRINT")


def distrust(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    signer = appliance.model_signers.distrust(principal, arguments.fingerprint)
    output.result({"fingerprint": signer.fingerprint}, f"Signatures by {signer.fingerprint} count no longer.")
    return 0
