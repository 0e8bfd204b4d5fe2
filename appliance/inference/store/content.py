"""The files below `models/`, each under the SHA-256 of what it holds; encrypted ones in a blob store of their own."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from appliance.errors import SetupError, Unavailable
from appliance.inference.store.sealed_folder import SealedFolder
from appliance.inference.store.sealed_memory import SealedMemory
from appliance.inference.store.versions import ModelVersion, StoredFile
from appliance.storage.blobs import BlobStore
from appliance.storage.digests import Watch, digest_of
from appliance.storage.durable import settle, sync
from appliance.storage.scratch import held, leftovers, scratch, sweep_scratch

_PIECE_BYTES = 4 * 1024 * 1024
_FOLDERS = "folders"
_DRAFTS = "incoming-"
_SETTLED = ".settled"
_SEALED = "sealed"

BESIDE_FOLDERS = ".foundry-"
"""How directories begin that a runtime keeps beside the folders of models while it runs."""


def folder_digest(files: Sequence[StoredFile]) -> str:
    """SHA-256 of the list of files, so that a folder has one name as a file has."""
    listed = [[file.path, file.sha256, file.size_bytes] for file in sorted(files, key=lambda file: file.path)]
    return hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest()


class OpenedContent:
    """Verified weights: a path, and the memory behind it where they were decrypted. Close it when the runtime is closed."""

    def __init__(
        self, path: Path, memory: SealedMemory | SealedFolder | None = None, adapters: tuple[tuple[Path, float], ...] = ()
    ) -> None:
        self.path = path
        self.adapters = adapters
        """LoRA files that belong to it, verified too, and how strongly each applies."""
        self._memory = memory

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ContentStore:
    """Takes files in, hands them out verified, and removes them."""

    def __init__(self, directory: Path, sealed: BlobStore | None = None, *, used: Callable[[str], bool] = lambda _: True) -> None:
        """`sealed` keeps what is to be encrypted at rest; without it nothing can be. `used` says whether a digest is recorded."""
        self.directory = directory
        self._sealed = sealed
        self._used = used

    def file_path(self, sha256: str) -> Path:
        return self.directory / "files" / sha256[:2] / sha256

    def sealed_path(self, sha256: str) -> Path:
        """Where the encrypted content with this digest lies. Raises `Unavailable` where no key is at hand."""
        if self._sealed is None:
            raise Unavailable("Models cannot be encrypted here: the box's keys are not open.", code="model.no_keys")
        return self._sealed.path(self._sealed.content_name(sha256))

    def settle_file(self, draft: Path, sha256: str) -> Path:
        """Move a finished file that lies on the same disk to its place."""
        target = self.file_path(sha256)
        for directory in (target.parent.parent, target.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.chmod(0o600)
        self._announce(draft, target)
        settle(draft, target)
        sync(target.parent.parent)
        return target

    def settle_folder(self, draft: Path, files: Sequence[StoredFile]) -> Path:
        """Move a finished folder that lies on the same disk to its place; one that is there already stays."""
        target = self.directory / _FOLDERS / folder_digest(files)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in files:
            sync(draft / file.path)
        if target.is_dir():
            shutil.rmtree(draft)
        else:
            self._announce(draft, target)
            settle(draft, target)
        return target

    def _announce(self, draft: Path, target: Path) -> None:
        """Note in the draft's directory what leaves it: whoever finds that directory abandoned looks whether it was recorded."""
        directory = draft.parent
        if not target.exists():
            self._note(directory, target.relative_to(self.directory).as_posix())

    def _note(self, directory: Path, line: str) -> None:
        if directory.parent == self.directory and directory.name.startswith(_DRAFTS):
            with (directory / _SETTLED).open("a") as note:
                note.write(f"{line}\n")
            sync(directory / _SETTLED)

    def encrypt(self, draft: Path, sha256: str, files: Sequence[StoredFile] = ()) -> None:
        """Store a file, or the `files` of a folder, encrypted.

        Raises `Unavailable` where no key is at hand or the disk is full.
        """
        for path, digest in [(draft / file.path, file.sha256) for file in files] or [(draft, sha256)]:
            if self._sealed is None:
                raise Unavailable("Models cannot be encrypted here: the box's keys are not open.", code="model.no_keys")
            if not self._sealed.holds(self._sealed.content_name(digest)):
                self._note(draft.parent, f"{_SEALED}/{digest}")
            self._sealed.put(_pieces(path), limit_bytes=path.stat().st_size + 1)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A directory on the same disk for files on their way in; it goes with whatever is left in it."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with scratch(self.directory, _DRAFTS) as directory:
                yield directory
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise Unavailable("The disk of the box is full; the model was not stored.", code="disk.full") from error
            raise

    def remove_abandoned(self) -> None:
        """Delete drafts whose makers were killed, and what of them was in its place already but never recorded."""
        for directory in leftovers(self.directory, _DRAFTS):
            try:
                with held(directory):
                    self._remove_unrecorded(directory / _SETTLED)
                    shutil.rmtree(directory, ignore_errors=True)
            except (BlockingIOError, NotADirectoryError, FileNotFoundError):  # somebody's, or nothing of ours
                continue

    def _remove_unrecorded(self, note: Path) -> None:
        for line in note.read_text().splitlines() if note.is_file() else ():
            sha256 = line.rpartition("/")[2]
            if line == f"{_FOLDERS}/{sha256}" and not self._used(sha256):
                shutil.rmtree(self.directory / line, ignore_errors=True)
            elif self.directory / line == self.file_path(sha256) and not self._used(sha256):
                self.file_path(sha256).unlink(missing_ok=True)
            elif line == f"{_SEALED}/{sha256}" and self._sealed is not None and not self._used(sha256):
                self._sealed.remove(self._sealed.content_name(sha256))

    def remove_leftovers(self) -> None:
        """Delete what runtimes kept beside the folders whose processes were killed."""
        sweep_scratch(self.directory / _FOLDERS, BESIDE_FOLDERS)

    def holds(self, version: ModelVersion) -> bool:
        """Whether the content of `version` is there at all, unread."""
        if version.format == "served":
            return True
        if version.encrypted:
            return self._sealed is not None and all(map(self._sealed.holds, map(self._sealed.content_name, version.sealed)))
        path = self.directory / version.file
        if not version.files:
            adapters = all(_has_size(self.file_path(item.sha256), item.size_bytes) for item in version.adapters)
            return adapters and _has_size(path, version.size_bytes)
        return all(_has_size(path / file.path, file.size_bytes) for file in version.files)

    def open(self, version: ModelVersion, watch: Watch | None = None) -> OpenedContent:
        """The verified content, read in full once.

        Raises `SetupError`: `setup.model_missing`, `setup.model_digest`; `Unavailable` for damaged or too much encrypted content.
        """
        if version.encrypted:
            return self._decrypted(version, watch)
        path = self.directory / version.file
        if not version.files:
            self._check(path, version.sha256, version, watch)
        else:
            for file in version.files:
                self._check(path / file.path, file.sha256, version, watch)
            strays = {stray.name for stray in path.iterdir()} - {file.path for file in version.files}
            if strays:
                raise SetupError(
                    f"The folder of the model {version.id} holds {min(strays)}, which was not imported; it is not used.",
                    code="setup.model_digest",
                )
        for adapter in version.adapters:
            self._check(self.file_path(adapter.sha256), adapter.sha256, version, watch)
        return OpenedContent(path, adapters=tuple((self.file_path(item.sha256), item.scale) for item in version.adapters))

    def remove(self, version: ModelVersion) -> None:
        """Delete the content; nothing happens where it is already gone."""
        if version.encrypted and self._sealed is not None:
            for sha256 in version.sealed:
                if not version.files or not self._used(sha256):  # models may have a tokenizer in common
                    self._sealed.remove(self._sealed.content_name(sha256))
        elif version.files:
            shutil.rmtree(self.directory / version.file, ignore_errors=True)
        elif version.format != "served":
            (self.directory / version.file).unlink(missing_ok=True)

    def remove_files(self, digests: Iterable[str]) -> None:
        """Delete single files; nothing happens where one is already gone."""
        for sha256 in digests:
            self.file_path(sha256).unlink(missing_ok=True)

    def _decrypted(self, version: ModelVersion, watch: Watch | None) -> OpenedContent:
        if not self.holds(version) or self._sealed is None:
            raise SetupError(f"The file of the model {version.id} is missing.", code="setup.model_missing")
        if not version.files:
            memory = _memory_of(self._sealed, version, version.sha256, version.size_bytes, watch)
            return OpenedContent(memory.path, memory)
        sealed = self._sealed
        folder = SealedFolder(
            (file.path, _memory_of(sealed, version, file.sha256, file.size_bytes, watch)) for file in version.files
        )
        return OpenedContent(folder.path, folder)

    def _check(self, path: Path, sha256: str, version: ModelVersion, watch: Watch | None) -> None:
        if not path.is_file():
            raise SetupError(f"The model file {path} is missing.", code="setup.model_missing")
        found = digest_of(path, watch)
        if found != sha256:
            raise _exchanged(version.id, found, sha256)


def _memory_of(sealed: BlobStore, version: ModelVersion, sha256: str, size_bytes: int, watch: Watch | None) -> SealedMemory:
    digest, done = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal done
        for piece in sealed.read(sealed.content_name(sha256)):
            digest.update(piece)
            done += len(piece)
            if watch is not None:
                watch(done, size_bytes)
            yield piece

    memory = SealedMemory(counted())
    if digest.hexdigest() != sha256:
        memory.close()
        raise _exchanged(version.id, digest.hexdigest(), sha256)
    return memory


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _exchanged(version_id: str, found: str, expected: str) -> SetupError:
    return SetupError(
        f"The file of the model {version_id} is not the one that was imported (SHA-256 {found[:12]}... instead of "
        f"{expected[:12]}...); it is damaged or was exchanged, and is not used.",
        code="setup.model_digest",
        found=found,
        expected=expected,
    )
