"""Runs the days and puts together what came out."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

from appliance.egress.proof.leg import EXIT_NO_GROUND, Leg, Orders, environment
from appliance.egress.proof.report import FORMAT, Machine, Report, problems
from appliance.egress.seal.confinement import CODE
from appliance.egress.seal.landlock import landlock_version
from appliance.errors import SetupError, Unavailable

# name, sealed, opt-outs
AS_DELIVERED = ("sealed, with opt-outs", True, True)
QUIET = ("unsealed, with opt-outs", False, True)
CONTAINED = ("sealed, without opt-outs", True, False)
LOUD = ("unsealed, without opt-outs", False, False)
SHORT, WHOLE = (QUIET, CONTAINED), (LOUD, CONTAINED, QUIET, AS_DELIVERED)
_ROOM_FOR_TWO_MB = 6_000
_LEG_LIMIT_S = 3_600
_OURS = ("appliance", "web", "workers", "policies")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`models_dir` holds prepared default models; None prepares them. `ollama` is a program and where it lies. The rest as in
    `Orders`.
    """

    models_dir: Path | None
    runtimes: Mapping[str, str]
    models: Sequence[Path] = ()
    idle_s: float = 0.0
    short: bool = False
    ollama: tuple[Path, Sequence[Path]] | None = None


def prove(wanted: Wanted, told: Callable[[str], None]) -> Report:
    """Live through the days; `told` hears of each leg that is done.

    Raises `SetupError` (`proof.no_ground`) where this kernel gives no namespaces.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cl-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        prepared = wanted.models_dir or _prepared(work, told)
        models = [*wanted.models, *([] if wanted.short else _converted(work, wanted.runtimes, told))]
        orders = [
            Orders(
                name=name,
                work_dir=str(work / str(number)),
                models_dir=str(prepared.resolve()),
                sealed=sealed,
                opt_outs=opt_outs,
                models=[str(path.resolve()) for path in models],
                idle_s=wanted.idle_s,
                runtimes=dict(wanted.runtimes),
                shell=opt_outs and not wanted.short,
                ollama=str(wanted.ollama[0]) if wanted.ollama else "",
                ollama_places=[str(place) for place in wanted.ollama[1]] if wanted.ollama else [],
            )
            for number, (name, sealed, opt_outs) in enumerate(SHORT if wanted.short else WHOLE)
        ]

        def done(order: Orders) -> Leg:
            leg = _run(order)
            told(f"{leg.name}: {len(leg.attempts)} attempts, {leg.seconds:.0f} s")
            return leg

        with ThreadPoolExecutor(_at_once()) as pool:
            legs = list(pool.map(done, orders))
    found = problems(legs)
    return Report(
        format=FORMAT,
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.monotonic() - began, 1),
        machine=machine(),
        legs=legs,
        held=not found,
        problems=found,
    )


def machine() -> Machine:
    """Versions of everything that ran, and a digest of our own code as it lies there."""
    digest = hashlib.sha256()
    for file in sorted(file for name in _OURS for file in (CODE / name).rglob("*") if file.is_file()):
        if "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(CODE)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return Machine(
        kernel=platform.release(),
        architecture=platform.machine(),
        landlock=max(0, landlock_version()),
        python=platform.python_version(),
        code_sha256=digest.hexdigest(),
        packages=dict(sorted((each.name, each.version) for each in metadata.distributions())),
    )


def _at_once() -> int:
    """Days at the same time: each is a whole box."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next((int(line.split()[1]) // 1_000 for line in lines if line.startswith("MemAvailable:")), 0)
    return 2 if available >= _ROOM_FOR_TWO_MB else 1


def _prepared(work: Path, told: Callable[[str], None]) -> Path:
    """The default models, made once for all legs by the command that makes a box."""
    told("Preparing the default models")
    data = work / "models-of-all"
    command = ("-c", "import sys; from appliance.cli import main; sys.exit(main())", "init", "--data", str(data))
    password = f"{os.urandom(16).hex()}\n"
    ran = _python(*command, "--admin", "nobody", "--password-stdin", env=environment(work), given=password)
    if ran.returncode:
        raise SetupError(f"The default models could not be prepared: {ran.stderr.strip()[-300:]}", code="proof.models")
    return data / "models"


def _converted(work: Path, runtimes: Mapping[str, str], told: Callable[[str], None]) -> list[Path]:
    """The default model once more, as a folder for ONNX Runtime GenAI, where that can be used."""
    if runtimes.get("genai", "not there"):
        return []
    told("Converting the default model for ONNX Runtime GenAI")
    folder = work / "smollm2-onnx"
    module = ("-m", "appliance.inference.onnx_folder.convert")
    ran = _python(*module, "--out", str(folder), env=environment(work) | {"ORT_DISABLE_TELEMETRY": "1"})
    if ran.returncode:
        raise SetupError(f"The default model could not be converted: {ran.stderr.strip()[-300:]}", code="proof.models")
    return [folder]


def _run(orders: Orders) -> Leg:
    work = Path(orders.work_dir)
    work.mkdir()
    try:
        written = msgspec.json.encode(orders).decode()
        limit_s = _LEG_LIMIT_S + orders.idle_s
        ran = _python("-m", "appliance.egress.proof.leg", written, env=environment(work), limit_s=limit_s)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    words = ran.stderr.strip()
    if ran.returncode == EXIT_NO_GROUND:
        raise SetupError(f"The proof needs namespaces of its own, and this kernel refuses: {words}.", code="proof.no_ground")
    if ran.returncode:
        raise Unavailable(f"The day {orders.name} broke off: {words[-500:]}", code="proof.leg")
    return msgspec.json.decode(ran.stdout.rstrip("\n").rpartition("\n")[2], type=Leg)


def _python(
    *arguments: str, env: Mapping[str, str], given: str = "", limit_s: float = _LEG_LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """Our own code in a process of its own. Raises `Unavailable` (`proof.timeout`)."""
    try:
        return subprocess.run(  # noqa: S603 - our own code
            [sys.executable, *arguments],
            input=given,
            cwd=CODE,
            env=dict(env),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"A part of the proof did not end within {limit_s:.0f} s.", code="proof.timeout") from None
