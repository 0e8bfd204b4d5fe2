"""A collector on loopback that appends what it is sent to a file, and a box that is to carry its log there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.egress.collector import forwarding as forwarding_module
from appliance.egress.collector.forwarding import Forwarding
from appliance.egress.collector.state import CollectorState, collector_state
from appliance.egress.destinations import Destination, Purpose
from tests.gates import standing_gate
from tests.scripted_server import Answer, Asked, ScriptedServer

BEGAN_MS = 1_800_000_000_000


@dataclass
class Collected:
    """`status` is what it answers; what it answers with 2xx it has appended to `file`."""

    file: Path
    destination: Destination
    forwarding: Forwarding
    server: ScriptedServer
    appliance: Appliance
    status: list[int]
    now_ms: int = field(default=BEGAN_MS)

    def run(self, after_s: float = 0) -> int:
        self.now_ms += round(after_s * 1_000)
        return self.forwarding.run()

    @property
    def calls(self) -> int:
        return len(self.server.asked)

    def state(self) -> CollectorState:
        with self.appliance.database.read() as connection:
            return collector_state(connection, self.destination, self.now_ms)


@contextmanager
def collecting(appliance: Appliance, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    """The clock of the forwarding stands still but for `run(after_s)`."""
    file, status = directory / "collected.jsonl", [200]
    file.touch()

    def take(asked: Asked, answer: Answer) -> None:
        if 200 <= status[0] < 300:
            with file.open("ab") as out:
                out.write(asked.raw)
        answer.json({}, status[0])

    with ScriptedServer(take).running() as server:
        named = Destination("siem", "127.0.0.1", server.port, Purpose.LOG, tls=False)
        gate = standing_gate(appliance, named)
        forwarding = Forwarding(
            appliance.database, appliance.audit, appliance.checkpoints.verifier, named=lambda: named, gate=lambda: gate
        )
        made = Collected(file, named, forwarding, server, appliance, status)
        monkeypatch.setattr(forwarding_module, "now_ms", lambda: made.now_ms)
        yield made
