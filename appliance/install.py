"""Install the appliance into `.venv`: run by any Python from 3.11 to 3.13, with nothing installed yet.

Everything comes from the hashed lock. llama.cpp is compiled here, for this processor; AMX kernels are never built, they crash on
batches of more than one token (llama.cpp issue 20824). A stamp in the environment makes the second run cost nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.packages import Packages, glibc

ROOT = Path(__file__).resolve().parent.parent
# kernel name of a processor feature -> option of ggml's build; without NATIVE, AVX to BMI2 are on unless told otherwise
FEATURES = {
    "sse4_2": "GGML_SSE42",
    "avx": "GGML_AVX",
    "avx2": "GGML_AVX2",
    "fma": "GGML_FMA",
    "f16c": "GGML_F16C",
    "bmi2": "GGML_BMI2",
    "avx_vnni": "GGML_AVX_VNNI",
    "avx512f": "GGML_AVX512",
    "avx512vbmi": "GGML_AVX512_VBMI",
    "avx512_vnni": "GGML_AVX512_VNNI",
    "avx512_bf16": "GGML_AVX512_BF16",
}
# a quarter of what would be compiled: models that look at pictures
UNUSED = ("LLAVA_BUILD=OFF",)
# extra -> what it alone adds to the lock; a test compares
EXTRAS = {
    "nvidia": ("nvidia-ml-py",),
    "genai": ("onnxruntime-genai",),
    "foundry": ("foundry-local-sdk", "onnxruntime-genai-core"),
}
# the oldest glibc that their wheels run on, by architecture
GENAI_WHEELS = {"x86_64": (2, 28), "aarch64": (2, 28)}
FOUNDRY_WHEELS = {"x86_64": (2, 28), "aarch64": (2, 34)}

# what llama.cpp can be built to compute with beside the processor -> the compiler that takes, its options; where the kernels are
# not built for the card at hand, they are built for every card there ever was
LIBRARIES = {
    "cpu": ("", ()),
    "cuda": ("nvcc", ("GGML_CUDA=ON", "CMAKE_CUDA_ARCHITECTURES=native")),
    "vulkan": ("glslc", ("GGML_VULKAN=ON",)),
}


class InstallError(Exception):
    """Raised with the one sentence that tells a person what to do."""


def build_options(machine: str, cpuinfo: str) -> list[str]:
    """CMake options for llama.cpp on this processor, e.g. `GGML_AVX512=ON`."""
    if machine not in {"x86_64", "AMD64"} or not cpuinfo:
        return []
    match = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(match.group(1).split()) if match else set()
    switches = [f"{option}={'ON' if feature in flags else 'OFF'}" for feature, option in FEATURES.items()]
    never = [f"GGML_AMX_{kind}=OFF" for kind in ("TILE", "INT8", "BF16")]
    return ["GGML_NATIVE=OFF", *switches, *never]


def library_options(library: str) -> tuple[str, ...]:
    """CMake options for this one of `LIBRARIES`. Raises `InstallError` where its compiler is missing."""
    compiler, options = LIBRARIES[library]
    if compiler and shutil.which(compiler) is None:
        raise InstallError(f"To build llama.cpp with {library} its compiler {compiler} is needed, and is not on the PATH.")
    return options


def library_of(environment: Path, asked: str) -> str:
    """The one that is asked for, else the one that this environment was last installed with."""
    kept = environment / ".library"
    before = kept.read_text() if kept.exists() else ""
    return asked or (before if before in LIBRARIES else "cpu")


def extras_left_out(machine: str, glibc: tuple[int, int], *, nvidia: bool) -> dict[str, str]:
    """Extras that this box cannot use, with the reason; `glibc` is (0, 0) where the C library is another one."""
    no_wheel = f"there is no wheel for {machine} with " + ("glibc {}.{}".format(*glibc) if any(glibc) else "this C library")
    left_out = {} if nvidia else {"nvidia": "no NVIDIA driver is loaded"}
    for extra, wheels in (("genai", GENAI_WHEELS), ("foundry", FOUNDRY_WHEELS)):
        if glibc < wheels.get(machine, (sys.maxsize, 0)):
            left_out[extra] = no_wheel
    return left_out


def without(lock: str, extras: Iterable[str]) -> str:
    """The lock without what only these extras need."""
    names = {name for extra in extras for name in EXTRAS[extra]}
    blocks = re.findall(r"^(?![ #\n]).*(?:\n .*)*\n?", lock, re.MULTILINE)
    return "".join(block for block in blocks if re.split(r"[=\s]", block, maxsplit=1)[0] not in names)


def _stamp(lock: Path, options: list[str]) -> str:
    project = (ROOT / "pyproject.toml").read_bytes()  # its entry points are part of what is installed
    # and so is the path: of a copied clone they would start the code of the clone it was copied from
    return hashlib.sha256(lock.read_bytes() + project + repr((options, sys.version_info[:2], str(ROOT))).encode()).hexdigest()


def unusable_extras(*, nvidia: bool) -> dict[str, str]:
    """As `extras_left_out`, of this machine."""
    return extras_left_out(platform.machine(), glibc(), nvidia=nvidia)


def _find_uv(source: list[str]) -> str:
    """Path of uv; a private virtual environment gets one, pinned by the lock, where the machine has none.

    `source`: options that say where packages come from.
    """
    if found := shutil.which("uv"):
        return found
    private = ROOT / ".uv"
    uv = private / "bin" / "uv"
    if not uv.exists():
        print("Getting uv, the installer ...", flush=True)
        try:
            venv.create(private, with_pip=True, clear=True)
        except subprocess.CalledProcessError as error:
            raise InstallError("Python's venv module does not work here; on Debian: apt install python3-venv.") from error
        lock = (ROOT / "requirements.lock").read_text()
        block = re.search(r"^uv==.*(?:\n    .*)*", lock, re.MULTILINE)
        if block is None:
            raise InstallError("requirements.lock names no version of uv; the checkout is damaged.")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(block.group(0) + "\n")
            file.flush()
            run(
                [str(private / "bin" / "python"), "-m", "pip", "install", "-q", *source, "--require-hashes", "-r", file.name],
                "uv could not be installed",
            )
    return str(uv)


def require_python() -> None:
    """Raises `InstallError` where this is a Python that the lock is not for."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise InstallError(f"Python 3.11 to 3.13 is needed, this is {platform.python_version()}.")


def packages_in(directory: Path, lock: Path) -> Packages:
    """What was fetched into it. Raises `InstallError` where that does not fit this machine and this lock."""
    fetched = Packages.read(directory)
    if fetched is None or not EXTRAS.keys() >= set(fetched.left_out):
        raise InstallError(f"{directory} holds no packages; `make packages` fetches them on a machine that has a network.")
    if obstacle := fetched.obstacle(Packages.of_this_machine(lock.read_text())):
        raise InstallError(f"The packages in {directory} cannot be installed here: {obstacle}.")
    return fetched


def run(command: list[str], failure: str) -> None:
    """Raises `InstallError` that begins with `failure`."""
    try:
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own command line
    except subprocess.CalledProcessError as error:
        raise InstallError(f"{failure}; the lines above say why (exit code {error.returncode}).") from error


def compiled(build: Path) -> str:
    """How far llama.cpp is compiled in the directory `build`, by CMake's plan and Ninja's log; empty where they do not say."""
    try:
        planned = len(json.loads((build / "compile_commands.json").read_text()))
        done = sum(".o\t" in line for line in (build / ".ninja_log").read_text().splitlines())
    except (OSError, ValueError):
        return ""
    return f"{done} of {planned} files compiled, "


def _with_clock(work: Callable[[], None], build: Path) -> None:
    """Say every 20 seconds how far the long step is."""
    done = threading.Event()
    started = time.monotonic()

    def tick() -> None:
        while not done.wait(20):
            print(f"  ... {compiled(build)}{time.monotonic() - started:.0f} s", flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()


def install(*, development: bool, library: str = "", packages: Path | None = None) -> None:
    """Make `.venv` match the lock. Raises `InstallError`.

    `library` is one of `LIBRARIES`, the same as before where it is empty. With `packages`, a directory that packages.py filled,
    everything comes from there and no network is asked; where nothing is left to do it is not looked at.
    """
    environment = ROOT / ".venv"
    library = library_of(environment, library)
    lock = ROOT / ("requirements-dev.lock" if development else "requirements.lock")
    cpuinfo = Path("/proc/cpuinfo")
    options = [*build_options(platform.machine(), cpuinfo.read_text() if cpuinfo.exists() else ""), *UNUSED]
    options += library_options(library)
    driver = Path("/proc/driver/nvidia").exists()
    left_out = unusable_extras(nvidia=driver or development)
    stamp_file = environment / ".installed"
    stamps = stamp_file.read_text().split() if stamp_file.exists() else []
    # the development lock holds everything the other does
    complete = [*options, *sorted(unusable_extras(nvidia=True))]
    stamp = _stamp(lock, [*options, *sorted(left_out)])
    if {stamp, _stamp(ROOT / "requirements-dev.lock", complete)} & set(stamps):
        return
    source = []
    if packages:
        source = ["--no-index", "--find-links", str(packages)]
        left_out = dict.fromkeys(packages_in(packages, lock).left_out, "it was not fetched") | left_out
    for compiler in (("cc", "gcc", "clang"), ("c++", "g++", "clang++")):
        if not any(map(shutil.which, compiler)):
            raise InstallError(
                f"A C and C++ compiler is needed to build llama.cpp and {compiler[1]} was not found; "
                "on Debian: apt install build-essential."
            )
    probe = ROOT / ".writable"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InstallError(f"The directory {ROOT} is not writable ({error.strerror}); clone it to a place that is.") from error
    uv = _find_uv(source)
    python = environment / "bin" / "python"
    if not python.exists():
        run(
            [uv, "venv", "-q", "--python", sys.executable, str(environment)],
            "The virtual environment could not be made",
        )
    what = "this processor, about ten minutes on two cores" if library == "cpu" else f"{library}, which takes longer than without"
    print(f"Installing; llama.cpp is compiled for {what} ...", flush=True)
    settings = [part for option in options for part in ("--config-settings-package", f"llama-cpp-python:cmake.define.{option}")]
    if driver and library == "cpu":
        print("  without the NVIDIA card for llama.cpp: LIBRARY=cuda builds it for that, too", flush=True)
    for extra, reason in left_out.items():
        print(f"  without {extra}: {reason}", flush=True)
    wanted = environment / ".requirements.txt"
    wanted.write_text(without(lock.read_text(), left_out))
    # what is not compiled here would be compiled at every start
    requirements = ["--require-hashes", "--build-constraints", "requirements.lock", "--compile-bytecode", str(wanted)]
    build = environment / ".build"
    shutil.rmtree(build, ignore_errors=True)  # of an interrupted installation: its paths are of another day
    # as a variable, since uv keeps what it compiled by its settings, and another clone may use it
    sync = ["env", f"SKBUILD_BUILD_DIR={build}", uv, "pip", "sync", "-q", "-p", str(python), *source, *settings, *requirements]
    _with_clock(lambda: run(sync, "The installation failed"), build)
    shutil.rmtree(build, ignore_errors=True)
    here = [uv, "pip", "install", "-q", "-p", str(python), *source, "--no-deps", "--no-build-isolation", "-e", "."]
    run(here, "The appliance itself could not be installed")
    (environment / ".library").write_text(library)
    # also where something was not fetched: the next start may name no packages, or a stick that is elsewhere by then
    stamp_file.write_text(stamp)


def main() -> int:
    """Entry point; exit code 1 and one sentence where something is missing."""
    parser = argparse.ArgumentParser(description="Install Cloister into .venv")
    parser.add_argument("--development", action="store_true", help="what the tests need, too")
    parser.add_argument("--library", choices=("", *LIBRARIES), default="", help="what llama.cpp computes with, too")
    parser.add_argument("--packages", type=Path, help="a directory that `make packages` filled: no network is asked")
    arguments = parser.parse_args()
    try:
        require_python()
        packages = arguments.packages.absolute() if arguments.packages else None
        install(development=arguments.development, library=arguments.library, packages=packages)
        # also after an update of the code alone: no process of the sealed box may write beside its program
        compiler = [str(ROOT / ".venv" / "bin" / "python"), "-m", "compileall", "-q", "appliance", "workers", "web", "policies"]
        run(compiler, "The appliance itself could not be compiled")
    except InstallError as error:
        print(f"cloister: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        sentence = f"{error.filename} is closed to this account ({error.strerror})"
        print(f"cloister: {sentence}; use the account that installed this clone, or a clone of your own.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cloister: Interrupted; the same command goes on with the installation.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
