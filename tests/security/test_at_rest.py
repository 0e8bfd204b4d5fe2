"""Nothing on disk shows what people wrote: every file of a used data directory is searched for known sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCUMENT = "The greenhouse alarm is switched off with the code juniper seven four nine.\n"
QUESTION = "Which word comes before the numbers of the greenhouse alarm?"
FILE_NAME = "winter-garden-handover.txt"
SECRETS = ("juniper seven four nine", "comes before the numbers", "winter-garden-handover", "a long enough passphrase")


def files_with(directory: Path, text: str) -> list[str]:
    """Files below `directory` that hold `text` in any encoding a library might have chosen."""
    needles = [text.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")]
    found = []
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_relative_to(directory / "models"):
            content = path.read_bytes().lower()
            if any(needle.lower() in content for needle in needles):
                found.append(path.name)
    return found


@pytest.mark.models
def test_no_file_shows_a_known_sentence(appliance_with_models, alice):
    appliance = appliance_with_models
    mine = next(c.id for c in appliance.collections.readable(alice) if c.owner_id == alice.id)
    upload = appliance.documents.begin_upload(alice, mine, FILE_NAME)
    upload.write(DOCUMENT.encode() * 40)
    document, _ = upload.commit()
    appliance.documents.ingest(document.id, "test")
    assert appliance.documents.get(alice, document.id).status == "READY"
    message = appliance.chat.answer_now(alice, QUESTION)
    assert message.status == "DONE"
    directory = appliance.settings.data_dir
    assert len(list(appliance.settings.blobs_dir.glob("??/*"))) == 1
    for secret in SECRETS:
        assert files_with(directory, secret) == []


def test_the_search_itself_finds_what_is_in_the_clear(tmp_path):
    (tmp_path / "leak.bin").write_bytes(b"\x00\x01" + "Juniper seven four nine".encode("utf-16-le"))
    assert files_with(tmp_path, "juniper seven four nine") == ["leak.bin"]


def test_keys_and_directories_are_for_the_owner_alone(appliance):
    directory = appliance.settings.data_dir
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode & 0o777
        if path.is_dir() or path.suffix in {".key", ".db"}:
            assert mode & 0o077 == 0, f"{path.name} has mode {mode:o}"
