"""Holds and erasure, by the officer's routes and by the command; nobody else's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.cli import main
from appliance.identity.models import Principal
from tests.web_clients import signed_in, store_document

pytestmark = pytest.mark.anyio
WHY = {"reason": "asked for it"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def left(appliance: Appliance, administrator: Principal, alice: Principal) -> Principal:
    """Somebody whose account was deleted: her name and that of a document are sealed."""
    store_document(appliance, alice, "plan.txt", b"A plan of the harbour.")
    appliance.people.update(administrator, alice.id, disabled=True)
    appliance.people.delete(administrator, alice.id, conversations=0, documents=1)
    return alice


@pytest.mark.parametrize("who", ["administrator", "bob"])
async def test_nobody_but_officers_gets_near(appliance: Appliance, officer, left, bob, who: str) -> None:
    async with signed_in(appliance, who) as client:
        answers = [
            await client.get("/api/holds"),
            await client.post("/api/holds", json={"person": left.pseudonym} | WHY),
            await client.post(f"/api/holds/{left.pseudonym}/lift", json=WHY),
            await client.post("/api/audit/erase", json={"person": left.pseudonym} | WHY),
        ]
    assert {answer.status_code for answer in answers} == {403}
    assert [each.values for each in appliance.holds.list(officer).leftovers] == [2]


async def test_refusals_are_told_by_their_codes(appliance: Appliance, officer, left, bob) -> None:
    async with signed_in(appliance, "officer") as client:

        async def code(path: str, **body: str) -> tuple[int, str]:
            answer = await client.post(path, json=body)
            return answer.status_code, answer.json()["error"]["code"]

        assert await code("/api/holds", person="unknown", reason="x") == (404, "person.not_found")
        assert await code("/api/holds", person=left.pseudonym, reason=" ") == (400, "reason.length")
        assert await code(f"/api/holds/{left.pseudonym}/lift", reason="x") == (409, "hold.none")
        assert await code("/api/audit/erase", person=bob.pseudonym, reason="x") == (409, "audit.not_deleted")
        assert (await client.post("/api/holds", json={"person": left.pseudonym} | WHY)).status_code == 204
        assert await code("/api/holds", person=left.pseudonym, reason="x") == (409, "hold.placed")
        assert await code("/api/audit/erase", person=left.pseudonym, reason="x") == (409, "person.held")


async def test_an_officer_holds_lifts_and_erases(appliance: Appliance, officer, left) -> None:
    async with signed_in(appliance, "officer") as client:
        await client.get("/api/audit/export?format=csv")
        await client.post("/api/holds", json={"person": left.pseudonym} | WHY)
        found = (await client.get("/api/holds")).json()
        (hold,) = found["holds"]
        assert (hold["person"], hold["name"], hold["placed_by"]) == (left.pseudonym, None, "officer")
        assert [(each["values"], each["held"]) for each in found["leftovers"]] == [(2, True)]
        assert (await client.post(f"/api/audit/{hold['placed_seq']}/disclose")).json() == WHY
        assert (await client.post(f"/api/holds/{left.pseudonym}/lift", json=WHY)).status_code == 204
        done = (await client.post("/api/audit/erase", json={"person": left.pseudonym} | WHY)).json()
        assert (done["values"], [each["format"] for each in done["exports"]]) == (2, ["csv"])
        assert (done["backups"], done["kept_copies"]) == ([], [])
        assert (await client.get("/api/holds")).json() == {"holds": [], "leftovers": []}
        uploaded = (await client.get("/api/audit?event=document.uploaded")).json()["records"][0]
        assert uploaded["person"] == left.pseudonym
        assert (await client.post(f"/api/audit/{uploaded['seq']}/disclose")).json() == {}
        page = (await client.get("/audit")).text
        assert re.search(rf'value="{left.pseudonym}">deleted account {left.pseudonym[:8]}', page)
        assert "alice" not in page


def test_the_same_from_a_shell(appliance: Appliance, officer, left, bob, capsys, tmp_path: Path) -> None:
    def cloister(verb: str, *words: str, who: str = "officer") -> tuple[int, str, str]:
        code = main(["audit", verb, *words, "--as", who, "--data", str(appliance.settings.data_dir)])
        said = capsys.readouterr()
        return code, said.out, said.err

    why = ("--reason", "asked for it")
    for verb in ("hold", "lift", "erase"):
        assert cloister(verb, left.pseudonym, *why, who="bob") == (1, "", "cloister: You may not do this.\n")
    assert cloister("holds", who="administrator")[0] == 1
    assert cloister("hold", "carol", *why)[2] == (
        "cloister: There is no account named carol; `cloister audit holds` lists deleted ones by their pseudonyms.\n"
    )
    assert "The account is still there" in cloister("erase", "BOB", *why)[2]
    assert cloister("holds")[1].endswith(", 2 values sealed\n")
    for verb in ("hold", "lift", "erase"):
        assert cloister(verb, "\udcff", *why, "--json")[0] == 1, "what a shell makes of a byte that is no text"
        assert "letters or digits" in cloister(verb, left.pseudonym, "--reason", "\udcff")[2]
    assert cloister("hold", "Bob", *why)[1].startswith("Held: Bob (entry ")
    assert cloister("hold", left.pseudonym, *why)[0] == 0
    assert "An officer holds this person" in cloister("erase", left.pseudonym, *why)[2]
    held = json.loads(cloister("holds", "--json")[1])["holds"]
    assert [(each["name"], each["by"]) for each in held] == [("bob", "officer"), (None, "officer")]
    assert cloister("lift", left.pseudonym[:8], *why)[1] == f"The hold on {left.pseudonym[:8]} is lifted.\n"
    out = str(tmp_path / "evidence")
    assert cloister("export", "--who", left.pseudonym, "--out", out)[0] == 0
    code, said, _ = cloister("erase", left.pseudonym, *why)
    assert (code, said.startswith("Erased: 2 values of entries ")) == (0, True)
    assert "\n  export bundle of " in said
    assert cloister("export", "--who", left.pseudonym, "--out", f"{out}.2")[0] == 0
    key = str(appliance.checkpoints.verifier)
    assert main(["audit", "verify", f"{out}.2", "--key", key]) == 0
    assert "\nNot there any more when it was exported: 2 sealed values of them." in capsys.readouterr().out
    assert main(["audit", "verify", out, "--key", key]) == 0
    assert "Not there any more" not in capsys.readouterr().out
