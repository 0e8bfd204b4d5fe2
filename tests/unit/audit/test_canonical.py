from __future__ import annotations

import hashlib
import json
from base64 import b64encode

import pytest

from appliance.audit.canonical import canonical_json, commitment, leaf_hash
from appliance.audit.classes import CLASSES, classify
from appliance.audit.events import EventName
from appliance.audit.log import utc_text
from appliance.policy.actions import Action


@pytest.mark.parametrize("value", [{"n": 2**53}, {"n": float("nan")}, {"n": object()}, {1: "x"}])
def test_what_has_no_canonical_form_is_refused(value: dict) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


def test_members_are_sorted_by_utf_16_units() -> None:
    # U+FB33 sorts after the surrogates of U+1F600, though its code point is smaller: the example of RFC 8785, 3.2.3
    assert list(json.loads(canonical_json({"\ufb33": 1, "\U0001f600": 2, "b": 3, "B": 4}))) == ["B", "b", "\U0001f600", "\ufb33"]
    assert canonical_json({"b": [1, "ü\n"], "a": {}}) == '{"a":{},"b":[1,"ü\\n"]}'.encode()


def test_a_leaf_is_tagged_apart_from_inner_nodes() -> None:
    assert leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
    assert leaf_hash(b"body") != hashlib.sha256(b"body").digest()


def test_a_commitment_is_over_salt_field_and_value() -> None:
    salt = bytes(range(16))
    told = json.dumps([b64encode(salt).decode(), "name", "night porter"], separators=(",", ":")).encode()
    assert commitment(salt, "name", "night porter") == b64encode(hashlib.sha256(told).digest()).decode()
    assert len({commitment(salt, *item) for item in (("name", "a"), ("nam", "ea"), ("name", "b"))}) == 3
    assert commitment(bytes(16), "name", "a") != commitment(salt, "name", "a")


def test_every_event_has_a_class_and_every_refusal_finds_one() -> None:
    assert set(CLASSES) | {EventName.ACCESS_DENIED} == set(EventName)
    assert {classify(EventName.ACCESS_DENIED, str(action)).class_uid for action in Action} <= {
        kind.class_uid for kind in CLASSES.values()
    }
    assert classify(EventName.ACCESS_DENIED, "document:read").class_uid == classify(EventName.DOCUMENT_READ).class_uid


@pytest.mark.parametrize("action", Action, ids=str)
def test_a_refusal_is_filed_where_events_of_the_same_thing_are(action: Action) -> None:
    noun = str(action).partition(":")[0]
    same = {kind.class_uid for name, kind in CLASSES.items() if name.partition(".")[0] == noun}
    assert not same or classify(EventName.ACCESS_DENIED, str(action)).class_uid in same


def test_times_are_utc_to_the_millisecond() -> None:
    assert utc_text(0) == "1970-01-01T00:00:00.000Z"
    assert utc_text(1_769_848_200_007) == "2026-01-31T08:30:00.007Z"
