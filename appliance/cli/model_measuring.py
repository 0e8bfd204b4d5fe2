"""`cloister models verify`, `bench`, `optimize`: whether a version is sound, and how it does on this machine."""

from __future__ import annotations

import argparse

from appliance.bootstrap import Appliance
from appliance.cli.model_lines import figures_of, told, version_argument, watched
from appliance.cli.output import Output
from appliance.identity.models import Principal


def verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", nargs="?", metavar="VERSION")


def verify(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    results = appliance.model_measuring.verify(principal, arguments.version, watch=watched(output, "Reading"))
    documents = [{"id": item.version.id, "sound": item.problem is None, "code": item.code} for item in results]
    lines = [
        f"{'FAILURE' if item.problem else 'ok     '} {item.version.id}: {item.problem or 'digest verified'}" for item in results
    ]
    sound = all(item.problem is None for item in results)
    output.result({"sound": sound, "models": documents}, *(lines or ["No model is installed."]))
    return 0 if sound else 1


def bench(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    version = appliance.model_measuring.bench(principal, arguments.version, output.progress)
    return told(output, version, *figures_of(version))


def optimize_arguments(parser: argparse.ArgumentParser) -> None:
    version_argument(parser)
    parser.add_argument("--activate", action="store_true", help="let the best answer from the next question on")


def optimize(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    optimizing = appliance.model_optimizing
    version = optimizing.optimize(principal, arguments.version, output.progress, activate=arguments.activate)
    return told(output, version, *figures_of(version))
