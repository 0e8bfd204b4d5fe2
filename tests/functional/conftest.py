"""The whole web application in this process, over its real parts; nothing is listening and no worker runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from appliance.bootstrap import Appliance
from web.app import create_app

PASSWORD = "a long enough passphrase"
ORIGIN = {"Origin": "http://testserver.local"}


@dataclass
class NotingQueue:
    """Remembers what a worker would have been told."""

    answers: list[str] = field(default_factory=list)
    ingests: list[str] = field(default_factory=list)

    def enqueue_answer(self, message_id: str) -> bool:
        self.answers.append(message_id)
        return True

    def enqueue_ingest(self, document_id: str) -> bool:
        self.ingests.append(document_id)
        return True

    def enqueue_sweep(self) -> bool:
        return True


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def queue() -> NotingQueue:
    return NotingQueue()


@pytest.fixture
def app(appliance: Appliance, queue: NotingQueue) -> Litestar:
    return create_app(appliance, queue=queue)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[AsyncTestClient]:
    """Nobody."""
    async with AsyncTestClient(app) as opened:
        yield opened


@pytest.fixture
def signed_in(app: Litestar) -> Callable[..., object]:
    """`async with signed_in("alice") as client`: a person with session and CSRF token."""

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[AsyncTestClient]:
        async with AsyncTestClient(app) as client:
            response = await client.post("/api/sessions", json={"name": name, "password": PASSWORD})
            assert response.status_code == 201, response.text
            client.headers["X-CSRF-Token"] = app.state.appliance.sessions.csrf_token(client.cookies["cloister"])
            yield client

    return opened
