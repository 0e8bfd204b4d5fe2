"""The models inside an Ollama of this machine: list, describe, make, delete, and pull where that was declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.egress.windows import MaintenanceWindow, is_open
from appliance.errors import Denied, InvalidInput, SetupError, Unavailable
from appliance.inference.modelfile import Modelfile
from appliance.inference.ollama.client import AnyClient, LocalClient, translated
from appliance.inference.ollama.names import checked_name, is_local, same_name
from appliance.inference.store.contents import content_of, refuse_code

_WEIGHTS = re.compile(r"^FROM (/.+/sha256-[0-9a-f]{64})$", re.MULTILINE)
_PATH = re.compile(r"[./~]|[A-Za-z]:\\")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the server lists it. `digest` is that of its manifest, not of its weights."""

    name: str
    digest: str
    size_bytes: int
    quantisation: str
    parameters: str  # "596.05M"


@dataclass(frozen=True, slots=True)
class ServedDetails:
    """What the server tells of one model. `about` is the header of its weights, with names like "qwen3.block_count"; `weights` is
    the file itself, where the server says where that lies.
    """

    context_tokens: int
    template: str
    licence: str
    capabilities: tuple[str, ...]
    weights: Path | None
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of making or pulling a model; bytes are 0 where a step has none."""

    step: str
    done_bytes: int = 0
    total_bytes: int = 0


def list_models(client: AnyClient) -> list[ServedModel]:
    """By name; those that compute elsewhere are not among them."""
    with translated():
        found = [_listed(row) for row in client.tags() if is_local(str(row.get("model") or row.get("name")), row)]
    return sorted(found, key=lambda model: model.name)


def check_unchanged(client: AnyClient, name: str, digest: str) -> None:
    """Raises `SetupError` (`setup.model_digest`) if the name stands for another model now than when it was connected."""
    if not digest:
        return
    found = next((model.digest for model in list_models(client) if same_name(model.name, name)), "")
    if found and found != digest:
        raise SetupError(
            f"{name} in Ollama is not the model that was connected (digest {found[:12]}... instead of {digest[:12]}...); "
            "connect it again if that is meant.",
            code="setup.model_digest",
            found=found,
            expected=digest,
        )


def describe_model(client: AnyClient, name: str) -> ServedDetails:
    """Raises `Denied` for one that computes elsewhere, `Unavailable` (`inference.no_model`) for one that is not there."""
    shown = client.shown(name)
    about = shown.get("model_info") or {}
    weights = _WEIGHTS.search(shown.get("modelfile") or "")
    return ServedDetails(
        context_tokens=int(about.get(f"{about.get('general.architecture')}.context_length") or 0),
        template=shown.get("template") or "",
        licence=shown.get("license") or "",
        capabilities=tuple(shown.get("capabilities") or ()),
        weights=Path(weights[1]) if weights else None,
        about=about,
    )


def delete_model(client: LocalClient, name: str) -> None:
    """Raises `Unavailable` (`inference.no_model`)."""
    with translated(name):
        client.delete(checked_name(name))


def create_model(client: LocalClient, name: str, modelfile: Modelfile, folder: Path | None = None) -> Iterator[Progress]:
    """Make a model, step by step. Weights and adapters given as paths are read from `folder` and handed to the server.

    A file of that name goes before a model of the server. Raises `InvalidInput` for files that are not in `folder` or would run
    code where they are loaded, `Denied` where the source computes elsewhere.
    """
    checked_name(name)
    given: dict[str, Any] = {}
    if _PATH.match(modelfile.source) or (folder is not None and (folder / modelfile.source).is_file()):
        yield Progress("reading the weights")
        given["files"] = _handed_over(client, (modelfile.source,), folder)
    else:
        client.shown(modelfile.source)
        given["from_"] = modelfile.source
    if modelfile.adapters:
        yield Progress("reading the adapters")
        given["adapters"] = _handed_over(client, modelfile.adapters, folder)
    parameters: dict[str, Any] = {known: value for known, value in modelfile.parameters if known != "stop"}
    if modelfile.stops:
        parameters["stop"] = list(modelfile.stops)
    with translated(name):
        steps = client.create(
            name,
            **given,
            template=modelfile.template or None,
            system=modelfile.system or None,
            license=list(modelfile.licences) or None,
            parameters=parameters or None,
            messages=[{"role": message.role, "content": message.text} for message in modelfile.messages] or None,
            stream=True,
        )
        yield from _progress(steps)
    client.shown(name)


def pull_model(client: LocalClient, name: str, windows: Sequence[MaintenanceWindow]) -> Iterator[Progress]:
    """Let the server fetch a model from outside. Raises `Denied` (`inference.no_maintenance`) unless a window is open now."""
    checked_name(name)
    if not is_open(windows):
        raise Denied(
            "Models are fetched from outside only in a maintenance window, and none is open.", code="inference.no_maintenance"
        )
    with translated(name):
        yield from _progress(client.pull(name, stream=True))
    client.shown(name)


def _listed(row: dict[str, Any]) -> ServedModel:
    details = row.get("details") or {}
    return ServedModel(
        name=str(row.get("model") or row["name"]),
        digest=str(row["digest"]).removeprefix("sha256:"),
        size_bytes=int(row["size"]),
        quantisation=str(details.get("quantization_level") or ""),
        parameters=str(details.get("parameter_size") or ""),
    )


def _handed_over(client: LocalClient, paths: Sequence[str], folder: Path | None) -> dict[str, str]:
    """File names and digests of what the server was given. A path that leads out of `folder` is refused."""
    found = {}
    for path in paths:
        file = None if folder is None else (folder / path).resolve()
        if folder is None or file is None or not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise InvalidInput(f"The Modelfile names {path}, which is not in its folder.", code="modelfile.no_file")
        refuse_code(file, content_of(file))
        with translated():
            found[file.name] = client.create_blob(file)
    return found


def _progress(steps: Iterator[Any]) -> Iterator[Progress]:
    """Raises `Unavailable` (`inference.died`) where the server stops before it says that it is done."""
    last = ""
    for step in steps:
        last = step.status or ""
        yield Progress(last, int(step.completed or 0), int(step.total or 0))
    if last != "success":
        raise Unavailable("Ollama stopped before the model was complete.", code="inference.died")
