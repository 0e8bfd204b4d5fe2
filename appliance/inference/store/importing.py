"""From a source to stored content and the description of a version; nothing is recorded here."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.errors import InvalidInput, SetupError
from appliance.inference.preparation_steps import run_step
from appliance.inference.store.catalogue import Catalogue
from appliance.inference.store.content import ContentStore, folder_digest
from appliance.inference.store.embedding_form import recorded, require_dimensions, with_prefixes
from appliance.inference.store.incoming import Incoming, facts_of, free_room
from appliance.inference.store.memory import needed_mb, require_room
from appliance.inference.store.modelfiles import adapters_of, check_usable, prompt_of, read_modelfile, with_context
from appliance.inference.store.records import Signer
from appliance.inference.store.sealed_folder import MOST_BYTES
from appliance.inference.store.signatures import check_signature
from appliance.inference.store.versions import Facts, ModelVersion, StoredFile, VersionState, size_class
from appliance.storage.digests import Watch, digest_of

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_MOST_LIKE = 0.9999  # cosine of those two of the probes that are least alike
_SHA256 = re.compile(r"[0-9a-f]{64}")
_QUANTISATION_AT_END = re.compile(r"[._-](?:i?q\d\w*|f16|bf16|f32|fp16|int[48]|mxfp4|tq\d\w*)$", re.IGNORECASE)
_SPDX = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause"}


@dataclass(frozen=True, slots=True)
class Order:
    """What an administrator says about an import; what is empty is taken from the model itself."""

    name: str = ""
    sha256: str = ""
    signature: Path | None = None
    encrypt: bool = False
    licence: str = ""
    modelfile: Path | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Checked content in a draft directory: `store` moves it to its place, which cannot fail for reasons of its content."""

    version: ModelVersion
    store: Callable[[], None]


def prepare(
    incoming: Incoming,
    order: Order,
    content: ContentStore,
    directory: Path,
    *,
    signers: Sequence[Signer],
    catalogue: Catalogue,
    memory_mb: int,
    watch: Watch | None = None,
) -> Prepared:
    """Copy what comes in to `directory`, and look at the copy: the source may change under our eyes.

    Raises `InvalidInput` (`model.*`, one code per reason) and `Unavailable` (`disk.full`).
    """
    require_room(incoming.label, incoming.size_bytes // 1_000_000, memory_mb)
    free_room(directory, incoming.size_bytes)
    path = incoming.fetch(directory, watch)
    facts = facts_of(path)
    files = _described(path, watch) if path.is_dir() else ()
    size = sum(file.size_bytes for file in files) if files else path.stat().st_size
    if order.encrypt and files and size > MOST_BYTES:
        raise InvalidInput(
            f"A folder of {size / 1e9:.1f} GB cannot be encrypted at rest; up to {MOST_BYTES / 1e9:.0f} GB, and GGUF files, can.",
            code="model.encryption_unsupported",
        )
    sha256 = folder_digest(files) if files else digest_of(path, watch)
    _expect(order.sha256, sha256)
    measured = _tried(path, facts)
    modelfile, adapters = None, list[StoredFile]()
    if order.modelfile is not None:
        modelfile = read_modelfile(order.modelfile)
        check_usable(modelfile, facts)
        facts = with_context(facts, modelfile)
        adapters = adapters_of(modelfile, order.modelfile.parent, facts, directory, encrypt=order.encrypt)
    signer = check_signature(order.signature, sha256, signers) if order.signature else None
    need = needed_mb(facts, size)
    name = model_name(order.name or incoming.suggested_name or facts.title)
    require_room(name, need, memory_mb)
    entry = catalogue.entry(name)
    form = facts.form
    if entry is not None and entry.kind == facts.kind == "embedding":
        facts = replace(facts, context_tokens=min(facts.context_tokens, entry.context_tokens))
        form = with_prefixes(form, entry.question_prefix, entry.passage_prefix)
    if form is not None:
        form = replace(form, dimensions=int(measured["dimensions"]))
    version = ModelVersion(
        id="",
        kind=facts.kind,
        name=name,
        number=0,
        format=facts.format,
        quantisation=facts.quantisation[:24],
        architecture=facts.architecture,
        parameters_m=facts.parameters_m,
        size_class=size_class(facts.parameters_m),
        context_tokens=facts.context_tokens,
        memory_mb=need,
        licence=_licence(
            order.licence
            or facts.licence
            or _licence_file(path)
            or (modelfile.licence if modelfile else "")
            or (entry.licence if entry else "")
        ),
        sha256=sha256,
        size_bytes=size,
        source=incoming.origin[:500],
        state=VersionState.CANDIDATE,
        files=files,
        encrypted=order.encrypt,
        prompt=prompt_of(modelfile, adapters) if modelfile else recorded(form) if form else {},
        signer=signer.fingerprint if signer else None,
        measured=measured,
    )

    def store() -> None:
        for adapter in adapters:
            content.settle_file(directory / adapter.path, adapter.sha256)
        _store(content, path, version)

    return Prepared(version, store)


def check_order(order: Order) -> None:
    """Raise `InvalidInput` for what is wrong whatever the model: before gigabytes are copied."""
    if order.sha256 and not _SHA256.fullmatch(order.sha256.lower()):
        raise InvalidInput("A SHA-256 has 64 hexadecimal digits.", code="model.digest_malformed")
    if order.name:
        model_name(order.name)
    if order.modelfile is not None:
        read_modelfile(order.modelfile)


def model_name(name: str) -> str:
    """As names of models are written: lower case, without the quantisation at its end. Raises `InvalidInput` (`model.name`)."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", _QUANTISATION_AT_END.sub("", name.strip()).lower()).strip("-._")
    if not _NAME.fullmatch(cleaned):
        raise InvalidInput(
            "A model needs a name of letters, digits, dots and hyphens, at most 100; give one with --name.", code="model.name"
        )
    return cleaned


def _tried(path: Path, facts: Facts) -> Mapping[str, float]:
    """What an embedding model shows when it is run here once, in a process of its own. Raises `InvalidInput`, `SetupError`.

    A language model in a GGUF file shows nothing but that it does not crash the library.
    """
    if facts.kind == "language":
        if facts.format == "gguf":
            _refuse_crashing(path)
        return {}
    with _crashes_refused():
        pooling = facts.form.pooling if facts.form else ""
        measured = run_step("try_embedder", path, facts.context_tokens, pooling)
    if abs(measured["length"] - 1) > 0.01 or measured["likeness"] > _MOST_LIKE:
        raise InvalidInput(
            "What this model gives are no vectors of length 1 that tell texts apart: nothing is found by it.",
            code="model.no_vectors",
        )
    require_dimensions(int(measured["dimensions"]))
    return {name: measured[name] for name in ("dimensions", "tokens_per_s")}


def _refuse_crashing(path: Path) -> None:
    """Raise `InvalidInput` (`model.crashes`); what could not be tried for other reasons is let through."""
    with suppress(SetupError), _crashes_refused():
        run_step("try_gguf", path)


@contextmanager
def _crashes_refused() -> Iterator[None]:
    """Raise `InvalidInput` (`model.crashes`) where a signal ended the process that loaded it, other than for want of memory."""
    try:
        yield
    except SetupError as error:
        status = int(error.data.get("status", 0))
        if status < 0 and status != -signal.SIGKILL:
            raise InvalidInput(
                "This file crashes the library that would run it on this box; it was not imported.", code="model.crashes"
            ) from error
        raise


def _store(content: ContentStore, path: Path, version: ModelVersion) -> None:
    if version.encrypted:
        content.encrypt(path, version.sha256, version.files)
    elif version.files:
        content.settle_folder(path, version.files)
    else:
        content.settle_file(path, version.sha256)


def _described(folder: Path, watch: Watch | None) -> tuple[StoredFile, ...]:
    files = sorted(folder.iterdir())
    return tuple(StoredFile(file.name, digest_of(file, watch), file.stat().st_size) for file in files)


def _expect(wanted: str, found: str) -> None:
    if wanted and wanted.lower() != found:
        raise InvalidInput(
            f"The model is not the one you expected: its SHA-256 is {found[:12]}... and not {wanted[:12].lower()}...; "
            "it was not imported.",
            code="model.digest",
            found=found,
            expected=wanted.lower(),
        )


def _licence(text: str) -> str:
    """Identifiers in the spelling of the SPDX list, everything else as it was found."""
    return _SPDX.get(text.lower(), text)[:200] or "unknown"


def _licence_file(path: Path) -> str:
    """The first line with words of a licence beside the weights of a folder."""
    if not path.is_dir():
        return ""
    for name in ("LICENSE", "LICENSE.txt", "LICENCE", "LICENCE.txt", "LICENSE.md"):
        if (path / name).is_file():
            lines = (path / name).read_text("utf-8", errors="replace").splitlines()
            return next((line.strip() for line in lines if line.strip()), "")
    return ""
