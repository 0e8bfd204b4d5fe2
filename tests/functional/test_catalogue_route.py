"""The catalogue of known models: refused to whom it is not shown, on record where it is."""

from __future__ import annotations

import json

import pytest

from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.errors import Denied, InvalidInput
from appliance.inference.store.importing import Order
from tests.web_clients import signed_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_only_administrators_see_it(appliance: Appliance, administrator, alice, officer) -> None:
    for person in (alice, officer):
        with pytest.raises(Denied):
            appliance.catalogue_review.known(person)
    async with signed_in(appliance, "alice") as client:
        assert (await client.get("/api/models/catalogue")).status_code == 403
    with appliance.database.read() as connection:
        assert search(connection, AuditFilter(event="model.listed"), limit=5) == []


def test_what_cannot_be_used_is_not_pulled(appliance: Appliance, administrator) -> None:
    with pytest.raises(InvalidInput) as refusal:
        appliance.model_importing.pull(administrator, "colbertv2.0", Order())
    assert refusal.value.stable_code == "model.unusable"


async def test_an_administrator_sees_every_entry_and_that_is_on_record(appliance: Appliance, administrator) -> None:
    async with signed_in(appliance, "administrator") as client:
        found = (await client.get("/api/models/catalogue")).json()
    assert [model["name"] for model in found] == list(appliance.catalogue.entries)
    assert found[0]["fits"]
    assert found[0]["versions"] == {}
    assert found[0]["memory"][0].keys() == {"quantisation", "memory_mb", "fits_on"}
    with appliance.database.read() as connection:
        (record,) = search(connection, AuditFilter(event="model.listed"), limit=5)
    assert record.facts == {"shown": "catalogue"}


def test_the_shell_shows_the_same(appliance: Appliance, administrator, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["models", "catalogue", "--data", str(appliance.settings.data_dir)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "qwen3-4b: Qwen3 4B, language, small" in told
    assert "cloister models import FILE.gguf --name qwen3-4b" in told
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [model["name"] for model in document["models"]] == list(appliance.catalogue.entries)
