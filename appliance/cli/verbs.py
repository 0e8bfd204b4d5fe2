"""Commands with verbs of their own: `cloister models list`, `cloister egress status`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_verbs(parser: argparse.ArgumentParser, summaries: dict[str, str]) -> dict[str, argparse.ArgumentParser]:
    """A parser for each verb; what its help says is made of its summary."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = {}
    for name, summary in summaries.items():
        made[name] = verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        # also behind the verb, where one expects them; suppressed, so that they do not undo what stands before it
        verb.add_argument("--data", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="the data directory")
        verb.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on the last line")
    return made
