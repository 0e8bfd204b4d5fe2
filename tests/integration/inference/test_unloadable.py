"""A model that cannot be loaded, from the question to the answer of the next permitted one: real files, real runtimes, real records."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.bootstrap import Appliance, open_appliance
from appliance.chat.models import Message
from appliance.identity.models import Principal
from appliance.inference.load_failures import LONGEST_MS
from appliance.inference.sources import LANGUAGE_MODEL, locate
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion
from appliance.settings import Settings
from appliance.storage.clock import now_ms
from appliance.storage.tables import audit_events
from tests.integration.administration.test_crashing_models import dying
from tests.unit.inference.gguf_samples import METADATA, gguf

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("own_models")]
QUESTION = "Where does the night porter write the time?"


@pytest.fixture
def porter(appliance: Appliance, alice: Principal) -> Principal:
    """Somebody whose documents hold the answer."""
    with appliance.documents.begin_upload(alice, appliance.collections.readable(alice)[0].id, "porter.txt") as upload:
        upload.write(b"The night porter writes the time in the green book.")
        document, _ = upload.commit()
    appliance.documents.ingest(document.id, "test")
    return alice


def brought(appliance: Appliance, administrator: Principal, content: bytes, name: str, directory: Path) -> ModelVersion:
    file = directory / f"{name}.gguf"
    file.write_bytes(content)
    version = appliance.model_importing.take_in(administrator, file, Order(name=name))
    return appliance.model_administration.activate(administrator, version.id)


def damage(appliance: Appliance, version: ModelVersion) -> bytes:
    """Its content before."""
    path = appliance.settings.models_dir / version.file
    sound = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    return sound


def facts(appliance: Appliance, event: str) -> list[dict[str, str]]:
    with appliance.database.read() as connection:
        found = connection.execute(select(audit_events.c.body).where(audit_events.c.event == event)).scalars()
        return [json.loads(body)["facts"] for body in found]


def asked(appliance: Appliance, person: Principal) -> Message:
    message = appliance.chat.answer_now(person, QUESTION)
    assert message.selection is not None
    return message


def test_where_the_next_is_forbidden_the_question_is_refused_with_the_reason(
    appliance: Appliance, administrator: Principal, porter: Principal, tmp_path: Path
) -> None:
    copy = locate(LANGUAGE_MODEL).read_bytes().replace(b"Smollm2 135M", b"Another 135M", 1)
    version = brought(appliance, administrator, copy, "a-copy", tmp_path)
    damage(appliance, version)
    rules = {name: replace(rule, models=("a-*",)) for name, rule in appliance.routing.rules.items()}
    appliance.router.policy = replace(appliance.routing, rules=rules)
    message = asked(appliance, porter)
    assert (message.status, message.reason_code) == ("FAILED", "setup.model_digest")
    assert message.selection.refusal == "inference.load_failed"
    assert message.selection.lost[f"{version.id} llamacpp"] == "load_failed"
    assert set(message.selection.lost.values()) >= {"load_failed", "model_forbidden"}
    (told,) = facts(appliance, "model.skipped")
    assert told == {"runtime": "llamacpp", "reason": "setup.model_digest", "instead": "nothing"}


def test_a_damaged_file_and_one_that_the_library_refuses_are_followed_by_the_next(
    appliance: Appliance, administrator: Principal, porter: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = asked(appliance, porter).selection
    copy = locate(LANGUAGE_MODEL).read_bytes().replace(b"Smollm2 135M", b"Another 135M", 1)
    damaged = brought(appliance, administrator, copy, "a-copy", tmp_path)
    sound = damage(appliance, damaged)
    with monkeypatch.context() as untried:
        untried.setattr(sys, "executable", dying(tmp_path, signal.SIGKILL))
        refused = brought(appliance, administrator, gguf(METADATA | {"llama.context_length": 4096}), "a-tiny", tmp_path)

    message = asked(appliance, porter)
    assert (message.status, message.selection.model) == ("DONE", usual.model), message.reason
    skipped = {f"{damaged.id} llamacpp": "setup.model_digest", f"{refused.id} llamacpp": "inference.load_failed"}
    assert message.selection.instead_of == skipped
    events = facts(appliance, "model.skipped")
    assert [(told["reason"], told["instead"]) for told in events] == [
        ("setup.model_digest", refused.id),
        ("inference.load_failed", usual.model),
    ]
    assert asked(appliance, porter).selection.instead_of == skipped
    assert facts(appliance, "model.skipped") == events, "said once"

    decision = next(one for one in appliance.routing_review.explain(administrator).selections if one.classification == "internal")
    assert decision.require().offer.model_id == usual.model
    assert [one.offer.model_id for one in decision.instead_of] == [damaged.id, refused.id]
    assert all(one.sentence.startswith("It could not be loaded: ") for one in decision.instead_of)

    (appliance.settings.models_dir / damaged.file).write_bytes(sound)
    assert asked(appliance, porter).selection.model == usual.model, "not yet tried again"
    appliance.load_failures._clock = lambda: now_ms() + LONGEST_MS
    message = asked(appliance, porter)
    assert (message.status, message.selection.model, message.selection.instead_of) == ("DONE", damaged.id, {})
    assert facts(appliance, "model.recovered") == [{"runtime": "llamacpp"}]
