"""`cloister golden`: sets of questions with known answers, asked on this box."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.administration.golden.models import Expected, GoldenSet, Run, RunStatus
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.acting import Act, acting_principal
from appliance.cli.output import Output
from appliance.cli.verbs import add_verbs
from appliance.errors import InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading
from appliance.supervisor.own_gate import own_gate


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument(
            "--as", dest="person", metavar="USER", help="the administrator who acts, and who may read the collection"
        )
        _ARGUMENTS[name](verb)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done and, of a run, when it is no regression."""
    settings = load_settings(arguments.data)
    appliance = open_appliance(settings, upgrading=Upgrading(output.progress))
    with own_gate(settings) as appliance.gate_place, closing(appliance):
        return VERBS[arguments.verb][1](appliance, acting_principal(appliance, arguments.person), arguments, output)


def examine(appliance: Appliance, principal: Principal, version_id: str, output: Output) -> None:
    """Ask the required sets with a version, here and now, as far as they do not speak for or against it yet."""
    for run in appliance.golden.examine(principal, version_id, activates=False):
        what = run.version_id or "what answers now"
        output.progress(f"Asking {run.total} golden questions with {what}")
        _carry_through(appliance, run, output)


def _set_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name of the golden set")


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    _set_argument(parser)
    parser.add_argument("--collection", required=True, metavar="NAME", help="what its questions are about")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    _set_argument(parser)
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--answer", action="append", default=[], metavar="TEXT", help="one of these must stand in the answer")
    parser.add_argument("--document", default="", metavar="NAME", help="must be cited")
    parser.add_argument("--page", type=int, metavar="N", help="where it must be cited")
    parser.add_argument("--silent", action="store_true", help="the documents do not hold the answer, and silence is right")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    _set_argument(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, or JSON in SQuAD's form")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _set_argument(parser)
    parser.add_argument("--version", default="", metavar="NAME@N", help="as if this version of a model were active")


def _list(appliance: Appliance, principal: Principal, _: argparse.Namespace, output: Output) -> int:
    names = {item.id: item.name for item in appliance.collections.readable(principal)}
    documents, lines = [], []
    for item in appliance.golden.sets(principal):
        latest = item.latest
        documents.append(asdict(item.set) | {"questions": item.questions, "latest": _document(latest) if latest else None})
        marks = f"{item.set.schedule.value}{', required' if item.set.required else ''}"
        ended = _sentence(latest) if latest else "not asked yet"
        lines.append(f"{item.set.name} ({names.get(item.set.collection_id, '')}): {item.questions} questions, {marks}; {ended}")
    output.result({"sets": documents}, *(lines or ["There is no golden set."]))
    return 0


def _create(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    found = [item for item in appliance.collections.readable(principal) if item.name == arguments.collection]
    if len(found) != 1:
        raise NotFound(f"There is no collection named {arguments.collection}, or more than one.", code="collection.unknown")
    made = appliance.golden.create(principal, found[0].id, arguments.name)
    output.result(asdict(made), f"{made.name} was created.")
    return 0


def _add(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    found = _named(appliance, principal, arguments.name)
    expected = Expected(arguments.question, tuple(arguments.answer), arguments.document, arguments.page, silent=arguments.silent)
    ids = appliance.golden.add(principal, found.id, [expected])
    output.result({"added": len(ids)}, "1 question was added.")
    return 0


def _import(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    from appliance.evaluation.golden.files import read

    found = _named(appliance, principal, arguments.name)
    try:
        content = arguments.file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{arguments.file} cannot be read ({error.strerror}).", code="golden.file") from None
    form = arguments.file.suffix.lstrip(".").lower()
    ids = appliance.golden.add(principal, found.id, read(content, form, appliance.golden.documents(principal, found.id)))
    output.result({"added": len(ids)}, "1 question was added." if len(ids) == 1 else f"{len(ids)} questions were added.")
    return 0


def _export(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    from appliance.evaluation.golden.files import written

    _, questions = appliance.golden.questions(principal, _named(appliance, principal, arguments.name).id)
    lines = written([question.expected for question in questions]).rstrip("\n").split("\n")
    output.result({"questions": [asdict(question.expected) for question in questions]}, *lines)
    return 0


def _run(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    found = _named(appliance, principal, arguments.name)
    begun = appliance.golden.start(principal, found.id, arguments.version)
    ended = _carry_through(appliance, begun, output)
    result = appliance.golden.result(principal, ended.id)
    changes = [*result.comparison.worse, *result.comparison.better] if result.comparison else []
    lines = [_sentence(ended), *_figures(ended)]
    lines += [f"  {'worse ' if change.got_worse else 'better'} {change.text}" for change in changes]
    lines += [f"  wrong  {item.text}" for item in result.outcomes if not item.right]
    document = _document(ended) | {"outcomes": [asdict(item) for item in result.outcomes]}
    output.result(document, *lines)
    return 0 if ended.status is RunStatus.DONE and not ended.regressed else 1


def _carry_through(appliance: Appliance, run: Run, output: Output) -> Run:
    """In this process. Where a worker of the running box was faster, its work is waited for."""
    from appliance.evaluation.golden.running import GoldenRunner

    return GoldenRunner(appliance, f"here-{secrets.token_hex(8)}").carry(run.id, output.progress)


def _named(appliance: Appliance, principal: Principal, name: str) -> GoldenSet:
    found = [item.set for item in appliance.golden.sets(principal) if item.set.name == name]
    if len(found) != 1:
        raise NotFound(f"There is no golden set named {name}, or more than one.", code="golden.unknown")
    return found[0]


def _document(run: Run) -> dict[str, Any]:
    return asdict(run)


def _sentence(run: Run) -> str:
    if run.status is not RunStatus.DONE:
        return f"{run.status.value.lower()}{f': {run.reason}' if run.reason else ''}"
    told = f"{run.figures['right']} of {run.figures['questions']} right"
    if run.worse or run.better:
        told += f", {run.worse} worse and {run.better} better than before"
    return f"{told}: a regression" if run.regressed else told


def _figures(run: Run) -> list[str]:
    if not run.figures:
        return []
    parts = {**run.figures["retrieval"], **run.figures["answers"]}
    return ["  " + ", ".join(f"{name} {value}" for name, value in parts.items())]


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("the sets of the collections that the administrator may read", _list),
    "create": ("an empty set for a collection", _create),
    "add": ("add one question with its expected answer", _add),
    "import": ("add the questions of a file", _import),
    "export": ("print the questions as CSV", _export),
    "run": ("ask a set now, and compare with the last accepted run", _run),
}
_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], Any]] = {
    "list": lambda _: None,
    "create": _create_arguments,
    "add": _add_arguments,
    "import": _import_arguments,
    "export": _set_argument,
    "run": _run_arguments,
}
