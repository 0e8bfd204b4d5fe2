"""`cloister select` as a person at a shell would use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CLOISTER = str(Path(sys.executable).parent / "cloister")


def cloister(*words: str) -> tuple[int, str, str]:
    ran = subprocess.run([CLOISTER, "select", *words], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def test_without_a_model_nothing_answers_and_the_exit_code_says_so(appliance):
    code, said, _ = cloister("--data", str(appliance.settings.data_dir))
    assert code == 1
    assert said.splitlines()[0].startswith("public: nothing answers.")
    assert len(said.splitlines()) == 4


def test_an_unknown_classification_is_one_sentence(appliance):
    code, _, complaint = cloister("--data", str(appliance.settings.data_dir), "--classification", "royal")
    assert (code, complaint) == (1, "cloister: There are the classifications public, internal, confidential, secret.\n")


@pytest.mark.models
def test_it_explains_the_box_the_policy_and_each_decision(appliance_with_models):
    data = str(appliance_with_models.settings.data_dir)
    code, said, _ = cloister("--explain", "--data", data)
    assert code == 0
    # the command itself is not sealed
    assert "The seal namespace is required for secret documents; this box has none. (seal_missing)" in said
    assert said.startswith("This box\n  processor")
    for told in (
        "memory",
        "CPUExecutionProvider",
        "may choose by hand: administrator",
        "through llamacpp on cpu. It comes first",
    ):
        assert told in said
    assert cloister("--data", data, "--classification", "secret")[0] == 1
    assert cloister("--data", data, "--classification", "secret", "--seal", "namespace")[0] == 0
    code, said, _ = cloister("--explain", "--json", "--data", data, "--classification", "internal")
    document = json.loads(said)
    assert [selection["winner"]["runtime"] for selection in document["selections"]] == ["llamacpp"]
    assert document["hardware"]["memory_total_mb"] > 0
    assert set(document["policy"]["rules"]) == {"public", "internal", "confidential", "secret"}


@pytest.mark.models
def test_a_hand_that_may_not_choose_is_refused(appliance_with_models, administrator, alice):
    data = str(appliance_with_models.settings.data_dir)
    (model,) = [offer.model_id for offer in appliance_with_models.offers() if offer.runtime == "llamacpp"]
    asked = ("--data", data, "--classification", "internal", "--model", model)
    code, said, _ = cloister(*asked, "--as", "alice")
    assert (code, said) == (1, "internal: nothing answers. You may not choose the model yourself.\n")
    code, said, _ = cloister(*asked, "--as", "administrator")
    assert code == 0
    assert "It was chosen by hand." in said
    code, said, _ = cloister(*asked, "--as", "administrator", "--tokens", "1000000")
    assert (code, "can run on this box at the moment" in said) == (1, True)
