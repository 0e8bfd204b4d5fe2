"""`cloister models`: what answers on this box, managed like software."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from typing import Any

from appliance.bootstrap import Appliance, open_appliance
from appliance.cli import model_answering, model_importing, model_measuring, model_signers, ollama
from appliance.cli.acting import Act, acting_principal
from appliance.cli.catalogue_lines import lines_of
from appliance.cli.model_lines import document_of, figures_of, index_document, line_of, told, version_argument
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.errors import NotFound
from appliance.identity.groups import group_names
from appliance.identity.models import Principal
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading
from appliance.supervisor.own_gate import own_gate

Arguments = Callable[[argparse.ArgumentParser], Any]


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        VERBS[name][1](verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done, or when everything verified held."""
    settings = load_settings(arguments.data)
    appliance = open_appliance(settings, upgrading=Upgrading(output.progress))
    with own_gate(settings) as appliance.gate_place, closing(appliance):
        return VERBS[arguments.verb][2](appliance, acting_principal(appliance, arguments.person), arguments, output)


def _list(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    versions = appliance.model_administration.list(principal)
    indexes = appliance.model_administration.indexes(principal)
    with appliance.database.read() as connection:
        groups = group_names(connection)
    lines = [line_of(version, groups) for version in versions] or ["No model is installed."]
    documents: dict[str, object] = {
        "models": [document_of(version) for version in versions],
        "indexes": [index_document(item) for item in indexes],
    }
    output.result(documents, *lines, *(f"index        {item.sentence}" for item in indexes))
    return 0


def _show(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = next((item for item in appliance.model_administration.list(principal) if item.id == arguments.version), None)
    if version is None:
        raise NotFound(f"There is no model version {arguments.version}.", code="model.unknown")
    return told(output, version, *(figures_of(version) if version.trials or version.measured else ()))


def _catalogue(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    known = appliance.catalogue_review.known(principal)
    output.result({"models": [model.as_document() for model in known]}, *(line for model in known for line in lines_of(model)))
    return 0


def _nothing(_: argparse.ArgumentParser) -> None:
    """For a verb without arguments."""


VERBS: dict[str, tuple[str, Arguments, Act]] = {
    "list": ("every version with its state", _nothing, _list),
    "show": ("one version, and every variant that was measured with it", version_argument, _show),
    "catalogue": (
        "the models this product knows: memory, licence, what runs them here, how they come in",
        _nothing,
        _catalogue,
    ),
    "import": (
        "take in a model from a file, a folder, a stick or a package",
        model_importing.import_arguments,
        model_importing.take_in,
    ),
    "pull": (
        "take in a model by its name in the catalogue, or from the Ollama on this box",
        model_importing.pull_arguments,
        model_importing.pull,
    ),
    "connect": (
        "let a model answer that stays in an Ollama on this box, or in a server that destinations.toml names",
        model_importing.connect_arguments,
        model_importing.connect,
    ),
    "ollama": (
        "list, show, create, pull or delete models inside the Ollama of this box",
        ollama.add_arguments,
        ollama.act,
    ),
    "verify": (
        "compare the content of one version, or of all, with its digest",
        model_measuring.verify_arguments,
        model_measuring.verify,
    ),
    "bench": (
        "measure a version on this machine: speed, memory, right answers",
        version_argument,
        model_measuring.bench,
    ),
    "optimize": (
        "make the forms this machine may run faster, measure them with those in the store, keep the best",
        model_measuring.optimize_arguments,
        model_measuring.optimize,
    ),
    "convert": (
        "write a GGUF version as a folder for ONNX Runtime GenAI and Foundry Local, as a candidate",
        version_argument,
        model_importing.convert,
    ),
    "activate": (
        "let a version answer from the next question on, once the required golden sets were asked",
        model_answering.activate_arguments,
        model_answering.activate,
    ),
    "compared": (
        "what golden sets say of the index of an embedding model, question by question",
        version_argument,
        model_answering.compared,
    ),
    "rollback": (
        "go back to the version that was active before",
        model_answering.name_argument,
        model_answering.rollback,
    ),
    "abandon": (
        "stop embedding the documents with another model; the present one goes on",
        version_argument,
        model_answering.abandon,
    ),
    "canary": (
        "let a version answer a share of the conversations, or one group, once the required golden sets were asked",
        model_answering.canary_arguments,
        model_answering.canary,
    ),
    "retire": (
        "let a version answer no longer; its file stays",
        version_argument,
        model_answering.retire,
    ),
    "retry": (
        "have a version loaded again that crashed while it was loaded, or could not be",
        version_argument,
        model_answering.retry,
    ),
    "delete": (
        "delete a version that does not answer, and its file",
        version_argument,
        model_answering.delete,
    ),
    "signers": ("the keys whose signatures on models count", _nothing, model_signers.list_signers),
    "trust": ("let signatures by a key count", model_signers.trust_arguments, model_signers.trust),
    "distrust": (
        "let signatures by a key count no longer",
        model_signers.fingerprint_argument,
        model_signers.distrust,
    ),
}
