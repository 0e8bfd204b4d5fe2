"""A real appliance on a throw-away data directory, and the people the tests speak of."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from appliance.bootstrap import Appliance, open_appliance
from appliance.egress.seal.landlock import landlock_version
from appliance.egress.seal.layers import OUTSIDE
from appliance.egress.seal.namespace import make_namespace
from appliance.identity import passwords
from appliance.identity.models import EVERYONE, Principal, Role
from appliance.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a long enough passphrase"
EVERYBODY = frozenset({f"group:{EVERYONE}"})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith("CLOISTER_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address):
        if (address[0], self.family) in OUTSIDE and self.type == socket.SOCK_DGRAM:  # asks for a route and sends nothing
            return connect(self, address)
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test tried to reach {address!r}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id at its least cost: at its full one, hashing takes more than all else that most tests do."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The prepared default models, made once per checkout."""
    from appliance.inference.preparation import prepare_models

    directory = ROOT / ".models"
    prepare_models(directory, print)
    return directory


@pytest.fixture(scope="session")
def kernel_seals() -> None:
    """For tests of the seal: skipped where this kernel, or the container around it, refuses namespaces or Landlock."""
    try:
        make_namespace([]).close()
    except OSError as error:
        pytest.skip(f"no namespaces here: {error}")
    if landlock_version() < 2:
        pytest.skip("no Landlock here")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for UNIX sockets, which pytest's own directories are not."""
    directory = Path(tempfile.mkdtemp(prefix="cl-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir)


@pytest.fixture(scope="session")
def new_box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a box that was just made; a copy of it saves each test the migrations."""
    directory = tmp_path_factory.mktemp("new") / "box"
    open_appliance(Settings(data_dir=directory), create=True).close()
    (directory / "models").rmdir()  # tests bring their own
    return directory


@pytest.fixture
def appliance(settings: Settings, new_box: Path) -> Iterator[Appliance]:
    shutil.copytree(new_box, settings.data_dir, dirs_exist_ok=True)
    opened = open_appliance(settings, create=True)
    yield opened
    opened.close()


@pytest.fixture
def appliance_with_models(settings: Settings, new_box: Path, models_dir: Path) -> Iterator[Appliance]:
    """As `appliance`, with the default models in place."""
    shutil.copytree(new_box, settings.data_dir, dirs_exist_ok=True)
    (settings.data_dir / "models").symlink_to(models_dir)
    opened = open_appliance(settings, create=True)
    yield opened
    opened.close()


@pytest.fixture
def own_models(settings: Settings, models_dir: Path) -> None:
    """The default models as the box's own, for `appliance`: versions come and go, and files are damaged."""
    shutil.copytree(models_dir, settings.data_dir / "models", copy_function=os.link)


@pytest.fixture
def administrator(request: pytest.FixtureRequest) -> Principal:
    appliance = _any_appliance(request)
    return appliance.setup.complete(appliance.setup.make_link(), "administrator", PASSWORD)


@pytest.fixture
def alice(request: pytest.FixtureRequest, administrator: Principal) -> Principal:
    return _any_appliance(request).people.create(administrator, "alice", PASSWORD, frozenset({Role.EMPLOYEE}))


@pytest.fixture
def bob(request: pytest.FixtureRequest, administrator: Principal) -> Principal:
    return _any_appliance(request).people.create(administrator, "bob", PASSWORD, frozenset({Role.EMPLOYEE}))


@pytest.fixture
def officer(request: pytest.FixtureRequest, administrator: Principal) -> Principal:
    return _any_appliance(request).people.create(administrator, "officer", PASSWORD, frozenset({Role.OFFICER}))


def _any_appliance(request: pytest.FixtureRequest) -> Appliance:
    """The one appliance of this test, with or without models."""
    name = "appliance_with_models" if "appliance_with_models" in request.fixturenames else "appliance"
    return request.getfixturevalue(name)
