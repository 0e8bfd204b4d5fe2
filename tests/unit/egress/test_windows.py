"""Maintenance windows: when something may be fetched, and what is no window."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.egress.windows import MaintenanceWindow, is_open, load_windows
from appliance.errors import SetupError

BEGINS, ENDS = datetime(2026, 11, 21, 22, tzinfo=UTC), datetime(2026, 11, 22, 2, tzinfo=UTC)


def written(directory: Path, text: str) -> Path:
    file = directory / "destinations.toml"
    file.write_text(f"[[maintenance]]\n{text}\n")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "",
        "begins = 2026-11-21T22:00:00Z",
        "begins = 2026-11-21T22:00:00\nends = 2026-11-22T02:00:00",
        "begins = 2026-11-21\nends = 2026-11-22",
        "begins = 2026-11-21T22:00:00Z\nends = 2026-11-21T22:00:00Z",
        "begins = 2026-11-21T22:00:00Z\nends = 2026-11-22T22:00:01Z",
        "begins = 2026-11-21T22:00:00Z\nends = 2026-11-22T02:00:00Z\nweekly = true",
        'begins = "2026-11-21T22:00:00Z"\nends = "2026-11-22T02:00:00Z"',
    ],
)
def test_what_is_no_window_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SetupError) as refused:
        load_windows(written(tmp_path, text))
    assert refused.value.stable_code == "setup.destinations"


def test_a_window_is_open_from_its_beginning_until_its_end(tmp_path: Path) -> None:
    windows = load_windows(written(tmp_path, "begins = 2026-11-21T23:00:00+01:00\nends = 2026-11-22T02:00:00Z"))
    assert windows == (MaintenanceWindow(BEGINS, ENDS),)
    assert [is_open(windows, moment) for moment in (datetime(2026, 11, 21, 21, 59, tzinfo=UTC), BEGINS, ENDS)] == [
        False,
        True,
        False,
    ]


def test_without_windows_nothing_is_ever_open() -> None:
    assert not is_open(())
