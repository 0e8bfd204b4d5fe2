"""A key that ends while something by it goes on: the stream ends, and the upload is not taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from appliance.bootstrap import Appliance
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal
from tests.conftest import PASSWORD
from tests.serving import serving, wait_until
from tests.web_clients import own_collection
from web import sse

CROWD = 6


@pytest.fixture
def url(appliance: Appliance, queue: object) -> Iterator[str]:
    with serving(appliance, queue) as address:
        yield address


def test_open_streams_and_uploads_end_with_their_key_and_others_go_on(
    appliance: Appliance, administrator: Principal, alice: Principal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(sse, "ASKED_S", 0.1)
    ended, kept = (appliance.api_keys.create(alice, PASSWORD, name, KeyScope) for name in ("Ended", "Kept"))
    own = own_collection(appliance, alice)
    with httpx.Client(base_url=url, timeout=20) as client:
        read, over, uploaded, sending = [], [], [], threading.Event()

        def follow() -> None:
            with client.stream("GET", "/api/documents/events", headers={"Authorization": f"Bearer {ended[1]}"}) as response:
                for line in response.iter_lines():
                    read.append(line)
            over.append(True)

        def body() -> Iterator[bytes]:
            yield b"the first half, "
            sending.wait(20)
            yield b"and the second."

        def upload() -> None:
            path = f"/api/collections/{own}/documents?name=late.txt"
            response = client.post(path, content=body(), headers={"Authorization": f"Bearer {ended[1]}"})
            uploaded.append((response.status_code, response.json()["error"]["code"]))

        threads = [*(threading.Thread(target=follow) for _ in range(CROWD)), threading.Thread(target=upload)]
        for thread in threads:
            thread.start()
        wait_until(lambda: read.count("event: documents") == CROWD)
        with client.stream("GET", "/api/documents/events", headers={"Authorization": f"Bearer {kept[1]}"}) as response:
            lines = response.iter_lines()
            appliance.api_keys.end_of(administrator, alice.id, ended[0].id)
            wait_until(lambda: len(over) == CROWD)
            sending.set()
            for _ in range(3):
                while next(lines) != ": keep-alive":
                    pass
        for thread in threads:
            thread.join(20)
    assert uploaded == [(401, "session.missing")]
    assert appliance.documents.list(alice) == []
