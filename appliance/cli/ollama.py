"""`cloister models ollama`: the models inside the Ollama of this box."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from appliance.administration.ollama_models import OllamaModels, Watch
from appliance.bootstrap import Appliance
from appliance.cli.output import Output
from appliance.errors import InvalidInput
from appliance.identity.models import Principal

ACTS = ("list", "show", "create", "pull", "delete")
_STEP = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("act", choices=ACTS, help="what to do there")
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the model's name in Ollama")
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="what create makes the model of; files lie beside it")


def act(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    models, name = appliance.ollama_models, arguments.name
    if arguments.act == "list":
        found = models.list(principal)
        lines = [f"{each.name:<32} {each.quantisation}, {each.size_bytes / 1e6:,.0f} MB, {each.digest[:12]}" for each in found]
        output.result({"models": [asdict(each) for each in found]}, *(lines or ["It holds no model."]))
        return 0
    if not name:
        raise InvalidInput("Which one? Give its NAME in Ollama.", code="inference.model_name")
    if arguments.act == "show":
        details = models.show(principal, name)
        document = asdict(details) | {"weights": str(details.weights or ""), "about": dict(details.about)}
        output.result(document, f"{name}: context {details.context_tokens:,}, {', '.join(details.capabilities)}", details.licence)
        return 0
    _change(models, principal, arguments, output)
    sentences = {"delete": f"{name} was deleted there.", "create": f"{name} is there now.", "pull": f"{name} is there now."}
    output.result({"name": name, "act": arguments.act}, sentences[arguments.act])
    return 0


def _change(models: OllamaModels, principal: Principal, arguments: argparse.Namespace, output: Output) -> None:
    if arguments.act == "delete":
        models.delete(principal, arguments.name)
    elif arguments.act == "pull":
        models.pull(principal, arguments.name, _told(output))
    elif arguments.modelfile is None:
        raise InvalidInput("What of? Give a Modelfile with --modelfile.", code="modelfile.missing")
    else:
        models.create(principal, arguments.name, arguments.modelfile, _told(output))


def _told(output: Output) -> Watch:
    """Says each step once, and of a long one every tenth."""
    last, told = "", 0.0

    def watch(step: str, done: int, total: int) -> None:
        nonlocal last, told
        if step != last:
            last, told = step, 0.0
            output.progress(step)
        if total and done >= (told + _STEP) * total:
            told = done / total
            output.progress(f"{step}: {told:.0%} of {total / 1e6:,.0f} MB")

    return watch
