from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import install

ROOT = Path(install.__file__).resolve().parent.parent
FLAGS = "processor : 0\nflags\t\t: fpu sse4_2 avx avx2 fma f16c bmi2 {}\n"


def test_amx_is_never_built_even_where_the_processor_has_it():
    options = install.build_options("x86_64", FLAGS.format("avx512f amx_tile amx_int8 amx_bf16"))
    assert {"GGML_AMX_TILE=OFF", "GGML_AMX_INT8=OFF", "GGML_AMX_BF16=OFF", "GGML_NATIVE=OFF"} <= set(options)


@pytest.mark.parametrize(
    ("feature", "option"),
    [("avx512f", "GGML_AVX512"), ("avx512_vnni", "GGML_AVX512_VNNI"), ("avx512vbmi", "GGML_AVX512_VBMI")],
)
def test_a_kernel_is_built_only_for_processors_that_have_the_instructions(feature, option):
    assert f"{option}=ON" in install.build_options("x86_64", FLAGS.format(feature))
    assert f"{option}=OFF" in install.build_options("x86_64", FLAGS.format(""))


def test_old_processors_get_no_avx2():
    assert "GGML_AVX2=OFF" in install.build_options("x86_64", "flags : sse4_2\n")


def test_other_architectures_build_as_llama_cpp_sees_fit():
    assert install.build_options("aarch64", "Features : fp asimd\n") == []


def test_a_missing_compiler_is_one_sentence_and_a_failure(tmp_path: Path):
    checkout = tmp_path / "checkout"
    (checkout / "appliance").mkdir(parents=True)
    (checkout / "appliance" / "install.py").write_bytes(Path(install.__file__).read_bytes())
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (checkout / name).write_text("")
    ran = subprocess.run(
        [sys.executable, str(checkout / "appliance" / "install.py")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert re.fullmatch(r"cloister: A C and C\+\+ compiler is needed [^\n]*\n", ran.stderr)


def test_a_read_only_checkout_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    assert re.fullmatch(r"cloister: The directory [^\n]* is not writable \(Permission denied\)[^\n]*\n", capsys.readouterr().err)


def test_the_locks_are_hashed_and_name_no_host():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        hashed = re.findall(r"^[a-z0-9][^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pinned) == len(hashed) > 70
        assert "http" not in re.sub(r"^(httpx|httpcore)\S*", "", text, flags=re.MULTILINE)
