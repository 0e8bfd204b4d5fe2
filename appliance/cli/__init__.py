"""The command line: one file per command, each with `register` (its arguments) and `run` (its work)."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from appliance.cli.output import Output
from appliance.errors import ApplianceError
from appliance.inference.telemetry import opt_outs
from appliance.settings import default_data_dir, set_environment

COMMANDS = {
    "up": "run everything on this box",
    "init": "make a data directory, its keys and the first administrator, without a browser",
    "ingest": "upload files from the shell and wait until they can be searched",
    "ask": "ask one question and print the answer with its citations",
    "users": "make accounts, change their roles and passwords, disable, enable and delete them",
    "groups": "make groups of people, fill them, see what is opened to them",
    "collections": "make, open, close, classify and delete shared collections, and say how long their documents stay",
    "retention": "say how long conversations stay before the box removes them",
    "models": "list, import, measure, activate and roll back models",
    "evaluate": "measure retrieval and answers on a file of questions (SQuAD format)",
    "golden": "questions with known answers: keep sets of them, ask them, see what got worse",
    "select": "say which model would answer, and why the others would not",
    "egress": "show what keeps data on this box and what has left it, and prove that nothing leaves",
    "audit": "search and export the audit log, hold people and erase what is sealed, verify an export, keep watch from outside",
    "backup": "make one file that holds this box, while it runs, or look at such a file",
    "restore": "make a box of such a file, in a new directory",
    "upgrade": "bring a box of an older version up to date, keep a copy of its database first, or go back to that",
    "doctor": "check the box: keys, database, audit log, models, processes",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 0 means that it held."""
    words = sys.argv[1:] if arguments is None else arguments
    # commands run outside the seal: here the opt-outs are all there is
    set_environment(opt_outs())
    parser = argparse.ArgumentParser(prog="cloister", description="A private assistant appliance.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in words if word in COMMANDS), None)
    usual = str(default_data_dir()).replace("%", "%%")
    for name, summary in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        command.add_argument("--data", type=Path, default=None, metavar="DIR", help=f"the data directory (default: {usual})")
        command.add_argument("--json", action="store_true", help="one JSON document on the last line")
        if name == chosen:  # the others are not even imported
            importlib.import_module(f"appliance.cli.{name}").register(command)
    parsed = parser.parse_args(words)
    output = Output(as_json=parsed.json)
    parsed.data = parsed.data or default_data_dir()
    try:
        return int(importlib.import_module(f"appliance.cli.{parsed.command}").run(parsed, output))
    except ApplianceError as error:
        output.failure(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, `cloister doctor | head`
        sys.stderr.close()
        return 0
