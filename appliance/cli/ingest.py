"""`cloister ingest`: files from the shell, through the same door as uploads from the browser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.acting import acting_principal
from appliance.cli.output import Output
from appliance.errors import ApplianceError, InvalidInput
from appliance.identity.models import Principal
from appliance.inference.preparation import prepare_models
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading

_PIECE_BYTES = 1024 * 1024


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or directories with all files below")
    parser.add_argument("--collection", metavar="NAME", help="where they go; without it, the person's own collection")
    parser.add_argument("--as", dest="person", metavar="USER", help="whose upload this is")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Upload and index each file; exit code 1 when any of them failed, each with its reason."""
    settings = load_settings(arguments.data)
    files = list(_files(arguments.paths))
    with closing(open_appliance(settings, upgrading=Upgrading(output.progress))) as appliance:
        prepare_models(settings.models_dir, output.progress)
        principal = acting_principal(appliance, arguments.person)
        collection_id = _collection(appliance, principal, arguments.collection, output)
        results = []
        for number, path in enumerate(files, 1):
            result = _ingest(appliance, principal, collection_id, path)
            results.append(result)
            said = result.get("reason") or ("already here" if result.get("duplicate") else "")
            output.progress(f"{number}/{len(files)} {path.name}: {result['status']} {said}".rstrip())
    failed = [result for result in results if result["status"] != "READY"]
    output.result(
        {"documents": results, "ready": len(results) - len(failed), "failed": len(failed)},
        f"{len(results) - len(failed)} of {len(results)} files can be searched now.",
    )
    return 1 if failed else 0


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        elif path.is_file():
            yield path
        else:
            raise InvalidInput(f"There is no file {path}.", code="ingest.no_file")


def _collection(appliance: Appliance, principal: Principal, name: str | None, output: Output) -> str:
    mine = [summary for summary in appliance.collections.readable(principal) if summary.may_contribute]
    if name is None:
        return next(summary.id for summary in mine if summary.owner_id == principal.id)
    matching = [summary.id for summary in mine if summary.name == name]
    if len(matching) > 1:
        raise InvalidInput(f"Several collections are named {name}.", code="collection.unclear")
    if matching:
        return matching[0]
    created = appliance.collections.create(principal, name)
    grantee = frozenset({f"principal:{principal.id}"})
    appliance.collections.update(principal, created, readers=grantee, contributors=grantee)
    output.progress(f"Made the collection {name}, readable by {principal.name} alone.")
    return created


def _ingest(appliance: Appliance, principal: Principal, collection_id: str, path: Path) -> dict[str, Any]:
    try:
        with appliance.documents.begin_upload(principal, collection_id, path.name) as upload, path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                upload.write(piece)
            document, duplicate = upload.commit()
        appliance.documents.ingest(document.id, "cli")
        document = appliance.documents.get(principal, document.id)
    except ApplianceError as error:  # one bad file must not stop the rest
        return {"name": path.name, "status": "FAILED", "reason_code": error.stable_code, "reason": error.sentence}
    return {
        "id": document.id,
        "name": document.name,
        "status": document.status.value,
        "reason_code": document.reason_code,
        "reason": document.reason,
        "pages": document.page_count,
        "chunks": document.chunk_count,
        "hidden_pages": document.hidden_pages,
        "duplicate": duplicate,
    }
