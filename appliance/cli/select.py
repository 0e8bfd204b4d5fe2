"""`cloister select`: which model would answer, and with `--explain` why every other one would not. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing

from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.acting import acting_principal
from appliance.cli.output import Output
from appliance.egress.seal.layers import Strength
from appliance.egress.seal.reports import read_reports
from appliance.errors import InvalidInput
from appliance.inference.hardware.models import Hardware
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.selection.explain import Explanation, explain
from appliance.inference.selection.models import Selection, SelectionRequest
from appliance.inference.selection.policy import RoutingPolicy
from appliance.inference.telemetry import silence
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading
from appliance.supervisor import wire


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--explain", action="store_true", help="also say what was found, what is offered and why the others lost")
    parser.add_argument("--classification", metavar="NAME", help="of the documents asked about; without it, each there is")
    parser.add_argument(
        "--as", dest="person", metavar="USER", help="whose question it would be; without it, somebody without a role"
    )
    parser.add_argument("--model", default="", metavar="ID", help="the model that they choose by hand")
    parser.add_argument(
        "--conversation", default="", metavar="ID", help="the conversation, which decides about versions on trial"
    )
    parser.add_argument("--tokens", type=int, default=0, metavar="N", help="room that the prompt and its answer need")
    seals = [str(seal) for seal in Strength]
    parser.add_argument("--seal", choices=seals, help="suppose that the box is sealed so; without it, as its processes are now")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """One line for each classification; exit code 1 when nothing may and can answer any of them."""
    silence()  # before ONNX Runtime is asked for its providers
    settings = load_settings(arguments.data)
    with closing(open_appliance(settings, upgrading=Upgrading(output.progress))) as appliance:
        explanation = _explained(appliance, arguments, running=wire.answers(settings))
    document = explanation.as_document()
    if not arguments.explain:
        document = {"selections": document["selections"]}
    output.result(document, *_lines(explanation, full=arguments.explain))
    return 0 if any(selection.winner for selection in explanation.selections) else 1


def _explained(appliance: Appliance, arguments: argparse.Namespace, *, running: bool) -> Explanation:
    policy = appliance.routing
    asked = arguments.classification
    if asked is not None and asked not in policy.classifications:
        raise InvalidInput(f"There are the classifications {', '.join(policy.classifications)}.", code="select.classification")
    person = None if arguments.person is None else acting_principal(appliance, arguments.person)
    offers = appliance.offers()
    request = SelectionRequest(
        "",
        roles=frozenset() if person is None else person.roles,
        groups=frozenset() if person is None else person.groups,
        conversation_id=arguments.conversation,
        chosen=arguments.model,
        context_tokens=arguments.tokens,
        seal=Strength(arguments.seal) if arguments.seal else _seal(appliance, running=running),
        # while the appliance runs, what is in service holds its memory already
        loaded=frozenset(offer.model_id for offer in offers if running and offer.state == "active"),
    )
    return explain(probe_hardware(ask_libraries=True), offers, policy, request, [asked] if asked else [])


def _seal(appliance: Appliance, *, running: bool) -> Strength:
    """The weakest of the processes that run; this one's own, which nobody sealed, where none does."""
    reports = read_reports(appliance.settings.run_dir) if running else []
    return min((report.strength for report in reports), key=list(Strength).index, default=appliance.seal())


def _lines(explanation: Explanation, *, full: bool) -> Iterator[str]:
    if full:
        yield from _box(explanation.hardware)
        yield from _policy(explanation.policy, str(explanation.request.seal))
    for selection in explanation.selections:
        yield from _decision(selection, full=full)


def _box(found: Hardware) -> Iterator[str]:
    quota = "" if found.cpu_quota is None else f", quota of {found.cpu_quota:g}"
    limit = "" if found.memory_limit_mb is None else f", limit of {found.memory_limit_mb:,} MB"
    yield "This box"
    yield f"  processor  {found.processor or 'unknown'} ({found.architecture}: {' '.join(found.features) or 'nothing special'})"
    yield f"  cores      {found.cores}{quota}"
    yield f"  memory     {found.memory_total_mb:,} MB, {found.memory_available_mb:,} MB of it free{limit}"
    for device in found.accelerators:
        memory = "shares the box's memory" if device.shares_memory else f"{device.memory_total_mb:,} MB"
        yield f"  {device.device:<10} {device.name}, {memory}"
    if found.providers:
        yield f"  providers  {' '.join(found.providers)}"
    for remark in found.remarks:
        yield f"  unknown    {remark}"


def _policy(policy: RoutingPolicy, seal: str) -> Iterator[str]:
    yield f"Routing policy {policy.sha256[:16]}"
    yield f"  must stay free: {policy.memory_headroom_mb:,} MB of the box, {policy.device_headroom_mb:,} MB of a device"
    yield f"  order: {', '.join(policy.order)}; devices: {', '.join(policy.devices)}; this box's seal: {seal}"
    yield f"  may choose by hand: {', '.join(sorted(policy.choosers)) or 'nobody'}"
    for name, rule in policy.rules.items():
        elsewhere = f", at {', '.join(rule.destinations)}" if rule.destinations else ""
        trials = "" if rule.canary else ", none on trial"
        models = f"models {', '.join(rule.models) or 'none'}"
        yield f"  {name}: {', '.join(rule.runtimes) or 'no runtime'}; {models}; seal {rule.seal}{elsewhere}{trials}"


def _decision(selection: Selection, *, full: bool) -> Iterator[str]:
    won = selection.winner
    if won is None:
        assert selection.refusal is not None
        yield f"{selection.classification}: nothing answers. {selection.refusal.sentence}"
    else:
        through = f", driven by {won.library}" if won.library not in {"", "cpu"} else ""
        where = won.offer.destination or f"{won.device}{through}"
        yield f"{selection.classification}: {won.offer.model_id} through {won.offer.runtime} on {where}. {won.sentence}"
    for skipped in selection.instead_of:
        yield f"  instead of {skipped.offer.model_id} through {skipped.offer.runtime}. {skipped.sentence} ({skipped.reason})"
    for passed in won.passed_over if full and won is not None else ():
        yield f"  not on {passed.sentence} ({passed.reason})"
    for candidate in selection.candidates if full else ():
        if candidate != won:
            yield f"  not {candidate.offer.model_id} through {candidate.offer.runtime}: {candidate.sentence} ({candidate.reason})"
