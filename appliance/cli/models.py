"""`cloister models`: what answers on this box, managed like software."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.administration.models import ModelAdministration
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.acting import acting_principal
from appliance.cli.model_lines import document_of, line_of, watched
from appliance.cli.output import Output
from appliance.identity.models import Principal
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion
from appliance.settings import load_settings

Act = Callable[[Appliance, Principal, argparse.Namespace, Output], int]


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (summary, _) in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        # also behind the verb, where one expects them; suppressed, so that they do not undo what stands before it
        verb.add_argument("--data", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="the data directory")
        verb.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on the last line")
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        _ARGUMENTS.get(name, _version_argument)(verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done, or when everything verified held."""
    appliance = open_appliance(load_settings(arguments.data))
    try:
        return VERBS[arguments.verb][1](appliance, acting_principal(appliance, arguments.person), arguments, output)
    finally:
        appliance.close()


def _version_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="name@number, as `cloister models list` shows it")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a GGUF file, an ONNX GenAI folder, a stick, a package")
    parser.add_argument("--choose", metavar="NAME", help="which one, where the source holds several")
    parser.add_argument("--name", default="", help="how it is called here")
    parser.add_argument("--sha256", default="", metavar="DIGEST", help="refuse anything else")
    parser.add_argument("--signature", type=Path, metavar="FILE", help="detached Ed25519 signature by a trusted key")
    parser.add_argument("--encrypt", action="store_true", help="keep it encrypted at rest")
    parser.add_argument("--licence", default="", metavar="NAME", help="where the model does not say it itself")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="system text, template and parameters")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name without a number")


def _canary_arguments(parser: argparse.ArgumentParser) -> None:
    _version_argument(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--percent", type=int, metavar="N", help="share of the conversations, 1 to 99")
    who.add_argument("--group", metavar="ID", help="the group of people that gets it")


def _list(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    versions = appliance.model_administration.list(principal)
    lines = [line_of(version) for version in versions] or ["No model is installed."]
    output.result({"models": [document_of(version) for version in versions]}, *lines)
    return 0


def _import(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    order = Order(
        name=arguments.name,
        sha256=arguments.sha256,
        signature=arguments.signature,
        encrypt=arguments.encrypt,
        licence=arguments.licence,
        modelfile=arguments.modelfile,
    )
    watch = watched(output, "Reading")
    version = appliance.model_administration.take_in(principal, arguments.source, order, wanted=arguments.choose, watch=watch)
    return _told(
        output, version, f"Imported {version.id} as a candidate; `cloister models activate {version.id}` lets it answer."
    )


def _change(act: Callable[[ModelAdministration, Principal, argparse.Namespace], ModelVersion], sentence: str) -> Act:
    def changed(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
        version = act(appliance.model_administration, principal, arguments)
        return _told(output, version, sentence.format(version.id))

    return changed


def _delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    appliance.model_administration.delete(principal, arguments.version)
    output.result({"deleted": arguments.version}, f"{arguments.version} was deleted.")
    return 0


def _told(output: Output, version: ModelVersion, sentence: str) -> int:
    document: dict[str, Any] = document_of(version)
    output.result(document, line_of(version), sentence)
    return 0


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("every version with its state", _list),
    "import": ("take in a model from a file, a folder, a stick or a package", _import),
    "activate": (
        "let a version answer from the next question on",
        _change(lambda models, who, given: models.activate(who, given.version), "{} is active."),
    ),
    "rollback": (
        "go back to the version that was active before",
        _change(lambda models, who, given: models.rollback(who, given.name), "{} is active again."),
    ),
    "canary": (
        "let a version answer a share of the conversations, or one group",
        _change(
            lambda models, who, given: models.canary(who, given.version, percent=given.percent, group=given.group),
            "{} is a canary.",
        ),
    ),
    "retire": (
        "let a version answer no longer; its file stays",
        _change(lambda models, who, given: models.retire(who, given.version), "{} is retired."),
    ),
    "delete": ("delete a version that does not answer, and its file", _delete),
}
_ARGUMENTS = {
    "list": lambda _: None,
    "import": _import_arguments,
    "rollback": _name_argument,
    "canary": _canary_arguments,
}
