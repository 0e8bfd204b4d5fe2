"""How an Ollama of our own is started: on loopback, with its models in the data directory, and without its cloud.

Beside the package `ollama` and not in it, since whoever starts it needs nothing of what speaks to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WAITING_AT_MOST = 16
_USUAL_PLACES = "/usr/local/bin:/usr/bin:/opt/ollama/bin"


@dataclass(frozen=True, slots=True)
class Serving:
    """A command and all of its environment: nothing of the caller's is handed on."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def find_ollama(search_path: str = _USUAL_PLACES) -> Path | None:
    """The program, where there is one."""
    found = shutil.which("ollama", path=search_path)
    return Path(found) if found else None


def serving(program: Path, models_dir: Path, port: int, *, context_tokens: int, answers_at_once: int) -> Serving:
    """How to start `program`, so that it listens at a port of loopback alone."""
    return Serving(
        (str(program), "serve"),
        {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(models_dir),
            "TMPDIR": str(models_dir / "tmp"),
            "LANG": "C.UTF-8",
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_MODELS": str(models_dir),
            "OLLAMA_NO_CLOUD": "1",
            "DO_NOT_TRACK": "1",
            "OLLAMA_CONTEXT_LENGTH": str(context_tokens),
            "OLLAMA_NUM_PARALLEL": str(answers_at_once),
            "OLLAMA_MAX_QUEUE": str(_WAITING_AT_MOST),
            "OLLAMA_MAX_LOADED_MODELS": "1",
            "OLLAMA_NOHISTORY": "1",
            # an unfinished pull must not vanish with the next start, nor models that were handed over by file
            "OLLAMA_NOPRUNE": "1",
        },
    )
