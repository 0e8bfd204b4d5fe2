"""`cloister restore`: a box made of an archive, in a new directory."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from appliance.backup.restoring import POLICIES, Keys, restore
from appliance.cli.output import Output
from appliance.language.counts import counted
from appliance.storage.keys import load_or_create_root_key


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, metavar="FILE", help="as `cloister backup` made it")
    parser.add_argument("--key", type=Path, metavar="FILE", help="a copy of the box's root key")
    parser.add_argument("--passphrase-stdin", action="store_true", help="read the passphrase of the key from standard input")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 where the box stands in its directory, checked."""
    root = load_or_create_root_key(arguments.key, create=False) if arguments.key else None

    def passphrase() -> str:
        if arguments.passphrase_stdin:
            return sys.stdin.readline().rstrip("\n")
        return getpass.getpass("Passphrase of the backup: ")

    asked = passphrase if arguments.passphrase_stdin or sys.stdin.isatty() else None
    restored = restore(arguments.archive, arguments.data, Keys(root, asked), output.progress)
    document: dict[str, object] = {
        "data": str(arguments.data.absolute()),
        "made": restored.archive.about.made,
        "sha256": restored.archive.sha256,
        "files": restored.files,
        "audit_entries": restored.audit_entries,
        "sessions_ended": restored.sessions_ended,
        "keys_ended": restored.keys_ended,
        "models_missing": [{"id": each.id, "sha256": each.sha256} for each in restored.models_missing],
        "policies_differing": list(restored.policies_differing),
    }
    found = f"{restored.files} files, {restored.audit_entries} entries in the audit log"
    lines = [
        f"{arguments.data} is the box as it was at {restored.archive.about.made}: {found}. Everybody signs in anew.",
        "Documents, accounts and rights that were deleted since then are there again.",
    ]
    lines += keys_ended_lines(restored.keys_ended)
    if restored.models_missing:
        lines.append("The archive holds no models. The default ones are prepared at the next start; others, import again:")
        lines += [f"  {each.id}  SHA-256 {each.sha256}" for each in restored.models_missing]
    if restored.policies_differing:
        names = ", ".join(restored.policies_differing)
        lines.append(f"Not the policies of this installation, and not in force: {names}; compare {arguments.data / POLICIES}.")
    output.result(document, *lines)
    return 0


def keys_ended_lines(count: int) -> list[str]:
    """What a database that was put back does to API keys; nothing where there were none."""
    if not count:
        return []
    keys = counted(count, "API key")
    return [f"{keys} ended: one that was taken from somebody meanwhile would open again. Programs need new ones."]
