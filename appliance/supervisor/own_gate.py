"""A gate for one command of the shell: that of the running box, else one that starts when needed and ends with the command."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from appliance.egress.asking import gate_answers
from appliance.egress.seal.confinement import CODE
from appliance.inference.telemetry import opt_outs
from appliance.settings import Settings
from appliance.supervisor.sockets import bind_private

_END_S = 2.0


@contextmanager
def own_gate(settings: Settings, policies: Path = CODE / "policies") -> Iterator[Callable[[], Path]]:
    """Where to call: for `Gate`, which asks before each call."""
    with ExitStack() as stack:
        found: list[Path] = []
        lock = threading.Lock()

        def place() -> Path:
            with lock:
                if not found:
                    found.append(settings.gate_path if gate_answers(settings.gate_path) else _start(settings, policies, stack))
                return found[0]

        yield place


def _start(settings: Settings, policies: Path, stack: ExitStack) -> Path:
    path = settings.run_dir / f"gate-{os.getpid()}.sock"
    listener = stack.enter_context(closing(bind_private(path)))
    stack.callback(path.unlink, missing_ok=True)
    command = [sys.executable, "-m", "appliance.supervisor.gate_process", "--data", str(settings.data_dir)]
    command += ["--fd", str(listener.fileno()), "--policies", str(policies), "--parent", str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=CODE, env=dict(opt_outs()), pass_fds=[listener.fileno()]
    )
    stack.callback(_end, process)
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
