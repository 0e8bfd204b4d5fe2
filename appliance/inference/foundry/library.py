"""The SDK's one manager of this process, and models in its local catalogue. Nothing is fetched: no catalogue, provider or model.

The SDK has two opt-outs, and both are set. Its core would still send one description of the process when it starts (seen with
2.2.1), but not where it takes itself to be under test, and so it is told that; the seal does not rely on it. It also keeps a
number of its own for the device below the home directory.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from appliance.errors import SetupError, Unavailable
from appliance.inference.devices import drives
from appliance.inference.folder_tokenizer import DESCRIPTION, SEPARATE_TEMPLATE
from appliance.inference.foundry import PROVIDERS
from appliance.inference.genai.native import CONFIG, folder_settings
from appliance.inference.store.content import BESIDE_FOLDERS
from appliance.inference.telemetry import silence_foundry
from appliance.storage.scratch import scratch, sweep_scratch

_NOWHERE = "http://127.0.0.1:9/asset-gallery/v1.0/models"
"""Where the public catalogue is said to be: the discard port, on which nothing listens."""

_lock = threading.Lock()
_manager: Any = None
_place: ExitStack | None = None  # goes at the end of the program at the latest
_models = 0


class CatalogueModel:
    """A folder in the local catalogue, loaded. Raises `SetupError` for an unusable one, `Unavailable` where loading fails."""

    def __init__(
        self,
        folder: Path,
        *,
        description: Mapping[str, Any],
        context_tokens: int,
        threads: int,
        device: str,
        library: str = "cpu",
    ) -> None:
        """`description` is what is said of the tokenizer, the chat template included."""
        settings = folder_settings(folder)
        if library not in PROVIDERS or not drives(library, device) or device.partition(":")[2] not in {"", "0"}:
            raise SetupError(f"Foundry Local drives no {device} through {library}.", code="inference.device")
        self._manager = _enter(folder.parent)
        self.closed = threading.Event()
        self._in_use = threading.Lock()
        self._id, self._model = f"cloister-{secrets.token_hex(8)}:1", None
        try:
            with failures("inference.load_failed", f"The model folder {folder.name} cannot be loaded"):
                self._catalogue = self._manager.get_catalog(_sdk().CatalogType.LOCAL)
                with _bounded(folder, settings, description, context_tokens, threads) as bounded:
                    self._model = self._registered(bounded, PROVIDERS[library])
                    self._model.load()
                provider = self._model.info.runtime.execution_provider
        except BaseException:
            self.close()
            raise
        self.device = _used(provider, device)

    def _registered(self, folder: Path, provider: str) -> Any:
        with _sdk().ModelInfoBuilder() as described:
            described.set_string_property("task", "chat-completion").set_string_property("execution_provider", provider)
            return self._catalogue.register_model(folder, self._id, described)

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A conversation that knows nothing yet; one at a time. Raises `Unavailable` (`inference.closed`)."""
        with self._in_use:
            if self.closed.is_set():
                raise Unavailable("The language model has been unloaded.", code="inference.closed")
            with _sdk().ChatSession(self._model) as session:
                session.set_streaming(True)
                yield session

    def close(self) -> None:
        """Unload once the session that is open has ended, which whoever opened it sees to; doing it twice does nothing."""
        if self.closed.is_set():
            return
        self.closed.set()
        with self._in_use:  # the SDK unloads nothing that is in use
            try:
                if self._model is not None:
                    with failures("inference.failed", "The model could not be unloaded"):
                        self._model.unload()
                        self._catalogue.unregister_model(self._id)
            finally:
                self._model = None
                _leave()


def _used(provider: str, wanted: str) -> str:
    """The device that the SDK says it computes on; empty where it says what is not known here.

    It says the provider that it was asked for, but refuses to load through one that it does not have (both seen with 2.2.1).
    """
    library = next((name for name, known in PROVIDERS.items() if known == provider), "")
    if drives(library, wanted):
        return wanted
    return "cpu" if library == "cpu" else ""


@contextmanager
def failures(code: str, sentence: str) -> Iterator[None]:
    """What the SDK raises, as `Unavailable`, without the place in its source that it begins with."""
    try:
        yield
    except (_sdk().FoundryLocalException, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise Unavailable(f"{sentence}: {reason[-300:]}", code=code) from error


def _sdk() -> Any:
    import foundry_local_sdk

    return foundry_local_sdk


def _enter(beside: Path) -> Any:
    """The manager, made for the first model; the SDK allows one. Its notes lie `beside`, where the seal lets it write."""
    global _manager, _models, _place  # noqa: PLW0603 - it is one per process, as the SDK's own is
    silence_foundry()
    sdk = _sdk()
    with _lock:
        if _manager is None:
            sweep_scratch(beside, BESIDE_FOLDERS)
            _place = ExitStack()
            atexit.register(_place.close)
            place = _place.enter_context(scratch(beside, BESIDE_FOLDERS))
            configuration = sdk.Configuration(
                "cloister",
                app_data_dir=str(place / "data"),
                model_cache_dir=str(place / "models"),
                logs_dir=str(place / "logs"),
                log_level=sdk.LogLevel.FATAL,
                catalog_urls=[(_NOWHERE, None)],
                disable_nonessential_telemetry=True,
            )
            with failures("inference.load_failed", "Foundry Local cannot be started"):
                _manager = sdk.FoundryLocalManager(configuration)
        _models += 1
        return _manager


def _leave() -> None:
    """Close the manager with the last model."""
    global _manager, _models, _place  # noqa: PLW0603
    with _lock:
        _models -= 1
        if _models:
            return
        manager, place, _manager, _place = _manager, _place, None, None
        try:
            manager.close()
        finally:
            if place is not None:
                place.close()


@contextmanager
def _bounded(
    folder: Path, settings: dict[str, Any], description: Mapping[str, Any], context_tokens: int, threads: int
) -> Iterator[Path]:
    """The folder as hard links, with settings that keep to this box's threads and context: the SDK cannot be told either.

    Nor can it be told which template to use, or how.

    It is read while the model is loaded, and not again.
    """
    model = settings["model"]
    decoder = model["decoder"]
    session = dict(decoder.get("session_options") or {})
    # without spinning: threads that wait for each other would hold cores that other work of the box needs
    session |= {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}
    bounded = settings | {
        "model": model | {"context_length": context_tokens, "decoder": decoder | {"session_options": session}},
        "search": dict(settings.get("search") or {}) | {"max_length": context_tokens},
    }
    with scratch(folder.parent, BESIDE_FOLDERS) as directory:
        for path in folder.iterdir():
            if path.name not in {CONFIG, DESCRIPTION, SEPARATE_TEMPLATE}:
                os.link(path, directory / path.name)  # the seal allows no other kind
        (directory / CONFIG).write_text(json.dumps(bounded), encoding="utf-8")
        (directory / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
        yield directory
