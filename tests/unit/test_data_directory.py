"""The directory of a box: the web process, three workers and commands make sure of it at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from appliance.settings import Settings
from appliance.storage.data_directory import make_directories


def test_processes_that_start_at_once_are_not_in_each_other_s_way(settings: Settings):
    make_directories(settings, create=True)
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(make_directories, settings, create=False) for _ in range(400)]:
            done.result()
    assert {path.name for path in settings.data_dir.iterdir()} == {"keys", "blobs", "models", "run"}
