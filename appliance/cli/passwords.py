"""A password for a command: never one of its words, where the list of processes and the shell's history would show it."""

from __future__ import annotations

import argparse
import getpass
import sys

from appliance.errors import InvalidInput


def password_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def given_password(arguments: argparse.Namespace) -> str:
    """One line of standard input, or what is typed unseen. Raises `InvalidInput` (`password.no_terminal`)."""
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise InvalidInput(
            "There is no terminal to type a password at; hand it over with --password-stdin.", code="password.no_terminal"
        )
    return getpass.getpass("Password: ")
