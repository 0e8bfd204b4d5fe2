"""A thin, typed layer over ONNX Runtime GenAI: load a folder, read tokens, give scores. One sequence, no policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInput, SetupError, Unavailable
from appliance.inference.folder_tokenizer import read_json
from appliance.inference.genai import PROVIDERS
from appliance.inference.telemetry import silence

CONFIG = "genai_config.json"


class GenaiModel:
    """A loaded folder. Raises `SetupError` for an unusable one, `Unavailable` (`inference.load_failed`) where loading fails."""

    def __init__(self, folder: Path, *, context_tokens: int, threads: int, device: str) -> None:
        settings = folder_settings(folder)
        silence()
        import onnxruntime_genai as library

        silence(library)
        provider = device.partition(":")[0]
        if provider != "cpu" and provider not in PROVIDERS:
            raise SetupError(f"ONNX Runtime GenAI has no device named {device}.", code="inference.device")
        # without spinning: threads that wait for each other would hold cores that other work of the box needs
        session = {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}
        self._library: Any = library
        self._context_tokens = context_tokens
        try:
            config = library.Config(str(folder))
            config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
            config.clear_providers()
            if provider != "cpu":
                config.append_provider(PROVIDERS[provider])
            self._model = library.Model(config)
            options = library.GeneratorParams(self._model)
            options.set_search_options(max_length=context_tokens)
            self._opened: Any = library.Generator(self._model, options)
        except RuntimeError as error:
            raise Unavailable(
                f"The model folder {folder.name} cannot be loaded: {_first_line(error)}", code="inference.load_failed"
            ) from error
        self.device = _device(str(self._model.device_type), device)
        ends = settings["model"]["eos_token_id"]
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])

    @property
    def closed(self) -> bool:
        return self._opened is None

    @property
    def _sequence(self) -> Any:
        if self._opened is None:
            raise Unavailable("The language model has been unloaded.", code="inference.closed")
        return self._opened

    def ends_turn(self, token: int) -> bool:
        return token in self._ends

    def read(self, tokens: Sequence[int]) -> None:
        """Add to the sequence. Holds the interpreter's lock while it runs. Raises `Unavailable` (`inference.failed`)."""
        with _failures():
            self._sequence.append_tokens(np.asarray(tokens, np.int32))

    def scores(self) -> npt.NDArray[np.float32]:
        """Of every token of the vocabulary, to follow what was read."""
        with _failures():
            scores: npt.NDArray[np.float32] = self._sequence.get_logits().reshape(-1)
            return scores

    def forget_from(self, position: int) -> None:
        with _failures():
            self._sequence.rewind_to(position)

    def constrained(self, schema: str, temperature: float, seed: int) -> ConstrainedSequence:
        """An empty sequence that will only write what fits a JSON schema. Raises `InvalidInput` (`inference.grammar`)."""
        _ = self._sequence  # refuses where it is closed
        try:
            options = self._library.GeneratorParams(self._model)
            options.set_search_options(max_length=self._context_tokens)
            if temperature > 0:
                options.set_search_options(do_sample=True, temperature=temperature, random_seed=seed, top_k=0, top_p=1.0)
            options.set_guidance("json_schema", schema)
            return ConstrainedSequence(self._library.Generator(self._model, options))
        except RuntimeError as error:
            raise InvalidInput(
                f"The JSON schema asked for cannot be used: {_first_line(error)}", code="inference.grammar"
            ) from error

    def close(self) -> None:
        """Give the memory back; an answer that is being written ends with `inference.closed` at its next token."""
        self._opened = self._model = None


class ConstrainedSequence:
    """A sequence of its own, where the library chooses the tokens."""

    def __init__(self, sequence: Any) -> None:
        self._sequence = sequence

    def read(self, tokens: Sequence[int]) -> None:
        with _failures():
            self._sequence.append_tokens(np.asarray(tokens, np.int32))

    def next_token(self) -> int | None:
        """None when the form is complete."""
        with _failures():
            if self._sequence.is_done():
                return None
            self._sequence.generate_next_token()
            return int(self._sequence.get_next_tokens()[0])


def folder_settings(folder: Path) -> dict[str, Any]:
    """What the folder says of itself. Raises `SetupError` (`inference.folder`) where it is no folder for ONNX Runtime GenAI."""
    if not (folder / CONFIG).is_file():
        raise SetupError(
            f"The model folder {folder.name} has no {CONFIG}; it is not made for ONNX Runtime GenAI.", code="inference.folder"
        )
    settings = read_json(folder / CONFIG)
    try:
        int(settings["model"]["context_length"])
        graph = settings["model"]["decoder"]["filename"]
        complete = "eos_token_id" in settings["model"] and Path(graph).name == graph and (folder / graph).is_file()
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise SetupError(f"The file {CONFIG} of the model folder {folder.name} is incomplete.", code="inference.folder")
    return settings


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Unavailable(f"The language model stopped working. {_first_line(error)}", code="inference.failed") from error


def _device(loaded: str, wanted: str) -> str:
    """What the library says that it computes on, with the number that was asked for."""
    name = loaded.lower()
    return wanted if wanted.partition(":")[0] == name else name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
