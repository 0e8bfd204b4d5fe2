"""A real worker removes what is too old, by what the hourly care believes of the clock."""

from __future__ import annotations

from sqlalchemy import select

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.retention.clock import belief_of
from appliance.storage.tables import conversations, documents, messages
from tests.conftest import EVERYBODY
from tests.growing_old import Time, finish
from tests.integration.workers.test_worker_process import start, until
from workers.care import cares
from workers.connection import connect
from workers.streams import stream_key


def test_the_hourly_care_looks_at_the_clock(appliance: Appliance) -> None:
    care = {each.name: each.act for each in cares(appliance)}["retention_clock"]
    with appliance.database.read() as connection:
        assert belief_of(connection) is None
    assert care() == 0
    with appliance.database.read() as connection:
        belief = belief_of(connection)
    assert belief is not None
    assert not belief.doubtful


def test_a_worker_removes_what_is_too_old_and_what_redis_holds_of_it(
    appliance: Appliance, administrator: Principal, alice: Principal, redis_server
) -> None:
    shared = appliance.collections.create(administrator, "Board", readers=EVERYBODY, contributors=EVERYBODY)
    with appliance.documents.begin_upload(alice, shared, "rules.txt") as upload:
        upload.write(b"The night porter has the green book.")
        upload.commit()
    _, answer = appliance.chat.ask(alice, appliance.chat.create_conversation(alice).id, "Who has the green book?")
    finish(appliance, answer.id)
    streams = connect(appliance.settings)
    streams.xadd(stream_key(answer.id), {"event": "delta"})
    appliance.retention.change(administrator, 30, going=0)
    appliance.retention.change(administrator, 30, going=0, collection_id=shared)
    Time(appliance).passes(31)

    def left() -> int:
        with appliance.database.read() as connection:
            return sum(len(connection.execute(select(table.c.id)).all()) for table in (documents, conversations, messages))

    assert left() == 4
    process = start(appliance.settings.data_dir)
    try:
        until(lambda: left() == 0 and not list(appliance.blobs.names()) and not streams.exists(stream_key(answer.id)))
    finally:
        process.terminate()
        process.communicate(timeout=60)
