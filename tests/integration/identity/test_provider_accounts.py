"""Whose account somebody of the provider has, and what becomes of their roles and groups: refusals first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance
from appliance.errors import Conflict, Denied, NotFound, NotSignedIn, Unavailable
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal, Role
from appliance.identity.provider.policy import Rule
from appliance.identity.provider.refusal import ProviderRefusal, Reason
from appliance.storage.tables import audit_events, provider_links
from tests.conftest import PASSWORD
from tests.factor_samples import StillClock, enrol
from tests.identity_providers import USUAL_RULES, FakeProvider, come_back, standing_provider

ADMINS, OFFICERS, USERS = "box-admins", "box-officers", "box-users"


def log(appliance: Appliance, *names: str) -> list[tuple[str, str, dict]]:
    """Event, who acted and facts, oldest first."""
    with appliance.database.read() as connection:
        rows = connection.execute(
            select(audit_events.c.event, audit_events.c.actor_pseudonym, audit_events.c.body).order_by(audit_events.c.seq)
        )
        found = [(row.event, row.actor_pseudonym, json.loads(row.body).get("facts", {})) for row in rows]
    return [each for each in found if each[0] in names]


def last_reason(appliance: Appliance) -> str:
    return log(appliance, "session.refused")[-1][2]["reason"]


def account(appliance: Appliance, administrator: Principal, name: str):
    return next(each for each in appliance.people.list(administrator) if each.principal.name == name)


def turned_away(appliance: Appliance, fake: FakeProvider, reason: Reason, sentence_of: Reason = Reason.UNKNOWN_PERSON) -> None:
    with pytest.raises(ProviderRefusal) as caught:
        come_back(appliance, fake)
    assert last_reason(appliance) == reason
    assert caught.value.sentence == ProviderRefusal(sentence_of).sentence, "who is turned away is told alike"


@pytest.fixture
def provider(appliance: Appliance) -> Iterator[FakeProvider]:
    with standing_provider(appliance) as fake:
        yield fake


@contextmanager
def with_alice(appliance: Appliance, administrator: Principal, alice: Principal, **changes) -> Iterator[FakeProvider]:
    with standing_provider(appliance, **changes) as fake:
        appliance.provider_accounts.allow(administrator, alice.id)
        yield fake


# who ---------------------------------------------------------------------------------------------------------------------------


def test_nobody_has_an_account_by_their_name_alone(appliance: Appliance, provider: FakeProvider, alice) -> None:
    turned_away(appliance, provider, Reason.UNKNOWN_PERSON)
    assert appliance.sessions.sign_in("alice", PASSWORD, "10.0.0.1"), "and the password is as it was"


def test_an_account_that_is_linked_is_nobody_elses_of_that_name(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        assert come_back(appliance, fake)
        fake.said["sub"] = "another-subject"
        turned_away(appliance, fake, Reason.UNKNOWN_PERSON)


def test_the_subject_counts_and_the_name_no_longer(appliance: Appliance, administrator, alice, bob) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        come_back(appliance, fake)
        appliance.provider_accounts.allow(administrator, bob.id)
        for name in ("bob", "administrator", "", None, 7):
            fake.said["name"] = name
            assert appliance.sessions.principal(come_back(appliance, fake)).id == alice.id
    assert account(appliance, administrator, "bob").provider == "allowed"


def test_another_issuer_is_another_person(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        come_back(appliance, fake)
    with standing_provider(appliance) as elsewhere:
        assert elsewhere.issuer != fake.issuer
        turned_away(appliance, elsewhere, Reason.UNKNOWN_PERSON)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"name": "nobody here"}, Reason.UNKNOWN_PERSON),
        ({"name": ""}, Reason.UNKNOWN_PERSON),
        ({"name": None}, Reason.UNKNOWN_PERSON),
        ({"name": ["alice"]}, Reason.UNKNOWN_PERSON),
        ({"name": "alice\x00"}, Reason.UNKNOWN_PERSON),
        ({"name": "a" * 300}, Reason.UNKNOWN_PERSON),
        # to the provider somebody else, and here the same name in another spelling
        ({"name": "\uff41lice"}, Reason.UNKNOWN_PERSON),
        ({"name": "al\u2170ce"}, Reason.UNKNOWN_PERSON),
        ({"name": "alice "}, Reason.UNKNOWN_PERSON),
    ],
)
def test_without_a_name_that_fits_nobody_is_linked(appliance: Appliance, administrator, alice, said, reason) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        fake.said |= said
        turned_away(appliance, fake, reason)


@pytest.mark.parametrize("verified", [None, False, "true", 1])
def test_an_address_that_nobody_verified_links_nobody(appliance: Appliance, administrator, verified) -> None:
    person = appliance.people.create(administrator, "alice@example.org", PASSWORD, {Role.EMPLOYEE})
    with with_alice(appliance, administrator, person, name_claim="email") as fake:
        fake.said |= {"email": "alice@example.org", "email_verified": verified}
        turned_away(appliance, fake, Reason.UNVERIFIED_EMAIL)
        fake.said["email_verified"] = True
        assert come_back(appliance, fake)


def test_who_is_disabled_stays_out(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, disabled=True)
        turned_away(appliance, fake, Reason.DISABLED)
        appliance.people.update(administrator, alice.id, disabled=False)
        assert come_back(appliance, fake)


def test_who_was_deleted_is_nobody(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, disabled=True)
        appliance.people.delete(administrator, alice.id, conversations=0, documents=0)
        turned_away(appliance, fake, Reason.UNKNOWN_PERSON)
        with appliance.database.read() as connection:
            assert connection.execute(select(provider_links)).all() == []


@pytest.mark.parametrize("said", ["Jos\u00e9", "JOS\u00c9", "Jose\u0301"])
def test_capitals_and_the_way_an_accent_is_written_are_no_other_name(appliance: Appliance, administrator, said) -> None:
    person = appliance.people.create(administrator, "Jos\u00e9", PASSWORD, {Role.EMPLOYEE})
    with with_alice(appliance, administrator, person) as fake:
        fake.said["name"] = said
        assert come_back(appliance, fake)


# passwords ---------------------------------------------------------------------------------------------------------------------


def test_who_comes_in_through_the_provider_has_no_password(appliance: Appliance, administrator, alice) -> None:
    token = appliance.sessions.sign_in("alice", PASSWORD, "10.0.0.1")
    with with_alice(appliance, administrator, alice) as fake:
        assert appliance.sessions.principal(token) is None
        for password in (PASSWORD, ""):
            with pytest.raises(NotSignedIn):
                appliance.sessions.sign_in("alice", password, "10.0.0.1")
        assert not appliance.provider_accounts.has_password(alice)
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, password="another long passphrase")
        assert appliance.sessions.sign_in("alice", "another long passphrase", "10.0.0.1")
        assert come_back(appliance, fake)


def test_some_administrator_keeps_a_password(appliance: Appliance, provider: FakeProvider, administrator) -> None:
    with pytest.raises(Conflict) as caught:
        appliance.provider_accounts.allow(administrator, administrator.id)
    assert caught.value.stable_code == "person.last_password"
    second = appliance.people.create(administrator, "second", PASSWORD, {Role.ADMINISTRATOR})
    appliance.provider_accounts.allow(administrator, second.id)
    with pytest.raises(Conflict):
        appliance.provider_accounts.allow(administrator, administrator.id)


@pytest.mark.parametrize("change", [{"disabled": True}, {"roles": {Role.EMPLOYEE}}, {"roles": {Role.OFFICER}}])
def test_the_administrator_who_has_a_password_stays_one(
    appliance: Appliance, provider: FakeProvider, administrator, change
) -> None:
    second = appliance.people.create(administrator, "second", PASSWORD, {Role.ADMINISTRATOR})
    appliance.provider_accounts.allow(administrator, second.id)
    with pytest.raises(Conflict) as caught:
        appliance.people.update(second, administrator.id, **change)
    assert caught.value.stable_code == "person.last_password"
    appliance.people.update(administrator, second.id, **change)  # who has none may go
    third = appliance.people.create(administrator, "third", PASSWORD, {Role.ADMINISTRATOR})
    appliance.people.update(third, administrator.id, **change)


def test_only_administrators_decide_who_comes_in(appliance: Appliance, provider: FakeProvider, alice, officer) -> None:
    for person in (alice, officer):
        for act in (appliance.provider_accounts.allow, appliance.provider_accounts.unlink):
            with pytest.raises(Denied):
                act(person, alice.id)


def test_without_a_provider_nobody_loses_their_password(appliance: Appliance, administrator, alice) -> None:
    with pytest.raises(Conflict):
        appliance.provider_accounts.allow(administrator, alice.id)
    assert appliance.sessions.sign_in("alice", PASSWORD, "10.0.0.1")


def test_whoever_is_unlinked_stays_out(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        token = come_back(appliance, fake)
        with pytest.raises(Conflict):
            appliance.provider_accounts.allow(administrator, alice.id)
        appliance.provider_accounts.unlink(administrator, alice.id)
        assert appliance.sessions.principal(token) is None
        turned_away(appliance, fake, Reason.UNKNOWN_PERSON)
        with pytest.raises(NotFound):
            appliance.provider_accounts.unlink(administrator, alice.id)
    assert [event for event, *_ in log(appliance, "identity.linked", "identity.unlinked")] == [
        "identity.linked",
        "identity.unlinked",
    ]


# roles and groups --------------------------------------------------------------------------------------------------------------


def test_nobody_becomes_officer_and_administrator(appliance: Appliance, administrator, alice, officer) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        fake.said["groups"] = [ADMINS, OFFICERS]
        turned_away(appliance, fake, Reason.ROLES_CONFLICT)
    assert account(appliance, administrator, "alice").principal.roles == {Role.EMPLOYEE}
    # nor by a role that the table does not name
    only_admins = tuple(rule for rule in USUAL_RULES if rule.role is Role.ADMINISTRATOR)
    with with_alice(appliance, administrator, officer, rules=only_admins) as fake:
        fake.said |= {"name": "officer", "sub": "subject-2", "groups": [ADMINS]}
        turned_away(appliance, fake, Reason.ROLES_CONFLICT)
    assert account(appliance, administrator, "officer").principal.roles == {Role.OFFICER}


def test_who_has_no_role_left_is_out_and_so_are_their_sessions(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        token = come_back(appliance, fake)
        fake.said["groups"] = []
        turned_away(appliance, fake, Reason.NO_ROLE)
        assert appliance.sessions.principal(token) is None


def test_who_has_no_role_left_has_no_keys_left(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, password=PASSWORD)
        appliance.api_keys.create(alice, PASSWORD, "Import", {KeyScope.ASK})
        fake.said["groups"] = []
        turned_away(appliance, fake, Reason.NO_ROLE)
    assert account(appliance, administrator, "alice").keys == 0
    assert log(appliance, "key.ended") == [("key.ended", "system", {"reason": "provider"})]


def test_the_last_administrator_stays_one(appliance: Appliance, administrator, alice) -> None:
    second = appliance.people.create(administrator, "second", PASSWORD, {Role.ADMINISTRATOR, Role.EMPLOYEE})
    with with_alice(appliance, administrator, second) as fake:
        fake.said |= {"name": "second", "groups": [ADMINS, USERS]}
        come_back(appliance, fake)
        appliance.people.update(administrator, second.id, password=PASSWORD)
        appliance.people.update(second, administrator.id, disabled=True)
        fake.said["groups"] = [USERS]
        turned_away(appliance, fake, Reason.LAST_ADMINISTRATOR)


def test_roles_follow_the_provider_and_the_log_says_so(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice) as fake:
        first = come_back(appliance, fake)
        fake.said["groups"] = [USERS, ADMINS, "something else"]
        second = come_back(appliance, fake)
        assert appliance.sessions.principal(first) is None, "other roles end the sessions of before"
        assert appliance.sessions.principal(second).roles == {Role.EMPLOYEE, Role.ADMINISTRATOR}
        fake.said["groups"] = USERS  # some providers say one as a text
        assert appliance.sessions.principal(come_back(appliance, fake)).roles == {Role.EMPLOYEE}
    told = [(actor, facts) for _, actor, facts in log(appliance, "person.updated") if facts.get("reason") == "provider"]
    assert told == [
        ("system", {"reason": "provider", "roles": "administrator,employee", "roles_before": "employee"}),
        ("system", {"reason": "provider", "roles": "employee", "roles_before": "administrator,employee"}),
    ]


def test_what_the_table_does_not_name_is_left_alone(appliance: Appliance, administrator, alice, officer) -> None:
    group = appliance.groups.create(administrator, "Made by hand").id
    appliance.groups.add(administrator, group, [alice.id])
    with with_alice(appliance, administrator, alice, rules=()) as fake:
        fake.said["groups"] = [ADMINS]
        person = appliance.sessions.principal(come_back(appliance, fake))
    assert person.roles == {Role.EMPLOYEE}
    assert group in person.groups


def test_groups_follow_the_provider(appliance: Appliance, administrator, alice) -> None:
    finance = appliance.groups.create(administrator, "Finance").id
    legal = appliance.groups.create(administrator, "Legal").id
    shared = appliance.collections.create(administrator, "Ledgers", readers=[f"group:{finance}"], contributors=[])
    rules = (*USUAL_RULES, Rule("fin", box_group="finance"), Rule("cfo", box_group=finance), Rule("law", box_group=legal))
    rules += (Rule("fin", box_group="Not there"),)
    with with_alice(appliance, administrator, alice, rules=rules) as fake:
        for groups, expected in [
            ([USERS, "cfo"], {finance}),
            ([USERS, "fin", "law"], {finance, legal}),
            ([USERS, "law"], {legal}),
            ([USERS], set()),
        ]:
            fake.said["groups"] = groups
            person = appliance.sessions.principal(come_back(appliance, fake))
            assert person.groups - {"everyone"} == expected, groups
    told = [
        (event, actor, facts["reason"], facts["collections"])
        for event, actor, facts in log(appliance, "member.added", "member.removed")
    ]
    assert told == [
        ("member.added", "system", "provider", 1),
        ("member.added", "system", "provider", 0),
        ("member.removed", "system", "provider", 1),
        ("member.removed", "system", "provider", 0),
    ]
    assert shared
    assert {facts["groups_missing"] for *_, facts in log(appliance, "session.created")} == {1}


# accounts that are made at the first sign-in -----------------------------------------------------------------------------------


def test_nobody_is_given_an_account_where_the_policy_does_not_say_so(
    appliance: Appliance, provider: FakeProvider, administrator
) -> None:
    provider.said["name"] = "carol"
    turned_away(appliance, provider, Reason.UNKNOWN_PERSON)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"name": "alice"}, Reason.NAME_TAKEN),
        ({"name": "ALICE"}, Reason.NAME_TAKEN),
        ({"name": " ALICE "}, Reason.UNKNOWN_PERSON),
        ({"name": "administrator"}, Reason.NAME_TAKEN),
        ({"name": ""}, Reason.UNKNOWN_PERSON),
        ({"name": " "}, Reason.UNKNOWN_PERSON),
        ({"groups": []}, Reason.NO_ROLE),
        ({"groups": ["something else"]}, Reason.NO_ROLE),
        ({"groups": [OFFICERS, ADMINS]}, Reason.ROLES_CONFLICT),
    ],
)
def test_an_account_is_made_for_nobody_else(appliance: Appliance, administrator, alice, said, reason) -> None:
    with standing_provider(appliance, make_accounts=True) as fake:
        fake.said |= {"name": "carol"} | said
        turned_away(appliance, fake, reason)
    assert {each.principal.name for each in appliance.people.list(administrator)} == {"administrator", "alice"}


def test_nobody_of_the_provider_has_the_first_account(appliance: Appliance) -> None:
    """Whoever came first would end the set-up, and no administrator would have a password."""
    with standing_provider(appliance, make_accounts=True) as fake:
        for groups in ([USERS], [ADMINS]):
            fake.said |= {"name": "carol", "groups": groups}
            turned_away(appliance, fake, Reason.UNKNOWN_PERSON)
    assert appliance.setup.needed()


def test_an_account_is_made_with_the_roles_of_the_table(appliance: Appliance, administrator) -> None:
    with standing_provider(appliance, make_accounts=True) as fake:
        fake.said |= {"name": "carol", "groups": [USERS, OFFICERS]}
        person = appliance.sessions.principal(come_back(appliance, fake))
        again = appliance.sessions.principal(come_back(appliance, fake))
    assert again == person
    assert (person.name, person.roles) == ("carol", {Role.EMPLOYEE, Role.OFFICER})
    assert account(appliance, administrator, "carol").provider == "linked"
    assert [item for item in appliance.collections.readable(person) if item.owner_id == person.id]
    assert [(event, actor) for event, actor, _ in log(appliance, "person.created")][-1] == ("person.created", "system")
    with pytest.raises(NotSignedIn):
        appliance.sessions.sign_in("carol", "", "10.0.0.1")


# second factors ----------------------------------------------------------------------------------------------------------------


def test_the_provider_stands_for_no_second_factor_unless_it_says_so(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice, required=frozenset({Role.EMPLOYEE}), amr=frozenset({"mfa"})) as fake:
        for claims in ({}, {"amr": ["pwd"]}, {"amr": "mfa"}, {"amr": [["mfa"]]}, {"acr": "mfa"}):
            fake.claims = claims
            turned_away(appliance, fake, Reason.NO_SECOND_FACTOR, Reason.NO_SECOND_FACTOR)
        assert appliance.factors.missing() == (2, 1), "the one without a password shows it at the provider"
        fake.claims = {"amr": ["pwd", "mfa"]}
        person = appliance.sessions.principal(come_back(appliance, fake))
        assert appliance.factors.may_act(person)
    assert log(appliance, "session.created")[-1][2] == {"by": "provider", "second_factor": "provider"}


def test_a_level_of_assurance_counts_where_the_policy_names_it(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice, required=frozenset({Role.EMPLOYEE}), acr=frozenset({"gold"})) as fake:
        fake.claims = {"acr": "bronze"}
        turned_away(appliance, fake, Reason.NO_SECOND_FACTOR, Reason.NO_SECOND_FACTOR)
        fake.claims = {"acr": "gold"}
        assert come_back(appliance, fake)


def test_who_has_a_second_factor_here_does_not_lose_it_by_the_other_door(appliance: Appliance, administrator, alice) -> None:
    enrol(appliance, alice, StillClock().of(appliance))
    with with_alice(appliance, administrator, alice, amr=frozenset({"mfa"})) as fake:
        turned_away(appliance, fake, Reason.NO_SECOND_FACTOR, Reason.NO_SECOND_FACTOR)
        fake.claims = {"amr": ["mfa"]}
        assert come_back(appliance, fake)


def test_an_account_that_must_have_a_factor_is_not_made_without(appliance: Appliance, administrator) -> None:
    with standing_provider(appliance, make_accounts=True, required=frozenset({Role.EMPLOYEE}), amr=frozenset({"mfa"})) as fake:
        fake.said["name"] = "carol"
        turned_away(appliance, fake, Reason.NO_SECOND_FACTOR, Reason.NO_SECOND_FACTOR)
        assert [each.principal.name for each in appliance.people.list(administrator)] == ["administrator"]
        fake.claims = {"amr": ["mfa"]}
        assert come_back(appliance, fake)


def test_what_was_shown_counts_for_that_session_alone(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice, required=frozenset({Role.EMPLOYEE}), amr=frozenset({"mfa"})) as fake:
        fake.claims = {"amr": ["mfa"]}
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, password="another long passphrase")
        by_password = appliance.sessions.principal(appliance.sessions.sign_in("alice", "another long passphrase", "10.0.0.1"))
        assert not appliance.factors.may_act(by_password)


def test_another_password_takes_nothing_of_what_was_shown_for_that_session(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice, required=frozenset({Role.EMPLOYEE}), amr=frozenset({"mfa"})) as fake:
        fake.claims = {"amr": ["mfa"]}
        come_back(appliance, fake)
        appliance.people.update(administrator, alice.id, password=PASSWORD)
        token = come_back(appliance, fake)
        renewed = appliance.sessions.change_password(token, PASSWORD, "another long passphrase")
        assert appliance.factors.may_act(appliance.sessions.principal(renewed))


def test_a_role_that_comes_with_the_sign_in_is_asked_for_its_factor(appliance: Appliance, administrator, alice) -> None:
    with with_alice(appliance, administrator, alice, required=frozenset({Role.ADMINISTRATOR}), amr=frozenset({"mfa"})) as fake:
        assert come_back(appliance, fake)
        fake.said["groups"] = [USERS, ADMINS]
        turned_away(appliance, fake, Reason.NO_SECOND_FACTOR, Reason.NO_SECOND_FACTOR)


def test_the_box_cannot_be_made_to_ask_somebody_else(appliance: Appliance, administrator, alice) -> None:
    """Without a destination of that purpose nothing leaves, whatever the policy file says."""
    from appliance.administration.provider.endpoint import ProviderEndpoint
    from tests.gates import standing_gate

    with with_alice(appliance, administrator, alice) as fake:
        gate = standing_gate(appliance)
        appliance.provider_sign_in._endpoint = ProviderEndpoint(lambda: gate, appliance.settings.identity_secret_path)
        with pytest.raises(Unavailable):
            come_back(appliance, fake)
        assert fake.server.asked == []
