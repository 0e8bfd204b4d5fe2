"""For how long a load that failed is remembered, and what ends that."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from appliance.inference.load_failures import FIRST_MS, LONGEST_MS, LoadFailures

BIG, OTHER = ("big@1", "llamacpp"), ("big@10", "llamacpp")
DIGEST = ("setup.model_digest", "Its file is not the one that was imported.")


class Clock:
    ms = 1_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(tmp_path: Path, clock: Clock) -> LoadFailures:
    return LoadFailures(tmp_path / "loading", clock)


def pause(failures: LoadFailures) -> int:
    failure = failures.known()[BIG]
    return failure.until_ms - failure.failed_ms


def test_what_was_never_tried_is_not_remembered(failures: LoadFailures) -> None:
    assert failures.standing() == failures.known() == {}
    assert not failures.end(BIG)
    assert not failures.forget("big@1")


def test_it_is_news_once_and_again_where_the_reason_changes(failures: LoadFailures, clock: Clock) -> None:
    assert failures.note(BIG, *DIGEST)
    assert not failures.note(BIG, *DIGEST)
    clock.ms += FIRST_MS
    assert not failures.note(BIG, *DIGEST), "also where it was tried again in vain"
    assert failures.note(BIG, "setup.model_missing", "It is gone.")
    assert failures.known()[BIG].times == 1


def test_it_is_tried_again_after_longer_and_longer(failures: LoadFailures, clock: Clock) -> None:
    pauses = []
    for _ in range(30):
        failures.note(BIG, *DIGEST)
        failures.note(BIG, *DIGEST)  # another who waited for the same load
        pauses.append(pause(failures))
        clock.ms += pauses[-1] - 1
        assert set(failures.standing()) == {BIG}
        clock.ms += 1
        assert failures.standing() == {}
        assert set(failures.known()) == {BIG}
    assert pauses[:5] == [FIRST_MS, 2 * FIRST_MS, 4 * FIRST_MS, 8 * FIRST_MS, LONGEST_MS]
    assert pauses[-1] == LONGEST_MS


def test_a_clock_that_is_set_back_makes_no_failure_last_longer(failures: LoadFailures, clock: Clock) -> None:
    clock.ms = 10**12
    failures.note(BIG, *DIGEST)
    clock.ms = 10**9
    assert failures.standing() == {}
    failures.note(BIG, *DIGEST)
    assert set(failures.standing()) == {BIG}
    clock.ms += LONGEST_MS
    assert failures.standing() == {}


def test_a_load_or_a_person_ends_it_and_nothing_else_is_forgotten(failures: LoadFailures, tmp_path: Path) -> None:
    failures.note(BIG, *DIGEST)
    failures.note(("big@1", "genai"), *DIGEST)
    failures.note(OTHER, *DIGEST)
    elsewhere = LoadFailures(tmp_path / "loading")  # another process
    assert elsewhere.end(BIG)
    assert set(failures.known()) == {("big@1", "genai"), OTHER}
    assert elsewhere.forget("big@1")
    assert set(failures.known()) == {OTHER}
    assert failures.note(BIG, *DIGEST), "news again"


def test_names_with_dots_stay_whole(failures: LoadFailures) -> None:
    attempt = ("qwen2.5-3b@1", "somebody.elses")
    failures.note(attempt, *DIGEST)
    assert set(failures.known()) == {attempt}
    assert failures.forget("qwen2.5-3b@1")


def test_what_cannot_be_read_or_written_keeps_nothing_from_being_loaded(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "loading").mkdir()
    (tmp_path / "loading" / "big@1.llamacpp.failed").write_text('{"code": 3}')
    assert LoadFailures(tmp_path / "loading", clock).standing() == {}
    (tmp_path / "file").touch()
    blocked = LoadFailures(tmp_path / "file", clock)
    assert blocked.note(BIG, *DIGEST)
    assert blocked.standing() == {}


def test_others_on_the_machine_do_not_read_it(failures: LoadFailures, tmp_path: Path) -> None:
    failures.note(BIG, *DIGEST)
    assert stat.S_IMODE((tmp_path / "loading").stat().st_mode) == 0o700
    assert [file.name for file in (tmp_path / "loading").iterdir()] == ["big@1.llamacpp.failed"]
