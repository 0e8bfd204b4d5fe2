"""What `policies/identity.toml` may say, and what the table of groups makes of somebody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.egress.destinations import identity_provider, load_destinations
from appliance.errors import SetupError
from appliance.identity.models import Role
from appliance.identity.provider.mapping import groups_wanted, roles_after
from appliance.identity.provider.policy import Rule, load_provider, require_own_address

ROOT = Path(__file__).resolve().parents[3]
WHOLE = """
name = "Example ID"
issuer = "https://id.example.org"
client_id = "cloister"
authorization_endpoint = "https://id.example.org/authorize"
token_path = "/oauth2/v2.0/token"
keys_path = "/keys"
name_claim = "preferred_username"
"""


def load(tmp_path: Path, text: str):
    file = tmp_path / "identity.toml"
    file.write_text(text)
    return load_provider(file)


def test_as_shipped_there_is_no_provider() -> None:
    assert load_provider(ROOT / "policies" / "identity.toml") is None


def test_what_stands_in_the_shipped_file_as_an_example_can_be_used(tmp_path: Path) -> None:
    lines = (ROOT / "policies" / "identity.toml").read_text().splitlines()
    example = "\n".join(line[2:] for line in lines if line.startswith(("# [[",)) or " = " in line)
    assert load(tmp_path, example).rules == (Rule("cloister-users", role=Role.EMPLOYEE), Rule("finance", box_group="Finance"))


WRONG = {
    "nothing that can be read": "name = ",
    "a part of it": 'name = "Example ID"',
    "an unknown entry": WHOLE + 'client_secret = "in the open"',
    "a number for a text": WHOLE.replace('"cloister"', "7"),
    "an empty text": WHOLE.replace('"cloister"', '" "'),
    "an issuer in the clear": WHOLE.replace('issuer = "https', 'issuer = "http'),
    "an authorization endpoint in the clear": WHOLE.replace('_endpoint = "https', '_endpoint = "http'),
    "a script for an endpoint": WHOLE.replace("https://id.example.org/authorize", "javascript:alert(1)"),
    "an endpoint with a query": WHOLE.replace("/authorize", "/authorize?prompt=none"),
    "an endpoint with a name before it": WHOLE.replace("https://id.example.org/a", "https://box@id.example.org/a"),
    "a whole address for a path": WHOLE.replace("/keys", "https://id.example.org/keys"),
    "a path that goes up": WHOLE.replace("/keys", "/../keys"),
    "a scope without openid": WHOLE + 'scope = "profile"',
    "a text for a switch": WHOLE + 'make_accounts = "yes"',
    "a text for a list": WHOLE + 'amr = "mfa"',
    "accounts without roles": WHOLE + "make_accounts = true",
    "a table without a claim": WHOLE + '[[mapping]]\ngroup = "a"\nrole = "employee"',
    "an unknown role": WHOLE + 'groups_claim = "groups"\n[[mapping]]\ngroup = "a"\nrole = "root"',
    "a rule with both": WHOLE + 'groups_claim = "groups"\n[[mapping]]\ngroup = "a"\nrole = "employee"\nbox_group = "b"',
    "a rule with neither": WHOLE + 'groups_claim = "groups"\n[[mapping]]\ngroup = "a"',
    "a rule for everybody": WHOLE + 'groups_claim = "groups"\n[[mapping]]\ngroup = "a"\nbox_group = "Everyone"',
    "a table that is none": WHOLE + 'groups_claim = "groups"\nmapping = "a"',
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_not_understood_keeps_the_box_from_starting(tmp_path: Path, what: str) -> None:
    with pytest.raises(SetupError) as caught:
        load(tmp_path, WRONG[what])
    assert caught.value.stable_code == "setup.identity"


@pytest.mark.parametrize(
    ("address", "secure"),
    [
        ("", True),
        ("box.example.org", True),
        ("http://box.example.org", True),
        ("https://box.example.org/cloister", True),
        ("https://box.example.org?x=1", True),
        ("https://somebody@box.example.org", True),
        ("https://box.example.org:port", True),
        ("https://box.example.org", False),  # the cookies would be anybody's on the way
    ],
)
def test_an_address_that_people_cannot_be_sent_back_to_is_refused(address: str, secure: bool) -> None:
    with pytest.raises(SetupError):
        require_own_address(address, secure=secure)


def test_addresses_to_come_back_to() -> None:
    assert require_own_address("https://box.example.org/", secure=True) == "https://box.example.org"
    assert require_own_address("http://127.0.0.1:8080", secure=False) == "http://127.0.0.1:8080"


def test_there_is_one_provider(tmp_path: Path) -> None:
    row = '[[destination]]\nname = "{}"\nhost = "id.example.org"\nport = 443\npurpose = "identity"\n'
    file = tmp_path / "destinations.toml"
    file.write_text(row.format("one"))
    assert identity_provider(load_destinations(file)).name == "one"
    file.write_text(row.format("one") + row.format("two"))
    with pytest.raises(SetupError):
        load_destinations(file)


_GROUPS = st.frozensets(st.sampled_from(["a", "b", "c", "d"]))
_ROLES = st.frozensets(st.sampled_from(list(Role)))
_RULES = st.lists(
    st.builds(Rule, st.sampled_from(["a", "b", "c"]), role=st.sampled_from(list(Role)))
    | st.builds(Rule, st.sampled_from(["a", "b", "c"]), box_group=st.sampled_from(["Finance", "Legal"]))
)


@given(_RULES, _GROUPS, _ROLES)
def test_roles_follow_the_table_and_nothing_else_moves(rules, claimed, held) -> None:
    named = {rule.role for rule in rules if rule.role}
    granted = {rule.role for rule in rules if rule.role and rule.group in claimed}
    after = roles_after(rules, claimed, held)
    assert after - named == held - named
    assert after & named == granted
    assert roles_after(rules, claimed, after) == after
    assert roles_after(list(reversed(rules)), claimed, held) == after


@given(_RULES, _GROUPS)
def test_a_group_of_the_box_is_wanted_where_any_rule_says_so(rules, claimed) -> None:
    wanted = groups_wanted(rules, claimed)
    assert set(wanted) == {rule.box_group for rule in rules if rule.box_group}
    for group, belongs in wanted.items():
        assert belongs == any(rule.box_group == group and rule.group in claimed for rule in rules)
