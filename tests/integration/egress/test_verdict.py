"""What may leave, as a table: each row differs from a call that may in one thing."""

from __future__ import annotations

import pytest

from appliance.egress.calls import OWN_WORDS
from appliance.egress.destinations import Destination, Purpose
from appliance.egress.frames import Asked
from appliance.egress.verdict import Permissions, objection

KNOWN = {purpose.value: Destination(purpose.value, "127.0.0.1", 443, purpose) for purpose in Purpose}
PERMISSIONS = Permissions(KNOWN, (), {"internal": frozenset({"inference", "log"}), "secret": frozenset()})


def asked(**given) -> Asked:
    usual = {
        "destination": "inference",
        "purpose": Purpose.INFERENCE,
        "path": "/v1/chat/completions",
        "classification": "internal",
        "body_bytes": 10,
        "limit_bytes": 10,
        "silence_s": 1.0,
        "deadline_s": None,
    }
    return Asked(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"destination": "elsewhere"}, "unknown_destination"),
        ({"purpose": Purpose.LOG}, "other_purpose"),
        ({"destination": "log"}, "other_purpose"),
        ({"destination": "download", "purpose": Purpose.DOWNLOAD, "body_bytes": 0}, "no_maintenance_window"),
        ({"path": "/v1/../x"}, "path"),
        ({"path": "/v1/chat/completions/thirty-days-of-leave"}, "path"),
        ({"path": "/thirty-days-of-leave", "body_bytes": 0}, "path"),
        ({"destination": "log", "purpose": Purpose.LOG, "classification": "", "path": "/audit/thirty-days"}, "path"),
        ({"destination": "identity", "purpose": Purpose.IDENTITY, "classification": "", "path": "/x" * 300}, "path"),
        ({"body_bytes": 16_000_001}, "too_large"),
        ({"body_bytes": -1}, "too_large"),
        ({"classification": "secret"}, "classification"),
        ({"classification": "unheard-of"}, "classification"),
        ({"classification": ""}, "classification"),
        ({"classification": OWN_WORDS, "body_bytes": 2_001}, "classification"),
        # passages go to no other purpose, whatever the routing policy names
        ({"destination": "log", "purpose": Purpose.LOG, "path": "/audit"}, "classification"),
        ({"destination": "identity", "purpose": Purpose.IDENTITY}, "classification"),
        ({"destination": "identity", "purpose": Purpose.IDENTITY, "classification": OWN_WORDS}, "classification"),
        ({}, ""),
        ({"classification": OWN_WORDS}, ""),
        ({"classification": "", "body_bytes": 0}, ""),
        ({"destination": "log", "purpose": Purpose.LOG, "classification": "", "path": "/audit"}, ""),
    ],
)
def test_what_differs_in_one_thing_is_refused_for_it(given, reason):
    assert objection(asked(**given), PERMISSIONS) == reason
