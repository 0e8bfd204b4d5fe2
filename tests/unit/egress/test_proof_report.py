"""The verdict over the days of a proof, and the signature under it: each reason to say no is tried."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.egress.proof import samples
from appliance.egress.proof.day import Step
from appliance.egress.proof.ground import preferring
from appliance.egress.proof.leg import Control, Leg
from appliance.egress.proof.pages import attempts, page
from appliance.egress.proof.report import FORMAT, Machine, Report, problems
from appliance.egress.proof.signing import OF_THE_PROOF, box_key, check, signed
from appliance.egress.proof.sinkhole import Attempt
from appliance.egress.seal.confinement import CODE
from appliance.errors import InvalidInput
from appliance.settings import Settings
from appliance.documents.media_types import EXTENSIONS, MediaType, check_upload

TRIES = ["dns", "tcp", "udp"]
ATTEMPT = Attempt("python", "python -m workers.main answers", 7, "tcp", "198.18.1.1", 443, "collector.example", 3.0)
HELD = dict.fromkeys(("name", "connection", "datagram"), "OSError: Network is unreachable")


def leg(*, sealed: bool, opt_outs: bool, **changes: object) -> Leg:
    controls = [Control(place, dict.fromkeys(HELD, ""), TRIES) for place in ("before the day", "after the day")]
    if sealed:
        controls.insert(1, Control("inside the seal", HELD, []))
    made = Leg(
        name="leg",
        sealed=sealed,
        opt_outs=opt_outs,
        seconds=9.5,
        wire="tunnel",
        ipv6=True,
        user_namespace=False,
        controls=controls,
        steps=[Step("start", held=True, detail="", seconds=1.0), Step("shutdown", held=True, detail="", seconds=1.0)],
        attempts=[],
        packets=4,
        packets_of_kernel=1,
        packets_unreadable=0,
        packets_sent=4,
        status={"strength": "namespace" if sealed else "none", "gaps": ["files/web"], "contradictions": {}},
        left_behind=[],
        last_words="",
    )
    return msgspec.structs.replace(made, **changes)


QUIET, CONTAINED = leg(sealed=False, opt_outs=True), leg(sealed=True, opt_outs=False)


def with_control(place: str, **changes: object) -> list[Control]:
    return [msgspec.structs.replace(each, **changes) if each.place == place else each for each in CONTAINED.controls]


def test_two_clean_days_hold_and_what_was_tried_without_both_is_no_fault() -> None:
    assert problems([QUIET, CONTAINED]) == []
    assert problems([QUIET, CONTAINED, leg(sealed=False, opt_outs=False, attempts=[ATTEMPT])]) == []


@pytest.mark.parametrize("place", ["before the day", "after the day"])
@pytest.mark.parametrize("seen", [[], ["dns", "udp"]])
def test_a_far_side_that_did_not_see_who_tried_proves_nothing(place: str, seen: list[str]) -> None:
    blind = msgspec.structs.replace(CONTAINED, controls=with_control(place, seen=seen))
    assert "was not seen" in problems([QUIET, blind])[0]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"controls": []}, "was not seen"),
        ({"controls": [each for each in CONTAINED.controls if each.place != "inside the seal"]}, "inside the seal"),
        ({"controls": with_control("inside the seal", seen=["udp"])}, "inside the seal was not held"),
        ({"controls": with_control("inside the seal", came=HELD | {"datagram": ""})}, "inside the seal was not held"),
        ({"controls": with_control("inside the seal", came={"start": "no module"})}, "could not try"),
        ({"attempts": [ATTEMPT]}, "1 attempts to get out"),
        ({"status": {}}, "they did not report"),
        ({"status": {"strength": "filter", "gaps": ["namespace/web"]}}, "for all processes: namespace/web"),
        ({"status": {"strength": "namespace", "contradictions": {"web": ["it may dump core"]}}}, "not seen from outside"),
        ({"steps": CONTAINED.steps[:1]}, "the day broke off"),
        ({"steps": []}, "the day broke off"),
        ({"steps": [Step("files", held=False, detail="none", seconds=1.0), CONTAINED.steps[1]]}, "files was not done: none"),
        ({"packets_sent": 5}, "5 packets went out and 4 were seen"),
        ({"packets_unreadable": 1}, "could not be read"),
    ],
)
def test_each_reason_against_the_sealed_day(changes: dict[str, object], words: str) -> None:
    assert any(words in sentence for sentence in problems([QUIET, msgspec.structs.replace(CONTAINED, **changes)]))


def test_an_attempt_with_opt_outs_is_one_too_many() -> None:
    assert problems([msgspec.structs.replace(QUIET, attempts=[ATTEMPT]), CONTAINED]) == ["leg: 1 attempts to get out"]


def test_a_day_that_was_not_spent_is_missed() -> None:
    assert len(problems([])) == 2
    assert problems([QUIET]) == ["no day was spent inside the seal without the opt-outs"]


def report(*legs: Leg) -> Report:
    found = problems([*legs])
    machine = Machine("6.18", "x86_64", 7, "3.11", "ab" * 32, {"onnxruntime": "1.31"})
    return Report(FORMAT, "2026-11-21T07:00:00Z", 60.5, machine, [*legs], not found, found)


def test_a_signed_report_is_read_back_and_a_changed_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    content = signed(
        report(QUIET, CONTAINED, leg(sealed=False, opt_outs=False, attempts=[ATTEMPT])),
        Ed25519PrivateKey.generate(),
        OF_THE_PROOF,
    )
    file.write_bytes(content)
    checked = check(file)
    assert checked.report.held
    assert checked.signer == OF_THE_PROOF
    document = json.loads(content)
    document["report"]["legs"][2]["attempts"] = []
    for altered, code in ((document, "report.signature"), ({"report": 1}, "report.unreadable"), ([], "report.unreadable")):
        file.write_text(json.dumps(altered))
        with pytest.raises(InvalidInput) as refused:
            check(file)
        assert refused.value.stable_code == code


def test_a_verdict_that_the_legs_do_not_bear_is_refused_however_well_signed(tmp_path: Path) -> None:
    lie = msgspec.structs.replace(report(QUIET), held=True, problems=[])
    (tmp_path / "report.json").write_bytes(signed(lie, Ed25519PrivateKey.generate(), OF_THE_PROOF))
    with pytest.raises(InvalidInput) as refused:
        check(tmp_path / "report.json")
    assert refused.value.stable_code == "report.verdict"


def test_the_key_of_a_box_is_its_own_and_stays(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert box_key(settings) is None
    settings.root_key_path.parent.mkdir(mode=0o700)
    settings.root_key_path.write_bytes(b"k" * 32)
    settings.root_key_path.chmod(0o600)
    first, second = box_key(settings), box_key(settings)
    assert first.private_bytes_raw() == second.private_bytes_raw() != b"k" * 32


def test_the_page_tells_who_tried_and_what_failed() -> None:
    tried = leg(sealed=False, opt_outs=True, attempts=[ATTEMPT])
    lines = "\n".join(page(report(tried, CONTAINED), "f" * 64))
    assert "The proof did not hold" in lines
    assert next(attempts(tried)) in lines
    assert "python -m workers.main answers [7]: tcp 198.18.1.1 port 443 (collector.example), 1 x" in lines


def test_every_kind_of_file_is_part_of_the_day_and_points_outside() -> None:
    found = {name: check_upload(name, content[:4_096]) for name, content in samples.files().items()}
    assert set(found.values()) == set(MediaType) == set(EXTENSIONS.values())
    for name, content in samples.files().items():
        if not name.endswith((".docx", ".pptx", ".xlsx", ".epub", ".odt")):
            assert b"cloister-proof.example" in content, name


def test_a_runtime_is_put_first_in_every_shipped_rule_that_allows_it_and_added_to_none() -> None:
    shipped = (CODE / "policies" / "routing.toml").read_text()
    before, after = (tomllib.loads(text)["rules"] for text in (shipped, preferring("foundry", shipped)))
    for name, rule in before.items():
        assert sorted(after[name]["runtimes"]) == sorted(rule["runtimes"])
        assert (after[name]["runtimes"][0] == "foundry") == ("foundry" in rule["runtimes"])
    assert preferring("nobody", shipped).count("nobody") == 0
