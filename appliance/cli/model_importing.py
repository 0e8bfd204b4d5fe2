"""`cloister models import`, `pull`, `connect`, `convert`: what comes in as a candidate."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.bootstrap import Appliance
from appliance.cli.model_lines import told, watched
from appliance.cli.output import Output
from appliance.identity.models import Principal
from appliance.inference.store.connecting import Told
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion


def import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a GGUF file, an ONNX GenAI folder, a stick, a package")
    parser.add_argument("--choose", metavar="NAME", help="which one, where the source holds several")
    _order_arguments(parser)


def take_in(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_importing.take_in(
        principal, arguments.source, _order(arguments), wanted=arguments.choose, watch=watched(output, "Reading")
    )
    return _imported(output, version)


def pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="NAME", help="a name of the catalogue, ollama:NAME, or destination:PLACE:/path/of/file.gguf"
    )
    parser.add_argument("--ollama-dir", type=Path, metavar="DIR", help="where that Ollama keeps its models")
    _order_arguments(parser)


def pull(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    if arguments.source.startswith("destination:"):
        output.progress("Fetching ...")
        order, watch = _order(arguments), watched(output, "Reading")
        return _imported(output, appliance.model_fetching.fetch(principal, arguments.source, order, appliance.gate, watch=watch))
    version = appliance.model_importing.pull(
        principal,
        arguments.source,
        _order(arguments),
        ollama_dir=arguments.ollama_dir,
        watch=watched(output, "Reading"),
    )
    return _imported(output, version)


def _order_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="how it is called here")
    parser.add_argument("--sha256", default="", metavar="DIGEST", help="refuse anything else")
    parser.add_argument("--signature", type=Path, metavar="FILE", help="detached Ed25519 signature by a trusted key")
    parser.add_argument("--encrypt", action="store_true", help="keep it encrypted at rest")
    parser.add_argument("--licence", default="", metavar="NAME", help="where the model does not say it itself")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="system text, template and parameters")


def _order(arguments: argparse.Namespace) -> Order:
    return Order(
        name=arguments.name,
        sha256=arguments.sha256,
        signature=arguments.signature,
        encrypt=arguments.encrypt,
        licence=arguments.licence,
        modelfile=arguments.modelfile,
    )


def connect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="ollama:NAME, or destination:PLACE:NAME")
    parser.add_argument("--name", default="", help="how it is called here")
    parser.add_argument("--parameters", type=float, metavar="MILLIONS", help="where the server does not say it itself")
    parser.add_argument("--context", type=int, metavar="TOKENS", help="where the server does not say it itself")
    parser.add_argument("--licence", default="", metavar="NAME", help="where the server does not say it itself")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="system text, examples and parameters")


def connect(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    given = Told(arguments.name, arguments.parameters, arguments.context, arguments.licence, arguments.modelfile)
    return _imported(output, appliance.model_importing.connect(principal, arguments.source, given, appliance.gate))


def convert(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    return _imported(output, appliance.model_conversion.convert(principal, arguments.version, output.progress))


def _imported(output: Output, version: ModelVersion) -> int:
    return told(output, version, f"Imported {version.id} as a candidate; `cloister models activate {version.id}` lets it answer.")
