"""What hostile files leave of the worker that takes them in: everything."""

from __future__ import annotations

import os
import resource
from types import SimpleNamespace

from appliance.documents.models import DocumentStatus
from appliance.documents.rejections import SENTENCES
from appliance.errors import DocumentRejected
from tests.browser.conftest import WordEmbedder
from tests.documents_samples import KETTLE, markdown
from tests.security.documents.hostile_corpus import ARCHIVES, LETTERS, MARKUP, OFFICE, PDFS

WANTED = {
    "too many parts",
    "a name that leads up",
    "hidden macros",
    "a billion laughs",
    "ten thousand pages",
    "a table in a circle",
}
WANTED |= {"one slide, 7,000 times", "remarks in remarks", "two ends"}


def test_hostile_files_are_set_aside_with_a_reason_and_the_worker_lives_on(appliance):
    owner = appliance.setup.complete(appliance.setup.make_link(), "administrator", "a long enough passphrase")
    appliance.__dict__.update(embedders=SimpleNamespace(serving=WordEmbedder))
    collection = next(item.id for item in appliance.collections.readable(owner) if item.owner_id == owner.id)
    children = set(os.listdir("/proc/self/task"))
    descriptors = len(os.listdir("/proc/self/fd"))

    def take_in(name: str, content: bytes) -> str:
        upload = appliance.documents.begin_upload(owner, collection, name)
        upload.write(content)
        document, _ = upload.commit()
        appliance.documents.ingest(document.id, "the only worker")
        return document.id

    hostile = [item for item in (*ARCHIVES, *MARKUP, *OFFICE, *PDFS, *LETTERS) if item.title in WANTED]
    assert len(hostile) == len(WANTED)
    for number, item in enumerate(hostile):
        try:
            taken = appliance.documents.get(owner, take_in(f"{number}-{item.name}", item.make()))
        except DocumentRejected as refused:
            assert refused.stable_code in item.expected
            continue
        if taken.status is DocumentStatus.FAILED:
            assert taken.reason_code in item.expected.split("|")
            assert taken.reason == SENTENCES[taken.reason_code]
        else:
            assert (taken.status, "read") == (DocumentStatus.READY, item.expected.split("|")[0])

    good = take_in("rules.md", markdown())
    assert appliance.documents.get(owner, good).status is DocumentStatus.READY
    assert KETTLE in appliance.documents.page(owner, good, 1).text
    assert set(os.listdir("/proc/self/task")) <= children
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 4
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY
