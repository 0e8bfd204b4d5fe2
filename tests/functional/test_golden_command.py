"""`cloister golden` as a person at a shell would use it, as far as it needs no model."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.cli import main


def test_a_set_is_made_filled_listed_and_printed(appliance, administrator, tmp_path: Path, capsys) -> None:
    def cloister(*words: str) -> tuple[int, str, str]:
        code = main(["golden", *words, "--data", str(appliance.settings.data_dir)])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert cloister("list") == (0, "There is no golden set.\n", "")
    code, _, complaint = cloister("create", "Basics", "--collection", "Nowhere")
    assert (code, complaint) == (1, "cloister: There is no collection named Nowhere, or more than one.\n")
    assert cloister("create", "Basics", "--collection", "My documents")[0] == 0
    code, _, complaint = cloister("add", "Basics", "Who is king?")
    assert code == 1
    assert "silence" in complaint
    assert cloister("add", "Basics", "How many days?", "--answer", "30", "--answer", "thirty")[0] == 0
    file = tmp_path / "more.csv"
    file.write_text("question,silent\nWho is king?,yes\n")
    assert cloister("import", "Basics", str(file))[1] == "1 question was added.\n"
    _, said, _ = cloister("export", "Basics")
    assert said.splitlines() == [
        "question,answers,document,page,silent",
        "How many days?,30 | thirty,,,no",
        "Who is king?,,,,yes",
    ]
    _, said, _ = cloister("list", "--json")
    (found,) = json.loads(said)["sets"]
    assert (found["name"], found["questions"], found["latest"]) == ("Basics", 2, None)
    code, _, complaint = cloister("run", "Elsewhere")
    assert (code, complaint) == (1, "cloister: There is no golden set named Elsewhere, or more than one.\n")
