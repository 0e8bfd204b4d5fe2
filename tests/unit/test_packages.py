"""A directory of packages for a machine without a network: for which machines it is, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from appliance import fetch_packages, install
from appliance.install import InstallError, packages_in
from appliance.packages import Packages

ROOT = Path(install.__file__).resolve().parent.parent
HERE = Packages("3.11", "x86_64", (2, 36), "a" * 64, ())


@pytest.mark.parametrize(
    ("fetched", "told"),
    [
        ({"lock": "b" * 64}, "another version of Cloister"),
        ({"python": "3.12"}, "for Python 3.12 on x86_64, this is Python 3.11 on x86_64"),
        ({"machine": "aarch64"}, "for Python 3.11 on aarch64"),
        ({"glibc": (2, 37)}, "newer or another C library"),
        ({"glibc": (0, 0)}, "newer or another C library"),
        ({"glibc": (2, 28)}, ""),
        ({"left_out": ("genai",)}, ""),
        ({}, ""),
    ],
)
def test_packages_are_for_machines_like_the_one_that_fetched_them(fetched, told):
    assert bool(replace(HERE, **fetched).obstacle(HERE)) == bool(told)
    assert told in replace(HERE, **fetched).obstacle(HERE)


def test_a_machine_of_another_c_library_takes_only_packages_for_its_like():
    other = replace(HERE, glibc=(0, 0))
    assert HERE.obstacle(other)
    assert not other.obstacle(other)


def _told(**odd: object) -> str:
    return json.dumps(asdict(HERE) | odd)


@pytest.mark.parametrize(
    "record",
    [
        *(None, "", "{", "[]", '{"python": "3.11"}'),
        *(_told(left_out=odd) for odd in (["another"], "genai", [["genai"]], [1], None)),
        *(_told(glibc=odd) for odd in (["2", "36"], [2], [2, 36, 1], [2.5, 1], 2)),
        *(_told(**{name: odd}) for name in ("python", "machine", "lock") for odd in (3, ["3.11"])),
    ],
)
def test_a_directory_that_was_not_filled_is_refused_with_what_fills_one(tmp_path: Path, record):
    if record is not None:
        (tmp_path / "made-for.json").write_text(record)
    with pytest.raises(InstallError, match="make packages"):
        packages_in(tmp_path, ROOT / "requirements.lock")


def test_what_was_fetched_for_this_machine_is_known_again(tmp_path: Path):
    lock = ROOT / "requirements.lock"
    made = Packages.of_this_machine(lock.read_text(), left_out={"genai": "no wheel"})
    made.write(tmp_path)
    assert packages_in(tmp_path, lock) == made
    replace(made, lock="b" * 64).write(tmp_path)
    with pytest.raises(InstallError, match="another version"):
        packages_in(tmp_path, lock)


def test_the_refusal_is_one_sentence_and_nothing_is_asked_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "run", lambda *_: pytest.fail("something was run"))
    monkeypatch.setattr(sys, "argv", ["install", "--packages", str(tmp_path)])
    assert install.main() == 1
    assert re.fullmatch(r"cloister: [^\n]* holds no packages; [^\n]*\n", capsys.readouterr().err)


def test_only_a_python_that_can_install_them_fetches_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(fetch_packages, "run", lambda *_: pytest.fail("something was run"))
    monkeypatch.setattr(sys, "argv", ["fetch", str(tmp_path / "new")])
    for version in ((3, 10, 9), (3, 14, 0)):
        monkeypatch.setattr(install.sys, "version_info", version)
        assert fetch_packages.main() == 1
        assert capsys.readouterr().err.startswith("cloister: Python 3.11 to 3.13 is needed, this is ")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_fetch_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_packages, "run", interrupted)
    monkeypatch.setattr(fetch_packages.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["fetch", str(tmp_path / "new")])
    assert fetch_packages.main() == 130
    assert capsys.readouterr().err == "cloister: Interrupted; the same command goes on with the fetching.\n"


@pytest.mark.parametrize(
    ("target", "given", "expected"),
    [
        ("install", "PACKAGES=/media/my stick/it's", ["appliance.install", "--packages", "/media/my stick/it's"]),
        ("install", "PACKAGES=~/my stick", ["appliance.install", "--packages", str(Path.home() / "my stick")]),
        ("install", "PACKAGES=/a~/b", ["appliance.install", "--packages", "/a~/b"]),
        ("install", "PACKAGES=", ["appliance.install"]),
        ("packages", "OUT=/media/my stick/it's", ["appliance.fetch_packages", "/media/my stick/it's"]),
        ("packages", "OUT=", ["appliance.fetch_packages", "packages"]),
    ],
)
def test_a_directory_may_have_spaces_in_its_name_and_begin_at_home(target: str, given: str, expected: list[str]):
    python = f"PYTHON={sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[2:]))'"
    command = ["make", "-s", target, python, given]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert json.loads(told) == expected


@pytest.mark.parametrize("unusable", [("nvidia", "genai", "foundry"), ("nvidia",), ()])
def test_what_was_installed_with_packages_is_complete_without_naming_them(tmp_path: Path, monkeypatch, unusable: tuple[str, ...]):
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "unusable_extras", lambda *, nvidia: dict.fromkeys(unusable, "no"))
    monkeypatch.setattr(install, "_find_uv", lambda *_: "uv")
    ran: list[list[str]] = []
    monkeypatch.setattr(install, "run", lambda command, _: ran.append(command))
    (tmp_path / ".venv").mkdir()
    packages = tmp_path / "packages"
    packages.mkdir()
    Packages.of_this_machine("", left_out=("genai", "foundry")).write(packages)
    install.install(development=False, packages=packages)
    assert ran
    ran.clear()
    install.install(development=False)
    install.install(development=False, packages=packages)
    assert ran == []
    shutil.rmtree(packages)  # the stick is elsewhere by now
    install.install(development=False, packages=packages)
    assert ran == []


def test_nothing_is_fetched_into_a_directory_that_holds_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch_packages, "run", lambda *_: pytest.fail("something was run"))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InstallError, match="something else"):
        fetch_packages.fetch(tmp_path)
    replace(HERE, lock="b" * 64).write(tmp_path)
    with pytest.raises(InstallError, match="something else"):
        fetch_packages.fetch(tmp_path)


def test_all_that_is_fetched_and_run_on_the_way_is_named_by_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran: list[tuple[list[str], str]] = []
    monkeypatch.setattr(fetch_packages, "run", lambda command, _: ran.append((command, Path(command[-1]).read_text())))
    monkeypatch.setattr(fetch_packages.venv, "create", lambda *_, **__: None)
    fetch_packages.fetch(tmp_path / "new")
    assert all("--require-hashes" in command and "--no-deps" in command for command, _ in ran)
    (install_builders, builders), (download, wanted) = ran
    assert "install" in install_builders
    assert {"download", "--no-build-isolation"} <= set(download)
    lock = (ROOT / "requirements.lock").read_text()
    assert "scikit-build-core==" in builders
    assert all(line in lock for line in (builders + wanted).splitlines())
    assert packages_in(tmp_path / "new", ROOT / "requirements.lock")
