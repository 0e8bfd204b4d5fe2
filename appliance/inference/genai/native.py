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
from appliance.inference.devices import NEURAL, drives, kind_of
from appliance.inference.folder_tokenizer import read_json
from appliance.inference.genai import PROVIDERS
from appliance.inference.genai.inlining import whole_graphs
from appliance.inference.hardware.graphics import CARDS_IN_ORDER
from appliance.inference.store.sealed_folder import is_sealed
from appliance.inference.telemetry import silence
from appliance.settings import set_environment

CONFIG = "genai_config.json"
_HAVE_MEMORY = frozenset({"cpu", "cuda", "dml", "webgpu"})


class GenaiModel:
    """A loaded folder. Raises `SetupError` for an unusable one, `Unavailable` (`inference.load_failed`) where loading fails."""

    def __init__(self, folder: Path, *, context_tokens: int, threads: int, device: str, library: str = "cpu") -> None:
        settings = folder_settings(folder)
        silence()
        set_environment(CARDS_IN_ORDER)
        import onnxruntime_genai

        silence(onnxruntime_genai)
        if library not in {"cpu", *PROVIDERS} or not drives(library, device):
            raise SetupError(f"ONNX Runtime GenAI drives no {device} through {library}.", code="inference.device")
        # without spinning: threads that wait for each other would hold cores that other work of the box needs
        session = {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}
        self._library: Any = onnxruntime_genai
        self._context_tokens = context_tokens
        try:
            config = self._library.Config(str(folder))
            config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
            config.clear_providers()
            if library != "cpu":
                config.append_provider(PROVIDERS[library])
                for name, value in _options(library, device).items():
                    config.set_provider_option(PROVIDERS[library], name, value)
            graphs = dict(whole_graphs(folder)) if is_sealed(folder) else {}  # kept until the model is made
            for name, content in graphs.items():
                config.add_model_data(name, content)
            self._model = self._library.Model(config)
            options = self._library.GeneratorParams(self._model)
            options.set_search_options(max_length=context_tokens)
            self._opened: Any = self._library.Generator(self._model, options)
        except RuntimeError as error:
            raise Unavailable(
                f"The model folder {folder.name} cannot be loaded: {_first_line(error)}", code="inference.load_failed"
            ) from error
        self.device = _device(str(self._model.device_type).lower(), device, library)
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


def _options(library: str, device: str) -> dict[str, str]:
    """What tells the execution provider which of its devices is meant; without it, OpenVINO's is the processor."""
    kind, number = kind_of(device), device.partition(":")[2] or "0"
    if library == "openvino":
        return {"device_type": "NPU" if kind in NEURAL else f"GPU.{number}"}
    return {"device_id": number} if library in {"cuda", "dml"} else {}


def _device(loaded: str, wanted: str, library: str) -> str:
    """Where it computes, by what the library says of the model's memory; empty where that does not tell.

    Neural processors read the box's own memory, so the library says "cpu" of them too.
    """
    if loaded == library:
        return wanted
    return loaded if library in _HAVE_MEMORY else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
