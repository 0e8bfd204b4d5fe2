"""The whole web application in this process, and people signed in to it. `from tests.web_clients import signed_in, RecordedQueue`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from tests.conftest import PASSWORD
from web.app import create_app


@dataclass
class RecordedQueue:
    """Keeps the ids that would have been sent to workers."""

    ids: list[str] = field(default_factory=list)

    def enqueue_answer(self, message_id: str) -> bool:
        self.ids.append(message_id)
        return True

    enqueue_ingest = enqueue_golden = enqueue_answer


@asynccontextmanager
async def signed_in(
    appliance: Appliance, name: str | None = None, queue: RecordedQueue | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its own application (`client.app`); with a name, one that holds a session and repeats its CSRF token.

    Bodies given as iterators are streamed piece by piece; answers arrive when they are complete.
    """
    app = create_app(appliance, queue=queue or RecordedQueue())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://box.test") as client:
        client.app = app
        if name is not None:
            token = appliance.sessions.sign_in(name, PASSWORD, "test")
            client.cookies.set("cloister", token)
            client.headers["X-CSRF-Token"] = appliance.sessions.csrf_token(token)
        yield client


def own_collection(appliance: Appliance, person: Principal) -> str:
    return next(item.id for item in appliance.collections.readable(person) if item.owner_id == person.id)


def store_document(appliance: Appliance, person: Principal, name: str, content: bytes, collection_id: str | None = None) -> str:
    """A document that waits for a worker."""
    upload = appliance.documents.begin_upload(person, collection_id or own_collection(appliance, person), name)
    upload.write(content)
    document, _ = upload.commit()
    return document.id
