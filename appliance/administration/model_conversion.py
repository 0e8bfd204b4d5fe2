"""A stored GGUF version as a folder for ONNX Runtime GenAI and Foundry Local: the same weights, bit for bit, in another form."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from appliance.administration.model_importing import ModelImporting
from appliance.errors import InvalidInput
from appliance.identity.models import Principal
from appliance.inference.store import ModelStore, records
from appliance.inference.store.catalogue import Catalogue
from appliance.inference.store.content import ContentStore
from appliance.inference.store.importing import Order, Prepared, prepare
from appliance.inference.store.incoming import choose, facts_of, free_room, look
from appliance.inference.store.memory import box_mb
from appliance.inference.store.modelfiles import check_usable, modelfile_of
from appliance.inference.store.versions import ModelVersion
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database

_DISK = 2.2
"""The folder is written and copied once more on its way into the store; its graph is as large as the weights."""


class ModelConversion:
    """Makes new versions of the same name, as candidates."""

    def __init__(self, database: Database, access: Access, store: ModelStore, importing: ModelImporting) -> None:
        self._database = database
        self._access = access
        self._store = store
        self._importing = importing

    def convert(self, principal: Principal, version_id: str, progress: Callable[[str], None]) -> ModelVersion:
        """What its Modelfile says goes with it.

        Raises `InvalidInput` (`model.not_convertible`) for what has no such form, `modelfile.*` where the Modelfile has no effect
        there, `Conflict` (`model.already`) where it was made before.
        """
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._database.read() as connection:
            version = records.load_version(connection, version_id)
        if version.kind != "language" or version.format != "gguf" or version.encrypted or version.adapters:
            raise InvalidInput(
                "Only GGUF files of language models are converted: none that are encrypted, none with adapters.",
                code="model.not_convertible",
            )
        from appliance.inference.onnx_folder.convert import write_folder

        content = self._store.content
        with closing(content.open(version)) as opened, content.draft() as scratch:
            free_room(scratch, int(_DISK * version.size_bytes))
            progress(f"Writing {version.id} as a folder")
            folder = scratch / version.name
            write_folder(opened.path, folder)
            with content.draft() as directory:
                made = folder_version(version, folder, content, directory, self._importing.catalogue)
                return self._importing.record(principal, made)


def folder_version(version: ModelVersion, folder: Path, content: ContentStore, directory: Path, catalogue: Catalogue) -> Prepared:
    """The `folder` that was written of `version`, as a candidate with its Modelfile; copied to `directory` and checked there.

    Raises as `prepare` does, and `modelfile.*` where the Modelfile has no effect with it.
    """
    order = Order(name=version.name, licence=version.licence)
    found = choose(look(folder), None)
    prepared = prepare(found, order, content, directory, signers=(), catalogue=catalogue, memory_mb=box_mb())
    if modelfile := modelfile_of(version.prompt):
        check_usable(modelfile, facts_of(folder))
    made = replace(
        prepared.version,
        source=version.source,
        made_from=version.id,
        prompt=version.prompt,
        context_tokens=version.context_tokens,
    )
    return Prepared(made, prepared.store)
