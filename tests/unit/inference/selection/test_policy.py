"""The routing policy is understood as a whole, or the appliance does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.egress.seal.layers import Strength
from appliance.errors import SetupError
from appliance.inference.selection.policy import load_policy, parse_policy
from tests.unit.inference.selection.offers import HEAD, policy_text

SHIPPED = Path(__file__).resolve().parents[4] / "policies" / "routing.toml"

FAULTS = {
    "not TOML": ("classifications = [", "not valid TOML"),
    "empty": ("", "does not say choosers"),
    "unknown key": ('colour = "red"\n' + policy_text(), "unknown key colour"),
    "missing key": (policy_text(HEAD.replace("device_headroom_mb = 500", "")), "does not say device_headroom_mb"),
    "negative": (policy_text(HEAD.replace("device_headroom_mb = 500", "device_headroom_mb = -1")), "device_headroom_mb, not -1"),
    "true is no number": (policy_text(HEAD.replace("= 500\ndev", "= true\ndev")), "memory_headroom_mb, not True"),
    "unknown role": (policy_text(HEAD.replace('"administrator"', '"boss"')), "unknown boss in choosers"),
    "unknown device": (policy_text(HEAD.replace('"intel_npu"', '"abacus"')), "unknown abacus in devices"),
    "a device twice": (policy_text(HEAD.replace('"intel_npu"', '"cpu"')), "names cpu twice in devices"),
    "half an order": (policy_text(HEAD.replace('["model", "runtime", ', "[")), "must name each of"),
    "a word for a list": (policy_text(HEAD.replace('["administrator"]', '"administrator"')), "list of words for choosers"),
    "rule without classification": (policy_text() + '\n[rules.royal]\nseal = "none"\n', "unknown key rules.royal"),
    "classification without rule": (policy_text(HEAD.replace('"secret"]', '"secret", "royal"]')), "not say rules.royal"),
    "the default is missing": (policy_text(HEAD.replace('"internal"', '"usual"')), "does not list the classification internal"),
    "unknown seal": (policy_text(secret={"seal": "wax"}), "rules.secret.seal = 'wax'"),
    "unknown runtime": (policy_text(secret={"runtimes": ["abacus"]}), "unknown abacus in rules.secret.runtimes"),
    "unknown key in a rule": (policy_text() + 'colour = "red"\n', "unknown key rules.secret.colour"),
    "a number for canary": (policy_text(secret={"canary": 1}), "rules.secret.canary = 1"),
}
RUNTIMES = ["llamacpp", "genai", "foundry", "ollama", "openai"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_understood_is_refused_with_a_sentence(fault):
    text, told = FAULTS[fault]
    with pytest.raises(SetupError) as refused:
        parse_policy(text, "routing.toml", runtimes=RUNTIMES)
    assert refused.value.stable_code == "setup.routing"
    assert told in refused.value.sentence
    assert refused.value.sentence.startswith("The routing policy routing.toml ")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SetupError, match="without it no model may answer"):
        load_policy(tmp_path / "routing.toml")


def test_what_is_read_is_what_was_written():
    policy = parse_policy(policy_text(), runtimes=RUNTIMES)
    assert policy.classifications == ("public", "internal", "confidential", "secret")
    assert policy.rules["secret"].seal is Strength.NAMESPACE
    assert policy.rules["secret"].models == ("smol", "qwen")
    assert policy.rules["public"].destinations == ("lan-server",)
    assert len(policy.sha256) == 64


def test_patterns_rank_models_in_their_order():
    rule = parse_policy(policy_text()).rules["confidential"]
    assert [rule.model_rank(name) for name in ("qwen3", "smol", "Qwen3")] == [0, 1, 1]
    assert parse_policy(policy_text()).rules["secret"].model_rank("qwen3") is None


@pytest.mark.parametrize(
    ("found", "highest"),
    [
        ([], "internal"),
        (["public"], "public"),
        (["public", "secret", "internal"], "secret"),
        (["confidential", "confidential"], "confidential"),
        (["secret", "unheard of"], "unheard of"),
    ],
)
def test_the_highest_decides_and_the_unknown_is_above_all(found, highest):
    assert parse_policy(policy_text()).highest(found) == highest


def test_the_shipped_policy_is_sound_and_lets_nothing_out():
    policy = load_policy(SHIPPED)
    assert all(rule.destinations == () for rule in policy.rules.values())
    names = list(policy.classifications)
    for lower, higher in zip(names, names[1:], strict=False):
        assert set(policy.rules[higher].runtimes) <= set(policy.rules[lower].runtimes), "a higher classification allows more"
        assert policy.rules[higher].seal.meets(policy.rules[lower].seal)
