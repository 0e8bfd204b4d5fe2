"""One answer as events for one browser.

Live pieces come from the answer's Redis stream, the end always from the database: `done` carries the whole stored message.
What the stream has lost (it expired, Redis was restarted or is away) is made up for by looking at the row now and then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
import redis
import redis.asyncio

from appliance.chat.models import MessageStatus
from appliance.identity.models import Principal
from web.schemas.chat import MessageOut
from web.sse import Event
from workers.streams import read_events

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance
    from appliance.chat.models import Message

FROM_THE_START = "0"
_LOOK_AT_ROW_EVERY_MS = 2_000
_OUTAGE_PAUSE_S = 0.5


async def answer_events(
    appliance: Appliance, client: redis.asyncio.Redis, principal: Principal, message: Message, last_id: str
) -> AsyncIterator[Event]:
    """Events after `last_id` until the answer is stored. The caller has authorised `principal` for `message`.

    While nobody works on it, stages `waiting N` tell how many questions are answered before this one; they belong to no stream.
    """
    told = 0
    waits = message.status is MessageStatus.PENDING
    while not message.status.finished:
        over = False
        if waits:
            ahead = await asyncio.to_thread(appliance.chat.ahead_of, message.id)
            waits = ahead is not None
            if ahead is not None and ahead != told:
                told = ahead
                yield Event("stage", json.dumps({"name": f"waiting {ahead}" if ahead else "waiting"}))
        try:
            entries = await read_events(client, message.id, last_id, _LOOK_AT_ROW_EVERY_MS)
        except redis.RedisError:
            await asyncio.sleep(_OUTAGE_PAUSE_S)
            entries = []
        except ValueError:
            # an id that no stream has given out: begin anew, deltas name their offset
            last_id = FROM_THE_START
            continue
        for entry in entries:
            last_id, waits = entry.id, False
            over = over or entry.event == "done"
            if entry.event != "done":
                yield Event(entry.event, json.dumps(entry.data, ensure_ascii=False), entry.id)
        if (over or not entries) and await asyncio.to_thread(appliance.chat.settled, message.id):
            message = await asyncio.to_thread(appliance.chat.message, principal, message.id)
    yield Event("done", msgspec.json.encode(MessageOut.of(message)).decode())
