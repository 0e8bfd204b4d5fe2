"""Turn the models as they were published into the files that are fastest on this machine.

The language model is converted to each candidate format and measured here; the fastest that answers a few questions as well as
what was published stays. The embedding model becomes an ONNX graph with 8-bit weights. Everything is made in a scratch directory
and moved into place at the end, the manifest last.
"""

from __future__ import annotations

import argparse
import fcntl
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, SetupError
from appliance.inference.hardware.processor import Processor, processor
from appliance.inference.models import Model
from appliance.inference.preparation_steps import run_step
from appliance.inference.quality import SHORT
from appliance.inference.quantisations import Source, plan
from appliance.inference.sources import (
    EMBEDDING_TOKENIZER,
    EMBEDDING_WEIGHTS,
    LANGUAGE_MODEL,
    SOURCES,
    SourceFile,
    locate,
    verify,
)
from appliance.inference.store.content import ContentStore
from appliance.inference.store.incoming import facts_of
from appliance.inference.store.manifest import Manifest, SourceRecord, read_manifest, write_manifest
from appliance.inference.store.memory import needed_mb
from appliance.inference.store.store import TOKENIZER
from appliance.inference.variants import Contest, Trial, left_out, rows
from appliance.storage.digests import digest_of

Progress = Callable[[str], None]

_RECIPE = "4"
_LICENCE = "Apache-2.0"
_EMBEDDER_FILE = "all-MiniLM-L6-v2-int8.onnx"
_EMBEDDER_CONTEXT = 256
_MIN_COSINE = 0.98
_NO_LIMIT = sys.maxsize  # of memory: it is the smallest model there is, and the box has no other yet


def prepare_models(models_dir: Path, progress: Progress) -> None:
    """Make sure that the default models stand prepared in `models_dir`; costs nothing when they do.

    Raises `SetupError` with one sentence: package missing, wrong digest, disk full, native crash.
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(models_dir):
            _prepare(models_dir, progress)
    except OSError as error:
        raise SetupError(
            f"The models cannot be prepared in {models_dir}: {error.strerror or error}.", code="setup.models_dir"
        ) from error


def _prepare(models_dir: Path, progress: Progress) -> None:
    manifest = read_manifest(models_dir)
    recipe = "; ".join((_RECIPE, _processor().name, f"llama.cpp {metadata.version('llama-cpp-python')}"))
    before = manifest.sources if manifest else {}
    sources = {source.path: _record(source, before.get(source.path), progress) for source in SOURCES}
    if manifest and manifest.recipe == recipe and _complete(models_dir, manifest):
        if manifest.sources != sources:
            write_manifest(models_dir, Manifest(manifest.models, sources, manifest.tokenizer_sha256, recipe, manifest.trials))
        return
    for leftover in models_dir.glob("preparing-*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(prefix="preparing-", dir=models_dir))
    try:
        embedding = _prepare_embedder(scratch, progress)
        language, trials = _prepare_language_model(scratch, progress)
        shutil.copyfile(locate(EMBEDDING_TOKENIZER), scratch / TOKENIZER)
        content = ContentStore(models_dir)
        made = [(scratch / model.file, model.sha256) for model in (embedding, language)]
        for path, sha256 in (*made, (scratch / TOKENIZER, EMBEDDING_TOKENIZER.sha256)):
            content.settle_file(path, sha256)
        models = tuple(replace(model, file=_placed(content, model)) for model in (language, embedding))
        write_manifest(models_dir, Manifest(models, sources, EMBEDDING_TOKENIZER.sha256, recipe, trials))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _record(source: SourceFile, known: SourceRecord | None, progress: Progress) -> SourceRecord:
    path = locate(source)
    state = path.stat()
    record = SourceRecord(source.sha256, state.st_size, state.st_mtime_ns)
    if record != known:
        progress(f"Checking {source.label}")
        verify(path, source.sha256)
    return record


def _complete(models_dir: Path, manifest: Manifest) -> bool:
    """All files are there in their recorded size; their content is checked whenever they are loaded."""
    files = [models_dir / model.file for model in manifest.models]
    sizes = [model.size_bytes for model in manifest.models]
    present = all(file.is_file() and file.stat().st_size == size for file, size in zip(files, sizes, strict=True))
    return present and ContentStore(models_dir).file_path(manifest.tokenizer_sha256).is_file()


def _placed(content: ContentStore, model: Model) -> str:
    return content.file_path(model.sha256).relative_to(content.directory).as_posix()


def _prepare_embedder(scratch: Path, progress: Progress) -> Model:
    progress("Building the embedding model with 8-bit weights")
    target = scratch / _EMBEDDER_FILE
    levels = 127 if _adds_exactly(_processor()) else 64
    measured = run_step("build_embedder", locate(EMBEDDING_WEIGHTS), locate(EMBEDDING_TOKENIZER), target, levels)
    if measured["cosine_to_float32"] < _MIN_COSINE:
        raise SetupError(
            f"The embedding model computes wrong results on this processor (cosine {measured['cosine_to_float32']}).",
            code="setup.model_accuracy",
        )
    return _model(
        target,
        id_="all-minilm-l6-v2",
        kind="embedding",
        format_="ONNX int8",
        context=_EMBEDDER_CONTEXT,
        measured=measured,
        source=EMBEDDING_WEIGHTS,
    )


def _prepare_language_model(scratch: Path, progress: Progress) -> tuple[Model, tuple[dict[str, Any], ...]]:
    published = locate(LANGUAGE_MODEL)
    facts = facts_of(published)
    source = Source(facts.quantisation, published.stat().st_size, facts.parameters_m)
    wanted = plan(source, lambda size: needed_mb(facts, size), _NO_LIMIT, first_start=True)
    trials = [Trial(source.quantisation, path=published)]
    for item in wanted.make:
        target = scratch / f"{item.name}.gguf"
        trials.append(Trial(item.name, path=target, make=partial(run_step, "requantise", published, target, item.number)))
    trials += [left_out(name, reason) for name, reason in wanted.left_out.items()]
    contest = Contest(trials, _NO_LIMIT, run_step, progress, SHORT)
    contest.time()
    best = contest.winner()
    if best is None:
        raise SetupError(f"The default language model does not answer here. {trials[0].reason}", code="setup.step_crashed")
    progress(f"Using {best.format}, the fastest on this machine that answers as well as what was published")
    target = scratch / f"SmolLM2-135M-Instruct.{best.format}.gguf"
    if best.path == published:
        shutil.copyfile(published, target)
    else:
        best.path.rename(target)
    model = _model(
        target,
        id_="smollm2-135m-instruct",
        kind="language",
        format_=f"GGUF {best.format}",
        context=facts.context_tokens,
        measured=best.measured,
        source=LANGUAGE_MODEL,
    )
    return model, rows(trials)


def _model(
    path: Path, *, id_: str, kind: Any, format_: str, context: int, measured: dict[str, float], source: SourceFile
) -> Model:
    return Model(
        id=id_,
        kind=kind,
        file=path.name,
        sha256=digest_of(path),
        size_bytes=path.stat().st_size,
        format=format_,
        context_tokens=context,
        licence=_LICENCE,
        active=True,
        measured=measured,
        source=source.label,
    )


def _processor() -> Processor:
    try:
        return processor(Path("/"))
    except OSError:  # no Linux
        return Processor(platform.machine(), platform.machine(), ())


def _adds_exactly(found: Processor) -> bool:
    """Whether products of 8-bit numbers are added without overflow; on x86 that came with VNNI."""
    return found.architecture not in {"x86_64", "AMD64"} or any("vnni" in feature for feature in found.features)


@contextmanager
def _alone(models_dir: Path) -> Iterator[None]:
    """One preparation per directory at a time; a second one waits and then finds the work done."""
    with (models_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Prepare the models from the command line, for set-up scripts and tests."""
    parser = argparse.ArgumentParser(description="Prepare the default models for this machine.")
    parser.add_argument("--models", type=Path, required=True, metavar="DIR")
    try:
        prepare_models(parser.parse_args().models, _print)
    except ApplianceError as error:
        sys.stderr.write(error.sentence + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
