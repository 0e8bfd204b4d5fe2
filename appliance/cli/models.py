"""`cloister models`: what answers on this box, managed like software."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.administration.models import ModelAdministration
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli import golden, ollama
from appliance.cli.acting import acting_principal
from appliance.cli.catalogue_lines import lines_of
from appliance.cli.groups import group_id
from appliance.cli.model_lines import (
    comparison_document,
    comparison_lines,
    document_of,
    figures_of,
    index_document,
    line_of,
    watched,
)
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.errors import NotFound
from appliance.identity.groups import group_names
from appliance.identity.models import Principal
from appliance.inference.store.connecting import Told
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion
from appliance.settings import load_settings
from appliance.supervisor.own_gate import own_gate

Act = Callable[[Appliance, Principal, argparse.Namespace, Output], int]


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        _ARGUMENTS.get(name, _version_argument)(verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done, or when everything verified held."""
    settings = load_settings(arguments.data)
    appliance = open_appliance(settings)
    with own_gate(settings) as appliance.gate_place, closing(appliance):
        return VERBS[arguments.verb][1](appliance, acting_principal(appliance, arguments.person), arguments, output)


def _version_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="name@number, as `cloister models list` shows it")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a GGUF file, an ONNX GenAI folder, a stick, a package")
    parser.add_argument("--choose", metavar="NAME", help="which one, where the source holds several")
    _order_arguments(parser)


def _pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="NAME", help="a name of the catalogue, ollama:NAME, or destination:PLACE:/path/of/file.gguf"
    )
    parser.add_argument("--ollama-dir", type=Path, metavar="DIR", help="where that Ollama keeps its models")
    _order_arguments(parser)


def _connect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="ollama:NAME, or destination:PLACE:NAME")
    parser.add_argument("--name", default="", help="how it is called here")
    parser.add_argument("--parameters", type=float, metavar="MILLIONS", help="where the server does not say it itself")
    parser.add_argument("--context", type=int, metavar="TOKENS", help="where the server does not say it itself")
    parser.add_argument("--licence", default="", metavar="NAME", help="where the server does not say it itself")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="system text, examples and parameters")


def _order_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="how it is called here")
    parser.add_argument("--sha256", default="", metavar="DIGEST", help="refuse anything else")
    parser.add_argument("--signature", type=Path, metavar="FILE", help="detached Ed25519 signature by a trusted key")
    parser.add_argument("--encrypt", action="store_true", help="keep it encrypted at rest")
    parser.add_argument("--licence", default="", metavar="NAME", help="where the model does not say it itself")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="system text, template and parameters")


def _optimize_arguments(parser: argparse.ArgumentParser) -> None:
    _version_argument(parser)
    parser.add_argument("--activate", action="store_true", help="let the best answer from the next question on")


def _trust_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", type=Path, metavar="FILE", help="an Ed25519 public key: PEM, 32 bytes or base64")
    parser.add_argument("--name", required=True, help="whose key it is")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name without a number")


def _canary_arguments(parser: argparse.ArgumentParser) -> None:
    _version_argument(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--percent", type=int, metavar="N", help="share of the conversations, 1 to 99")
    who.add_argument("--group", metavar="NAME", help="the group of people that gets it")
    _despite_argument(parser)


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
    return _told(output, version, *(figures_of(version) if version.trials or version.measured else ()))


def _catalogue(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    known = appliance.catalogue_review.known(principal)
    output.result({"models": [model.as_document() for model in known]}, *(line for model in known for line in lines_of(model)))
    return 0


def _order(arguments: argparse.Namespace) -> Order:
    return Order(
        name=arguments.name,
        sha256=arguments.sha256,
        signature=arguments.signature,
        encrypt=arguments.encrypt,
        licence=arguments.licence,
        modelfile=arguments.modelfile,
    )


def _import(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.take_in(
        principal, arguments.source, _order(arguments), wanted=arguments.choose, watch=watched(output, "Reading")
    )
    return _imported(output, version)


def _pull(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    if arguments.source.startswith("destination:"):
        output.progress("Fetching ...")
        order, watch = _order(arguments), watched(output, "Reading")
        return _imported(output, appliance.model_fetching.fetch(principal, arguments.source, order, appliance.gate, watch=watch))
    version = appliance.model_administration.pull(
        principal,
        arguments.source,
        _order(arguments),
        ollama_dir=arguments.ollama_dir,
        watch=watched(output, "Reading"),
    )
    return _imported(output, version)


def _connect(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    told = Told(arguments.name, arguments.parameters, arguments.context, arguments.licence, arguments.modelfile)
    return _imported(output, appliance.model_administration.connect(principal, arguments.source, told, appliance.gate))


def _imported(output: Output, version: ModelVersion) -> int:
    return _told(
        output, version, f"Imported {version.id} as a candidate; `cloister models activate {version.id}` lets it answer."
    )


def _verify(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    results = appliance.model_measuring.verify(principal, arguments.version, watch=watched(output, "Reading"))
    documents = [{"id": item.version.id, "sound": item.problem is None, "code": item.code} for item in results]
    lines = [
        f"{'FAILURE' if item.problem else 'ok     '} {item.version.id}: {item.problem or 'digest verified'}" for item in results
    ]
    sound = all(item.problem is None for item in results)
    output.result({"sound": sound, "models": documents}, *(lines or ["No model is installed."]))
    return 0 if sound else 1


def _bench(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_measuring.bench(principal, arguments.version, output.progress)
    return _told(output, version, *figures_of(version))


def _optimize(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    optimizing = appliance.model_optimizing
    version = optimizing.optimize(principal, arguments.version, output.progress, activate=arguments.activate)
    return _told(output, version, *figures_of(version))


def _convert(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    return _imported(output, appliance.model_conversion.convert(principal, arguments.version, output.progress))


def _signers(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    signers = appliance.model_signers.list(principal)
    documents = [{"fingerprint": signer.fingerprint, "name": signer.name, "trusted_ms": signer.trusted_ms} for signer in signers]
    output.result(
        {"signers": documents}, *([f"{signer.fingerprint} {signer.name}" for signer in signers] or ["No key is trusted."])
    )
    return 0


def _trust(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    signer = appliance.model_signers.trust(principal, arguments.key, arguments.name)
    output.result({"fingerprint": signer.fingerprint, "name": signer.name}, f"Signatures by {signer.fingerprint} count now.")
    return 0


def _distrust(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    signer = appliance.model_signers.distrust(principal, arguments.fingerprint)
    output.result({"fingerprint": signer.fingerprint}, f"Signatures by {signer.fingerprint} count no longer.")
    return 0


def _change(act: Callable[[ModelAdministration, Principal, argparse.Namespace], ModelVersion], sentence: str) -> Act:
    def changed(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
        version = act(appliance.model_administration, principal, arguments)
        return _told(output, version, sentence.format(version.id))

    return changed


def _activate(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    if not arguments.despite:
        golden.examine(appliance, principal, arguments.version, output)
    version = appliance.model_administration.activate(principal, arguments.version, despite=arguments.despite)
    return _taken_up(appliance, principal, version, output, f"{version.id} is active.")


def _compared(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    sets = appliance.index_review.compared(principal, arguments.version)
    lines = [line for about, found in sets for line in comparison_lines(about, found)]
    documents = [comparison_document(about, found) for about, found in sets]
    output.result({"sets": documents}, *(lines or ["No golden set that you may read was asked."]))
    return 1 if any(found.stands_against for _, found in sets) else 0


def _rollback(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_administration.rollback(principal, arguments.name)
    return _taken_up(appliance, principal, version, output, f"{version.id} is active again.")


def _taken_up(appliance: Appliance, principal: Principal, version: ModelVersion, output: Output, sentence: str) -> int:
    """An embedding model is not active yet: everything is embedded with it first, while the box runs."""
    if version.kind == "embedding":
        indexes = [item for item in appliance.model_administration.indexes(principal) if item.model_id == version.id]
        sentence = " ".join(f"{item.sentence}." for item in indexes)
    return _told(output, version, sentence)


def _canary(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    group = None if arguments.group is None else group_id(appliance, arguments.group)
    if not arguments.despite:
        golden.examine(appliance, principal, arguments.version, output)
    version = appliance.model_administration.canary(
        principal, arguments.version, percent=arguments.percent, group=group, despite=arguments.despite
    )
    whom = f" It answers the conversations of {arguments.group}." if group else ""
    return _told(output, version, f"{version.id} is a canary.{whom}")


def _activate_arguments(parser: argparse.ArgumentParser) -> None:
    _version_argument(parser)
    _despite_argument(parser)


def _despite_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--despite", default="", metavar="REASON", help="whatever the golden sets say; the reason is audited")


def _delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    appliance.model_administration.delete(principal, arguments.version)
    output.result({"deleted": arguments.version}, f"{arguments.version} was deleted.")
    return 0


def _told(output: Output, version: ModelVersion, *sentences: str) -> int:
    document: dict[str, Any] = document_of(version)
    output.result(document, line_of(version), *sentences)
    return 0


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("every version with its state", _list),
    "show": ("one version, and every variant that was measured with it", _show),
    "catalogue": ("the models this product knows: memory, licence, what runs them here, how they come in", _catalogue),
    "import": ("take in a model from a file, a folder, a stick or a package", _import),
    "pull": ("take in a model by its name in the catalogue, or from the Ollama on this box", _pull),
    "connect": ("let a model answer that stays in an Ollama on this box, or in a server that destinations.toml names", _connect),
    "ollama": ("list, show, create, pull or delete models inside the Ollama of this box", ollama.act),
    "verify": ("compare the content of one version, or of all, with its digest", _verify),
    "bench": ("measure a version on this machine: speed, memory, right answers", _bench),
    "optimize": ("make the forms this machine may run faster, measure them with those in the store, keep the best", _optimize),
    "convert": ("write a GGUF version as a folder for ONNX Runtime GenAI and Foundry Local, as a candidate", _convert),
    "activate": ("let a version answer from the next question on, once the required golden sets were asked", _activate),
    "compared": ("what golden sets say of the index of an embedding model, question by question", _compared),
    "rollback": (
        "go back to the version that was active before",
        _rollback,
    ),
    "abandon": (
        "stop embedding the documents with another model; the present one goes on",
        _change(lambda models, who, given: models.abandon(who, given.version), "Nothing is embedded with {} any longer."),
    ),
    "canary": (
        "let a version answer a share of the conversations, or one group, once the required golden sets were asked",
        _canary,
    ),
    "retire": (
        "let a version answer no longer; its file stays",
        _change(lambda models, who, given: models.retire(who, given.version), "{} is retired."),
    ),
    "retry": (
        "have a version loaded again that crashed while it was loaded, or could not be",
        _change(lambda models, who, given: models.retry(who, given.version), "{} is tried again with the next question."),
    ),
    "delete": ("delete a version that does not answer, and its file", _delete),
    "signers": ("the keys whose signatures on models count", _signers),
    "trust": ("let signatures by a key count", _trust),
    "distrust": ("let signatures by a key count no longer", _distrust),
}
_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], Any]] = {
    "list": lambda _: None,
    "catalogue": lambda _: None,
    "import": _import_arguments,
    "pull": _pull_arguments,
    "connect": _connect_arguments,
    "verify": lambda parser: parser.add_argument("version", nargs="?", metavar="VERSION"),
    "optimize": _optimize_arguments,
    "ollama": ollama.add_arguments,
    "signers": lambda _: None,
    "trust": _trust_arguments,
    "distrust": lambda parser: parser.add_argument("fingerprint", metavar="FINGERPRINT"),
    "activate": _activate_arguments,
    "rollback": _name_argument,
    "canary": _canary_arguments,
}
