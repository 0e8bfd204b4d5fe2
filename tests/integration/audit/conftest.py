"""A box with a log of some length, made once and copied for each test that does something to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.bootstrap import Appliance, open_appliance
from appliance.identity.models import Principal, Role
from appliance.identity.store import create_principal
from appliance.settings import Settings

PORTER = Principal("p1", "night porter", "porter")


def grow(appliance: Appliance, count: int) -> None:
    with appliance.database.write() as connection:
        for number in range(count):
            name = EventName.DOCUMENT_READ if number % 2 else EventName.PERSON_LISTED
            event = AuditEvent(name, PORTER, resources=(ResourceRef("document", f"d{number}"),))
            appliance.audit.append(connection, event)


@pytest.fixture(scope="session")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory: 300 leaves beside those of a new box, and an officer; nothing is signed yet."""
    directory = tmp_path_factory.mktemp("long-log") / "data"
    with closing(open_appliance(Settings(data_dir=directory), create=True)) as made:
        grow(made, 300)
        with made.database.write() as connection:
            create_principal(connection, name="officer", password_hash="none", roles=(Role.OFFICER,))
    return directory


@pytest.fixture
def logged(long_log: Path, tmp_path: Path) -> Iterator[Appliance]:
    directory = shutil.copytree(long_log, tmp_path / "data")
    with closing(open_appliance(Settings(data_dir=directory))) as opened:
        yield opened
