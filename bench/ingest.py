"""A whole ingest (decrypt, parse in a child, divide, embed, index, one transaction) against ONNX Runtime alone on its chunks.

Target: at least 0.8 of its chunks per second. The two sides take turns, so that a busy moment of the machine hits both.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from appliance.bootstrap import Appliance, open_appliance
from appliance.identity.models import Principal
from appliance.settings import load_settings
from appliance.storage.tables import chunks
from bench.embedding import MODELS, bare
from bench.running_box import NAME, PASSWORD, ROOT

ROUNDS = 3
SENTENCES = 1_500


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="cl-"))
    try:
        (directory / "models").symlink_to(MODELS)
        appliance = open_appliance(load_settings(directory, {}), create=True)
        person = appliance.setup.complete(appliance.setup.make_link(), NAME, PASSWORD)
        ingest(appliance, person, "first.txt", words(0)[:2_000])  # what is loaded lazily
        ratios, rates = [], []
        for number in range(1, ROUNDS + 1):
            document_id, seconds = ingest(appliance, person, f"{number}.txt", words(number))
            with appliance.database.read() as connection:
                texts = list(connection.execute(select(chunks.c.text).where(chunks.c.document_id == document_id)).scalars())
            alone = bare(appliance.embedder, texts)  # type: ignore[arg-type]
            started = time.perf_counter()
            alone()
            bare_seconds = time.perf_counter() - started
            ratios.append(bare_seconds / seconds)
            rates.append(len(texts) / seconds)
        appliance.close()
    finally:
        shutil.rmtree(directory)
    result = {
        "bench": "ingest",
        "chunks": len(texts),
        "ingest_of_onnxruntime": round(statistics.median(ratios), 3),
        "chunks_per_s": round(statistics.median(rates), 1),
    }
    print(json.dumps(result))


def words(seed: int) -> str:
    """A text of sentences put together from this project's own pages."""
    chosen = random.Random(seed)
    pool = [word for page in sorted((ROOT / "docs").glob("*.md")) for word in page.read_text().split() if word.isalpha()]
    return " ".join(" ".join(chosen.choices(pool, k=chosen.randint(8, 22))).capitalize() + "." for _ in range(SENTENCES))


def ingest(appliance: Appliance, person: Principal, name: str, text: str) -> tuple[str, float]:
    """The document's id, and the seconds from its claim to READY."""
    mine = next(summary.id for summary in appliance.collections.readable(person) if summary.owner_id == person.id)
    upload = appliance.documents.begin_upload(person, mine, name)
    upload.write(text.encode())
    document, _ = upload.commit()
    started = time.perf_counter()
    appliance.documents.ingest(document.id, "bench")
    seconds = time.perf_counter() - started
    assert appliance.documents.get(person, document.id).status == "READY"
    return document.id, seconds


if __name__ == "__main__":
    main()
