"""The list of prepared models beside their files: `manifest.json`, replaced as a whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import SetupError
from appliance.inference.models import Model
from appliance.storage.durable import settle

NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What a source file looked like when it was last verified; size and time are enough to skip hashing it again."""

    sha256: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The prepared models, and what they were prepared from and for."""

    models: tuple[Model, ...] = ()
    sources: dict[str, SourceRecord] = field(default_factory=dict)
    tokenizer_sha256: str = ""
    recipe: str = ""  # what the preparation does, and the processor it measured; a change means preparing again
    trials: tuple[dict[str, Any], ...] = ()  # every format that was measured, also those not kept


def read_manifest(models_dir: Path) -> Manifest | None:
    """The manifest, or None where nothing was prepared yet. Raises `SetupError` (`setup.model_manifest`)."""
    path = models_dir / NAME
    try:
        values = json.loads(path.read_text())
        if values["version"] != VERSION:
            return None
        return Manifest(
            models=tuple(Model(**model) for model in values["models"]),
            sources={name: SourceRecord(**record) for name, record in values["sources"].items()},
            tokenizer_sha256=values["tokenizer_sha256"],
            recipe=values["recipe"],
            trials=tuple(values["trials"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"The list of models {path} is damaged; remove it and start again to prepare the models anew.",
            code="setup.model_manifest",
        ) from error


def write_manifest(models_dir: Path, manifest: Manifest) -> None:
    """Replace the manifest; after a crash at any moment the old or the new one is there."""
    path = models_dir / NAME
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        json.dump({"version": VERSION, **asdict(manifest)}, file, indent=1)
    settle(draft, path)
