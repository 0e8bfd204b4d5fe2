"""`cloister backup`: one file that holds this box, made while it runs, and looking at such a file."""

from __future__ import annotations

import argparse
import getpass
import sys
from contextlib import closing
from pathlib import Path

from appliance.backup.keys import BackupKey
from appliance.backup.making import make_backup
from appliance.backup.manifest import About
from appliance.backup.reading import key_for, read_archive
from appliance.bootstrap import open_appliance
from appliance.cli.output import Output
from appliance.errors import InvalidInput
from appliance.settings import load_settings
from appliance.storage.keys import load_or_create_root_key
from appliance.storage.upgrading import Upgrading


def register(parser: argparse.ArgumentParser) -> None:
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument("--out", type=Path, metavar="FILE|DIR", help="where the archive goes; what is there is never replaced")
    act.add_argument("--verify", type=Path, metavar="FILE", help="read an archive in full and compare it with what it lists")
    parser.add_argument("--with-models", action="store_true", help="the models' files, too, not their digests alone")
    parser.add_argument("--with-key", action="store_true", help="the root key, too, under a passphrase that is asked for")
    parser.add_argument("--passphrase-stdin", action="store_true", help="read the passphrase from standard input")
    parser.add_argument("--key", type=Path, metavar="FILE", help="with --verify: a copy of the root key, to check who made it")
    parser.set_defaults(refuse=parser.error)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 where there is a whole archive."""
    _refuse_without_effect(arguments)
    return _verify(arguments, output) if arguments.verify else _make(arguments, output)


def _refuse_without_effect(arguments: argparse.Namespace) -> None:
    if arguments.verify and (arguments.with_models or arguments.with_key or arguments.passphrase_stdin):
        arguments.refuse("--with-models, --with-key and --passphrase-stdin are for making an archive, with --out")
    if arguments.out and arguments.key:
        arguments.refuse("--key is for looking at an archive, with --verify; --with-key puts the box's own in")
    if arguments.passphrase_stdin and not arguments.with_key:
        arguments.refuse("--passphrase-stdin is for the key: name --with-key, too")


def _make(arguments: argparse.Namespace, output: Output) -> int:
    passphrase = new_passphrase(from_stdin=arguments.passphrase_stdin) if arguments.with_key else None
    with closing(open_appliance(load_settings(arguments.data), upgrading=Upgrading(output.progress))) as appliance:
        made = make_backup(appliance, arguments.out, output.progress, with_models=arguments.with_models, passphrase=passphrase)
    key = "under the passphrase" if passphrase else "not in it: keep a copy of it elsewhere, without it nothing can be read"
    models = f"{made.models} models" if arguments.with_models else "no models"
    document: dict[str, object] = {
        "archive": str(made.path),
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "files": made.files,
        "models": made.models,
        "root_key": passphrase is not None,
        "seconds": made.seconds,
    }
    output.result(
        document,
        f"{made.path}: {made.size_bytes / 1e6:,.1f} MB, {made.files} files, {models}, in {made.seconds:.1f} s.",
        f"SHA-256 {made.sha256}",
        f"The root key is {key}.",
    )
    return 0


def _verify(arguments: argparse.Namespace, output: Output) -> int:
    root = _known_key(arguments)

    def ours(about: About, _: bytes | None) -> bytes | None:
        """The box's own key may be another: then the digests alone are compared. One that was named must fit."""
        if root is not None and arguments.key:
            return key_for(about, root)
        return root if root is not None and BackupKey(root).id == about.key else None

    contents = read_archive(arguments.verify, ours, lambda _, pieces: pieces)
    document: dict[str, object] = {
        "whole": True,
        "authentic": contents.root is not None,
        "made": contents.about.made,
        "schema": contents.about.schema,
        "sha256": contents.sha256,
        "size_bytes": contents.size_bytes,
        "files": sum(each.name.startswith("blobs/") for each in contents.members),
        "model_files": sum(each.name.startswith("models/") for each in contents.members),
        "root_key": contents.holds_key,
    }
    who = "written by the box whose key this is" if contents.root else "who made it cannot be told without its root key (--key)"
    output.result(
        document,
        f"Whole: made {contents.about.made}, {document['files']} files, {contents.size_bytes / 1e6:,.1f} MB; {who}.",
        f"SHA-256 {contents.sha256}",
    )
    return 0


def _known_key(arguments: argparse.Namespace) -> bytes | None:
    path = arguments.key or load_settings(arguments.data).root_key_path
    return load_or_create_root_key(path, create=False) if arguments.key or path.exists() else None


def new_passphrase(*, from_stdin: bool) -> str:
    """As the operator types it, twice, or as it stands on the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    given = getpass.getpass("Passphrase for the root key: ")
    if getpass.getpass("Once more: ") != given:
        raise InvalidInput("The two are not the same.", code="backup.passphrase")
    return given
