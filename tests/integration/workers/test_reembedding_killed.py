"""The worker dies while everything is embedded anew: the next one goes on, and one model serves at every moment. All real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from appliance.bootstrap import Appliance, open_appliance
from appliance.documents.reembedding import BATCH
from appliance.inference.store.importing import Order
from appliance.settings import Settings
from appliance.administration.embedding import index_states
from appliance.retrieval.indexes import IndexState
from tests.embedder_samples import projected_embedder

pytestmark = pytest.mark.models
ROOT = Path(__file__).resolve().parents[3]
WORDS = "harbour lantern orchard velvet granite sparrow ledger compass walnut ferry".split()


@pytest.fixture
def box(own_models: None, appliance: Appliance) -> Appliance:
    return appliance


def start(data_dir: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workers.main", "ingest", "--data", str(data_dir)]
    return subprocess.Popen(command, cwd=ROOT, env={"LANG": "C.UTF-8"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(condition, seconds: float = 150.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_worker_killed_in_the_middle_loses_one_batch(box, models_dir, tmp_path, redis_server):
    administrator = box.setup.complete(box.setup.make_link(), "administrator", "a long enough passphrase")
    collection = next(item.id for item in box.collections.readable(administrator) if item.owner_id == administrator.id)
    sentence = "The {0} is kept beside the {1}, and whoever needs it asks the {2} first. "
    body = "\n\n".join(f"# Part {at}\n\n" + sentence.format(*(WORDS[(at + n) % 10] for n in range(3))) * 4 for at in range(150))
    with box.documents.begin_upload(administrator, collection, "a.md") as upload:
        upload.write(body.encode())
        document, _ = upload.commit()
    box.documents.ingest(document.id, "test")
    passages = box.documents.get(administrator, document.id).chunk_count
    assert passages >= 2 * BATCH + 1, "several batches"
    other = box.model_importing.take_in(administrator, projected_embedder(models_dir, tmp_path / "other"), Order(name="other"))
    box.model_administration.activate(administrator, other.id)

    def states() -> dict[IndexState, int]:
        return {index.state: index.passages_done for index in index_states(box.database)}

    worker = start(box.settings.data_dir)
    try:
        until(lambda: states().get(IndexState.BUILDING, 0) > 0 or len(states()) == 1)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        reached = states()[IndexState.BUILDING]
        assert 0 < reached < passages
        assert box.search.search(administrator, "Where is the lantern kept?", 1)
        worker = start(box.settings.data_dir)
        until(lambda: len(states()) == 1)
    finally:
        worker.terminate()
        worker.wait()
    (index,) = index_states(box.database)
    assert (index.model_id, index.state, index.dimensions) == (other.id, IndexState.SERVING, 200)
    with box.database.read() as connection:
        stored = list(connection.execute(text(f"SELECT chunk_id FROM search_exact_{index.number}")).scalars())
    assert len(stored) == len(set(stored)) == passages
    assert box.search.search(administrator, "Where is the lantern kept?", 1)
