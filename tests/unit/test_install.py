from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
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


def test_a_card_is_built_for_where_that_is_asked_for_and_its_compiler_is_there(monkeypatch: pytest.MonkeyPatch):
    assert install.library_options("cpu") == ()
    monkeypatch.setattr(install.shutil, "which", lambda name: f"/opt/{name}" if name == "nvcc" else None)
    assert "GGML_CUDA=ON" in install.library_options("cuda")
    with pytest.raises(install.InstallError, match="compiler glslc is needed"):
        install.library_options("vulkan")


def test_a_later_installation_keeps_what_was_asked_for(tmp_path: Path):
    assert install.library_of(tmp_path, "") == "cpu"
    (tmp_path / ".library").write_text("cuda")
    assert install.library_of(tmp_path, "") == "cuda"
    assert install.library_of(tmp_path, "cpu") == "cpu"


def test_a_library_without_its_compiler_is_one_sentence_and_nothing_is_touched(tmp_path: Path, monkeypatch, capsys):
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install.shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["install.py", "--library", "cuda"])
    before = sorted(tmp_path.iterdir())
    assert install.main() == 1
    assert re.fullmatch(r"cloister: To build llama.cpp with cuda [^\n]*\n", capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_compiler_is_one_sentence_and_a_failure(tmp_path: Path):
    checkout = tmp_path / "checkout"
    (checkout / "appliance").mkdir(parents=True)
    for name in ("__init__.py", "install.py", "packages.py"):
        (checkout / "appliance" / name).write_bytes((ROOT / "appliance" / name).read_bytes())
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (checkout / name).write_text("")
    ran = subprocess.run(
        [sys.executable, "-m", "appliance.install"],
        cwd=checkout,
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


def test_what_another_account_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys):
    def refuse(**_: bool) -> None:
        raise PermissionError(13, "Permission denied", "/srv/cloister/.venv/.installed")

    monkeypatch.setattr(install, "install", refuse)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    assert re.fullmatch(r"cloister: /srv/cloister/.venv/.installed is closed to this account [^\n]*\n", capsys.readouterr().err)


def test_whoever_waits_is_told_how_far_the_compiler_is(tmp_path: Path):
    assert install.compiled(tmp_path) == ""
    (tmp_path / "compile_commands.json").write_text('[{"file": "a.c"}, {"file": "b.cpp"}, {"file": "c.cpp"}]')
    (tmp_path / ".ninja_log").write_text("# ninja log v5\n11\t48\t17\tsrc/a.c.o\t5c1f\n12\t50\t18\tbin/liba.so\t5c2f\n")
    assert install.compiled(tmp_path) == "1 of 3 files compiled, "
    (tmp_path / "compile_commands.json").write_text("[{")
    assert install.compiled(tmp_path) == ""


def test_an_interrupted_installation_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys):
    def interrupt(**_: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "install", interrupt)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_the_locks_are_hashed_and_name_no_host():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        hashed = re.findall(r"^[a-z0-9][^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pinned) == len(hashed) > 70
        assert "http" not in re.sub(r"^(httpx|httpcore)\S*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("machine", "glibc", "nvidia", "expected"),
    [
        ("x86_64", (2, 36), False, {"nvidia"}),
        ("x86_64", (2, 28), True, set()),
        ("x86_64", (2, 27), True, {"genai", "foundry"}),
        ("x86_64", (0, 0), True, {"genai", "foundry"}),
        ("aarch64", (2, 31), True, {"foundry"}),
        ("aarch64", (2, 36), True, set()),
        ("riscv64", (2, 41), False, {"nvidia", "genai", "foundry"}),
    ],
)
def test_extras_this_box_has_no_use_or_no_wheel_for_are_left_out_with_a_reason(machine, glibc, nvidia, expected):
    left_out = install.extras_left_out(machine, glibc, nvidia=nvidia)
    assert set(left_out) == expected
    assert all(left_out.values())


def test_a_lock_without_an_extra_lacks_what_only_that_extra_adds_and_nothing_else():
    lock = (ROOT / "requirements.lock").read_text()
    assert install.without(lock, []) == lock
    smaller = install.without(lock, ["foundry"])
    names = [set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)) for text in (lock, smaller)]
    assert names[0] - names[1] == {"foundry-local-sdk", "onnxruntime-genai-core"}
    assert smaller.count("--hash") < lock.count("--hash")
    assert "foundry" not in smaller


def test_the_parts_of_each_extra_are_what_the_packages_themselves_ask_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    told = {entry["name"]: entry["requires-dist"] for entry in project["tool"]["uv"]["dependency-metadata"]}
    locked = set(re.findall(r"^([a-z0-9-]+)==", install.without((ROOT / "requirements.lock").read_text(), install.EXTRAS), re.M))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", entry)[0].lower().replace("_", "-") for entry in requirements}

    for extra, adds in install.EXTRAS.items():
        reached, left = set(), names(project["project"]["optional-dependencies"][extra])
        while left:
            name = left.pop()
            reached.add(name)
            asked = told.get(name) or [one for one in importlib.metadata.requires(name) or [] if "extra ==" not in one]
            left |= names(asked) - reached
        assert reached - locked == set(adds), extra


def test_a_copied_installation_is_not_taken_for_one_of_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stamps = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text("")
        (tmp_path / name / "requirements.lock").write_text("")
        monkeypatch.setattr(install, "ROOT", tmp_path / name)
        stamps.add(install._stamp(tmp_path / name / "requirements.lock", []))
    assert len(stamps) == 2
