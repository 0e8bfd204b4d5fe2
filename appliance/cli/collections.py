"""`cloister collections`: what administrators do on the page Collections, without a browser."""

from __future__ import annotations

import argparse

from appliance.administration.collections import CollectionDetail
from appliance.bootstrap import Appliance
from appliance.cli.acting import Act, act_in_box
from appliance.cli.collection_lines import detail_document, detail_line
from appliance.cli.grantees import Grantees, grantee_arguments, known_grantees
from appliance.cli.output import Output
from appliance.cli.retention import days_arguments, set_days
from appliance.cli.verbs import add_verbs
from appliance.errors import NotFound
from appliance.identity.models import Principal
from appliance.identity.store import comparable_name


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        if name == "list":
            continue
        verb.add_argument("collection", metavar="NAME", help="the name of the shared collection")
        if name in {"create", "open", "close"}:
            what = "close it to whoever fills it, who may read on" if name == "close" else "to fill it as well as read it"
            grantee_arguments(verb, contribute=what, required=name != "create")
        match name:
            case "create":
                verb.add_argument("--classification", metavar="NAME", help="how sensitive it is (default: internal)")
            case "rename":
                verb.add_argument("name", metavar="NEW", help="what it is to be called")
            case "classify":
                verb.add_argument("classification", metavar="CLASSIFICATION", help="one that the routing policy knows")
            case "keep":
                days_arguments(verb, "documents")
            case "delete":
                verb.add_argument("--name", required=True, metavar="NAME", help="its name once more: nothing brings it back")
                verb.add_argument(
                    "--documents", type=int, default=0, metavar="N", help="how many may be deleted with it (default: none)"
                )


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done."""
    return act_in_box(VERBS[arguments.verb][1], arguments, output)


def _list(appliance: Appliance, principal: Principal, _arguments: argparse.Namespace, output: Output) -> int:
    known = known_grantees(appliance, principal)
    details = appliance.collections.list_all(principal)
    # those of people who are no employees (any more) hold nothing that anybody reaches; the page leaves them out, too
    shown = [item for item in details if item.owner_id is None or f"principal:{item.owner_id}" in known.employees]
    shown.sort(key=lambda item: (item.owner_id is not None, item.number))
    output.result(
        {"collections": [detail_document(item, known) for item in details]}, *(detail_line(item, known) for item in shown)
    )
    return 0


def _create(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    known = known_grantees(appliance, principal)
    chosen = known.chosen(arguments)
    made = appliance.collections.create(
        principal,
        arguments.collection,
        readers=chosen,
        contributors=chosen if arguments.contribute else (),
        classification=arguments.classification,
    )
    return _told(appliance, principal, made, known, output)


def _rename(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.collection)
    appliance.collections.update(principal, which.id, name=arguments.name)
    return _told(appliance, principal, which.id, known_grantees(appliance, principal), output)


def _classify(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.collection)
    appliance.collections.update(principal, which.id, classification=arguments.classification)
    return _told(appliance, principal, which.id, known_grantees(appliance, principal), output)


def _open(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.collection)
    known = known_grantees(appliance, principal)
    chosen = known.chosen(arguments)
    # contributing includes reading, in the policies as in the boxes of the page
    readers = which.readers | which.contributors | chosen
    contributors = which.contributors | chosen if arguments.contribute else which.contributors
    appliance.collections.update(principal, which.id, readers=readers, contributors=contributors)
    return _told(appliance, principal, which.id, known, output)


def _close(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.collection)
    known = known_grantees(appliance, principal)
    chosen = known.chosen(arguments, anybody=True)
    readers = which.readers | which.contributors
    appliance.collections.update(
        principal,
        which.id,
        readers=readers if arguments.contribute else readers - chosen,
        contributors=which.contributors - chosen,
    )
    return _told(appliance, principal, which.id, known, output)


def _delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.collection)
    appliance.collections.delete(principal, which.id, name=arguments.name, documents=arguments.documents)
    output.result({"deleted": which.id}, f"{which.name} was deleted.")
    return 0


def _keep(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    return set_days(appliance, principal, arguments, output, _called(appliance, principal, arguments.collection).id)


def _called(appliance: Appliance, principal: Principal, name: str) -> CollectionDetail:
    """The shared collection of that name, or any of that id, out of the list that the page shows, too.

    Raises `NotFound` (`collection.unknown`).
    """
    details = appliance.collections.list_all(principal)
    found = [item for item in details if item.id == name] or [
        item for item in details if item.owner_id is None and comparable_name(item.name) == comparable_name(name)
    ]
    if not found:
        raise NotFound(f"There is no shared collection named {name}.", code="collection.unknown")
    return found[0]


def _told(appliance: Appliance, principal: Principal, which: str, known: Grantees, output: Output) -> int:
    for item in appliance.collections.list_all(principal):
        if item.id == which:
            output.result(detail_document(item, known), detail_line(item, known))
    return 0


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("every collection: how sensitive it is, who reads and who fills it; nothing that lies in it", _list),
    "create": ("make a shared collection, open to nobody else than is named", _create),
    "rename": ("give a shared collection another name", _rename),
    "open": ("let people and groups read a shared collection, or fill it, too", _open),
    "close": ("take from people and groups what is opened to them", _close),
    "classify": ("say how sensitive a shared collection is, and so which models may answer from it", _classify),
    "keep": ("let the documents of a shared collection stay for a number of days after their upload", _keep),
    "delete": ("delete a shared collection, its grants, its golden sets and its documents", _delete),
}
