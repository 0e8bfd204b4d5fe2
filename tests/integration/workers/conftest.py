"""A Redis of our own, as the supervisor starts it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from appliance.settings import Settings
from appliance.supervisor import wire
from appliance.supervisor.redis_server import redis_command


class RedisServer:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.settings.run_dir.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(redis_command(self.settings), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while not wire.answers(self.settings):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def redis_server(settings: Settings) -> Iterator[RedisServer]:
    server = RedisServer(settings)
    server.start()
    yield server
    server.kill()
