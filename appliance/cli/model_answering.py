"""`cloister models activate`, `rollback`, `canary` and the like: which versions answer, and which go."""

from __future__ import annotations

import argparse

from appliance.bootstrap import Appliance
from appliance.cli import golden
from appliance.cli.groups import group_id
from appliance.cli.model_lines import comparison_document, comparison_lines, told, version_argument
from appliance.cli.output import Output
from appliance.identity.models import Principal
from appliance.inference.store.versions import ModelVersion


def activate_arguments(parser: argparse.ArgumentParser) -> None:
    version_argument(parser)
    _despite_argument(parser)


def activate(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    if not arguments.despite:
        golden.examine(appliance, principal, arguments.version, output)
    version = appliance.model_administration.activate(principal, arguments.version, despite=arguments.despite)
    return _taken_up(appliance, principal, version, output, f"{version.id} is active.")


def compared(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    sets = appliance.index_review.compared(principal, arguments.version)
    lines = [line for about, found in sets for line in comparison_lines(about, found)]
    documents = [comparison_document(about, found) for about, found in sets]
    output.result({"sets": documents}, *(lines or ["No golden set that you may read was asked."]))
    return 1 if any(found.stands_against for _, found in sets) else 0


def name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name without a number")


def rollback(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.rollback(principal, arguments.name)
    return _taken_up(appliance, principal, version, output, f"{version.id} is active again.")


def _taken_up(appliance: Appliance, principal: Principal, version: ModelVersion, output: Output, sentence: str) -> int:
    """An embedding model is not active yet: everything is embedded with it first, while the box runs."""
    if version.kind == "embedding":
        indexes = [item for item in appliance.model_administration.indexes(principal) if item.model_id == version.id]
        sentence = " ".join(f"{item.sentence}." for item in indexes)
    return told(output, version, sentence)


def canary_arguments(parser: argparse.ArgumentParser) -> None:
    version_argument(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--percent", type=int, metavar="N", help="share of the conversations, 1 to 99")
    who.add_argument("--group", metavar="NAME", help="the group of people that gets it")
    _despite_argument(parser)


def canary(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    group = None if arguments.group is None else group_id(appliance, arguments.group)
    if not arguments.despite:
        golden.examine(appliance, principal, arguments.version, output)
    version = appliance.model_administration.canary(
        principal, arguments.version, percent=arguments.percent, group=group, despite=arguments.despite
    )
    whom = f" It answers the conversations of {arguments.group}." if group else ""
    return told(output, version, f"{version.id} is a canary.{whom}")


def _despite_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--despite", default="", metavar="REASON", help="whatever the golden sets say; the reason is audited")


def abandon(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.abandon(principal, arguments.version)
    return told(output, version, f"Nothing is embedded with {version.id} any longer.")


def retire(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.retire(principal, arguments.version)
    return told(output, version, f"{version.id} is retired.")


def retry(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.retry(principal, arguments.version)
    return told(output, version, f"{version.id} is tried again with the next question.")


def delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    appliance.model_administration.delete(principal, arguments.version)
    output.result({"deleted": arguments.version}, f"{arguments.version} was deleted.")
    return 0
