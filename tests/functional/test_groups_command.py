"""`cloister groups`, and a model tried out on a group by its name, as a person at a shell would use them."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.cli import main
from appliance.inference.store.importing import Order
from tests.unit.inference.gguf_samples import METADATA, gguf, write


def test_groups_are_kept_from_the_shell(appliance, administrator, alice, bob, tmp_path: Path, capsys) -> None:
    def cloister(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--data", str(appliance.settings.data_dir), "--as", "administrator"])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert cloister("groups", "list") == (0, f"{'Everyone':<24} 3 people\n", "")
    for words, complaint in (
        (("create", "everyone"), "There is a group named Everyone already, or one that looks the same."),
        (("create", "Porters", "carol"), "There is no account named carol."),
        (("add", "Porters", "alice"), "There is no group named Porters."),
        (("delete", "EVERYONE"), "Everybody belongs to Everyone; that group stays as it is."),
    ):
        assert cloister("groups", *words) == (1, "", f"cloister: {complaint}\n")
    assert cloister("groups", "create", "Porters", "Alice")[1] == f"{'Porters':<24} 1 person\n  alice\n"
    code, said, _ = cloister("groups", "add", "porters", "bob", "alice", "--json")
    made = json.loads(said)
    assert (code, [member["name"] for member in made["members"]], made["member_count"]) == (0, ["alice", "bob"], 2)
    assert cloister("groups", "remove", made["id"], "bob")[1].endswith(" 1 person\n  alice\n")
    assert cloister("groups", "rename", "Porters", "Night porters")[0] == 0
    appliance.collections.create(administrator, "Board", readers=[f"group:{made['id']}"])
    appliance.people.update(administrator, alice.id, disabled=True)
    assert cloister("groups", "list", "night porters")[1] == (
        f"{'Night porters':<24} 1 person; opened to it: Board\n  alice (disabled)\n"
    )

    path = write(tmp_path / "tiny.gguf", gguf(METADATA))
    version = appliance.model_importing.take_in(administrator, path, Order(name="tiny"))
    code, _, complaint = cloister("models", "canary", version.id, "--group", "Pilots")
    assert (code, complaint) == (1, "cloister: There is no group named Pilots.\n")
    assert cloister("models", "canary", version.id, "--group", "NIGHT porters")[0] == 0
    assert "canary Night porters" in cloister("models", "list")[1]
    code, _, complaint = cloister("groups", "delete", "Night porters")
    assert (code, "tiny@1 is tried out on Night porters." in complaint) == (1, True)
    assert cloister("models", "retire", version.id)[0] == 0
    code, said, _ = cloister("groups", "delete", "Night porters", "--json")
    assert (code, json.loads(said)) == (0, {"deleted": made["id"]})

    assert main(["groups", "create", "Mine", "--data", str(appliance.settings.data_dir), "--as", "bob"]) == 1
    assert capsys.readouterr().err == "cloister: You may not do this.\n"
