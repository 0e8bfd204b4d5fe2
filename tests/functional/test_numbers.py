"""A number in an address that nothing can hold is a mistake of who asks, and never one of the box."""

from __future__ import annotations

import pytest

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal, Role
from tests.web_clients import signed_in, store_document

pytestmark = pytest.mark.anyio
NUMBERS = ("-1", str(2**63), str(10**30), "1.5", "one")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_no_number_is_too_large_for_an_answer(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal
) -> None:
    document = store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")
    conversation = appliance.chat.create_conversation(alice).id
    asked = {
        "alice": [
            "/api/conversations?before_id=x&before_ms={}",
            f"/api/conversations/{conversation}?before={{}}",
            f"/api/documents/{document}/pages/{{}}",
            f"/api/documents/{document}/pages/{{}}/image",
            f"/api/documents/{document}/pages/1/highlights?start={{}}&end=5",
            f"/api/documents/{document}/pages/1/highlights?start=0&end={{}}",
        ],
        "officer": ["/api/audit?before_seq={}", "/api/audit?since_ms={}", "/api/audit?until_ms={}"],
        "administrator": ["/api/quality?days={}", "/api/feedback?page={}"],
    }
    for name, paths in asked.items():
        async with signed_in(appliance, name) as client:
            for path in paths:
                for number in NUMBERS:
                    answer = await client.get(path.format(number))
                    assert answer.status_code in {400, 404}, (path, number, answer.text)
                    assert answer.json()["error"]["code"], path
    async with signed_in(appliance, "officer") as client:
        for number in NUMBERS:
            assert (await client.post(f"/api/audit/{number}/disclose")).status_code in {400, 404}
