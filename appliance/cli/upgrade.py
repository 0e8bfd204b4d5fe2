"""`cloister upgrade`: what a new version does to a box of an older one, said before, done with a copy kept, and checked after."""

from __future__ import annotations

import argparse
import shutil
import time
from contextlib import closing
from dataclasses import asdict

from appliance.backup.going_back import go_back
from appliance.bootstrap import open_appliance
from appliance.bootstrap.foundation import open_foundation
from appliance.cli.doctor import AFTER_UPGRADE, examined
from appliance.cli.output import Output
from appliance.cli.restore import keys_ended_lines
from appliance.settings import Settings, load_settings
from appliance.storage.kept_copies import KeptCopy, kept_copies, remove_all
from appliance.storage.migrations import Schema, schema_of
from appliance.storage.upgrading import Upgraded, Upgrading, alone


def register(parser: argparse.ArgumentParser) -> None:
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--check", action="store_true", help="only say what there is to do; exit code 1 where there is something")
    act.add_argument("--back", action="store_true", help="put the database as it was before the last upgrade back in its place")
    act.add_argument("--remove-copies", action="store_true", help="remove the copies that were kept, and what --back put aside")
    act.add_argument("--without-copy", action="store_true", help="keep none: where there is no room and you have a backup")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 where the box is as this version expects it and, after an upgrade, in order."""
    settings = load_settings(arguments.data)
    if arguments.back:
        return _back(settings, output)
    if arguments.remove_copies:
        return _remove_copies(settings, output)
    with closing(open_foundation(settings)) as foundation:
        schema, size = schema_of(foundation.database), foundation.database.stored_bytes()
    if arguments.check or not schema.pending:
        return _say(settings, schema, size, output)
    return _upgrade(settings, schema, Upgrading(output.progress, keep=not arguments.without_copy), output)


def _say(settings: Settings, schema: Schema, size_bytes: int, output: Output) -> int:
    copies, free = kept_copies(settings.copies_dir), shutil.disk_usage(settings.data_dir).free
    document: dict[str, object] = {**asdict(schema), "copies": [_document(copy) for copy in copies]}
    document |= {"database_bytes": size_bytes, "free_bytes": free}
    if schema.pending:
        lines = [f"The box has schema {schema.found}, this version expects {schema.expected}. Pending:"]
        lines += [f"  {step.revision}  {step.title}" for step in schema.pending]
        lines.append(f"The database is copied first: {size_bytes / 1e6:,.1f} MB, of {free / 1e6:,.0f} MB free.")
    else:
        lines = [f"Nothing to do: the box has schema {schema.found}, as this version expects."]
    output.result(document, *lines, *(f"Kept: {copy.path} (schema {copy.revision}, {_size(copy)})" for copy in copies))
    return 1 if schema.pending else 0


def _upgrade(settings: Settings, schema: Schema, upgrading: Upgrading, output: Output) -> int:
    began = time.monotonic()
    with closing(open_appliance(settings, upgrading=upgrading)) as appliance:
        # another process may have been faster; what it did is checked all the same
        done = appliance.upgraded or Upgraded(schema.found, (), None)
        findings = list(examined(appliance, AFTER_UPGRADE, output))
    sound = all(finding.state != "failure" for finding in findings)
    document: dict[str, object] = {
        "found": schema.found,
        "expected": schema.expected,
        "applied": list(done.applied),
        "copy": _document(done.copy) if done.copy else None,
        "sound": sound,
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - began, 1),
    }
    lines = [f"Upgraded from schema {schema.found} to {schema.expected}; no row was lost or added unsaid."]
    if done.copy:
        lines.append(
            f"The database as it was is kept in {done.copy.path} ({_size(done.copy)}). To go back: stop the box, "
            "`cloister upgrade --back`, and start the version that you had."
        )
    output.result(document, *lines)
    return 0 if sound else 1


def _back(settings: Settings, output: Output) -> int:
    done = go_back(settings, output.progress)
    document: dict[str, object] = {
        "schema": done.copy.revision,
        "left": str(done.left),
        "sessions_ended": done.sessions_ended,
        "keys_ended": done.keys_ended,
        "files_missing": done.files_missing,
    }
    lines = [
        f"The database is as it was before the upgrade, with schema {done.copy.revision}. Everybody signs in anew.",
        "Install the version that you had, then start it: this one would upgrade the box again.",
        "What was deleted or erased since the upgrade is there again: delete and erase it again.",
        f"The newer database is kept in {done.left}.",
    ]
    lines += keys_ended_lines(done.keys_ended)
    if done.files_missing:
        lines.append(f"{done.files_missing} stored files were deleted since; their documents are listed and cannot be read.")
    output.result(document, *lines)
    return 0


def _remove_copies(settings: Settings, output: Output) -> int:
    with closing(open_foundation(settings)), alone(settings, output.progress):
        removed = remove_all(settings.copies_dir)
    output.result({"removed": removed}, f"Removed: {removed}.")
    return 0


def _document(copy: KeptCopy) -> dict[str, object]:
    return {"path": str(copy.path), "schema": copy.revision, "size_bytes": copy.size_bytes}


def _size(copy: KeptCopy) -> str:
    return f"{copy.size_bytes / 1e6:,.1f} MB"
