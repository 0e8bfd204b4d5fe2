"""Models through the gate: what is refused before anything is asked, after it was asked, and what comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.audit.events import EventName
from appliance.audit.store import AuditFilter, following
from appliance.egress.destinations import Destination, Purpose
from appliance.egress.windows import MaintenanceWindow
from appliance.errors import ApplianceError, Denied, InvalidInput, Unavailable
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import VersionState
from tests.gates import standing_gate
from tests.scripted_server import Answer, Asked, ScriptedServer
from tests.unit.inference.gguf_samples import METADATA, gguf

CONTENT = gguf(METADATA)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SOURCE = "destination:mirror:/models/tiny.gguf"


def mirror(asked: Asked, answer: Answer) -> None:
    answer.begin(status=200 if asked.path == "/models/tiny.gguf" else 404)
    for begin in range(0, len(CONTENT), 1_000):
        answer.send(CONTENT[begin : begin + 1_000])
    answer.end()


@pytest.fixture
def server():
    with ScriptedServer(mirror).running() as running:
        yield running


@pytest.fixture
def fetch(appliance, administrator, server):
    now, hour = datetime.now(UTC), timedelta(hours=1)

    def fetched(source: str = SOURCE, sha256: str = DIGEST, *, window: bool = True, person=None) -> Any:
        lan = Destination("mirror", "127.0.0.1", server.port, Purpose.DOWNLOAD, tls=False)
        gate = standing_gate(appliance, lan, windows=[MaintenanceWindow(now - hour, now + hour)] if window else [])
        return appliance.model_fetching.fetch(person or administrator, source, Order(sha256=sha256), gate)

    return fetched


def code_of(act: Callable[[], Any], kind: type[ApplianceError]) -> str:
    with pytest.raises(kind) as failed:
        act()
    return failed.value.stable_code


@pytest.mark.parametrize(
    ("given", "kind", "code", "asked"),
    [
        ({"source": "destination:mirror:models/tiny.gguf"}, InvalidInput, "model.source", 0),
        ({"sha256": ""}, InvalidInput, "model.digest_needed", 0),
        ({"window": False}, Denied, "egress.refused", 0),
        ({"source": "destination:elsewhere:/models/tiny.gguf"}, Denied, "egress.refused", 0),
        ({"source": "destination:mirror:/models/../tiny.gguf"}, Denied, "egress.refused", 0),
        ({"source": "destination:mirror:/models/other.gguf"}, Unavailable, "model.not_there", 1),
        ({"sha256": "0" * 64}, InvalidInput, "model.digest", 1),
    ],
)
def test_what_is_not_fetched_leaves_nothing_and_a_record(appliance, server, fetch, given, kind, code, asked):
    assert code_of(lambda: fetch(**given), kind) == code
    assert len(server.asked) == asked
    assert appliance.models.versions() == []
    assert not list(appliance.settings.models_dir.glob("incoming-*"))
    with appliance.database.read() as connection:
        record = following(connection, AuditFilter(event=EventName.MODEL_IMPORTED))[-1]
    assert (record.outcome, record.facts) == ("failure", {"reason": code})


def test_only_administrators_fetch(server, fetch, alice):
    assert code_of(lambda: fetch(person=alice), Denied) == "policy.denied"
    assert server.asked == []


def test_a_model_is_fetched_in_its_window_on_behalf_of_whoever_asked(appliance, administrator, fetch):
    version = fetch(sha256=DIGEST.upper())
    assert (version.sha256, version.state) == (DIGEST, VersionState.CANDIDATE)
    with appliance.database.read() as connection:
        called = following(connection, AuditFilter(event=EventName.EGRESS_CALLED))[-1]
    assert called.on_behalf_of == administrator.pseudonym
    assert called.facts["bytes_in"] == len(CONTENT)
