"""The figures of each full hour, made once from the rows when it is over, and kept for 400 days.

They stay as they are when conversations are deleted later: they hold counts, and nothing of what was said.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from appliance.chat.models import ABSTAINED, MessageStatus
from appliance.quality.models import COUNTS, DAY_MS, HOUR_MS, SPREADS, Figures
from appliance.quality.spread import Spread, read, spread_of, written
from appliance.storage.database import Database
from appliance.storage.tables import feedback, messages, quality_hours

KEPT_DAYS = 400
_GRACE_MS = 60_000
"""An answer is stored a moment after the time it says it ended."""


def through(now_ms: int) -> int:
    """The end of the last hour whose figures can be made."""
    return (now_ms - _GRACE_MS) // HOUR_MS * HOUR_MS


def record_hours(database: Database, until_ms: int) -> int:
    """Make what is missing up to `until_ms`, a day at a time, and forget what is too old; how many hours were made."""
    made = 0
    with database.read() as connection:
        since = _missing_since(connection, until_ms)
    while since < until_ms:
        end = min(since + DAY_MS, until_ms)
        with database.read() as connection:
            figures = figures_between(connection, since, end)
        if figures:
            with database.write() as connection:
                connection.execute(insert(quality_hours), [_columns(each) for each in figures])
        made, since = made + len(figures), end
    with database.write() as connection:
        connection.execute(delete(quality_hours).where(quality_hours.c.start_ms < until_ms - KEPT_DAYS * DAY_MS))
    return made


def figures_between(connection: Connection, since_ms: int, until_ms: int) -> list[Figures]:
    """Those of the hours in which something happened, from the rows that are there now. Both ends are full hours."""
    ended = select(
        messages.c.role,
        messages.c.status,
        messages.c.finish_reason,
        messages.c.finished_ms,
        messages.c.timing,
        messages.c.best_score,
        messages.c.sentences_supported,
        messages.c.sentences_withheld,
    ).where(messages.c.finished_ms >= since_ms, messages.c.finished_ms < until_ms)
    judged = select(feedback.c.helpful, feedback.c.given_ms)
    judged = judged.where(feedback.c.given_ms >= since_ms, feedback.c.given_ms < until_ms)
    messages_of, judgements_of = defaultdict(list), defaultdict(list)
    for row in connection.execute(ended):
        messages_of[row.finished_ms // HOUR_MS].append(row)
    for row in connection.execute(judged):
        judgements_of[row.given_ms // HOUR_MS].append(row.helpful)
    hours = sorted(messages_of.keys() | judgements_of.keys())
    return [_figures(hour * HOUR_MS, messages_of[hour], judgements_of[hour]) for hour in hours]


def load_hours(connection: Connection, since_ms: int, until_ms: int) -> list[Figures]:
    """Oldest first; hours in which nothing happened are left out."""
    within = select(quality_hours).where(quality_hours.c.start_ms >= since_ms, quality_hours.c.start_ms < until_ms)
    return [_stored(row) for row in connection.execute(within.order_by(quality_hours.c.start_ms))]


def _figures(start_ms: int, rows: Iterable[Row[Any]], judgements: Sequence[bool]) -> Figures:
    rows = list(rows)
    answers = [row for row in rows if row.role == "assistant"]
    done = [row for row in answers if row.status == MessageStatus.DONE]
    answered = [row for row in done if row.finish_reason != ABSTAINED]
    return Figures(
        start_ms,
        questions=len(rows) - len(answers),
        answered=len(answered),
        abstained=len(done) - len(answered),
        stopped=sum(row.status == MessageStatus.STOPPED for row in answers),
        failed=sum(row.status == MessageStatus.FAILED for row in answers),
        helpful=sum(judgements),
        unhelpful=len(judgements) - sum(judgements),
        supported=sum(row.sentences_supported or 0 for row in answers),
        withheld=sum(row.sentences_withheld or 0 for row in answers),
        search_score=spread_of(row.best_score for row in answers if row.best_score is not None),
        first_word=_times(answers, "first_delta_ms"),
        whole_time=_times(answered, "total_ms"),
    )


def _times(answers: Iterable[Row[Any]], step: str) -> Spread:
    """From the question to `step`; the row counts from when a worker took it up."""
    timings = [json.loads(row.timing) for row in answers]
    return spread_of(timing.get("wait_ms", 0.0) + timing[step] for timing in timings if step in timing)


def _missing_since(connection: Connection, until_ms: int) -> int:
    last: int | None = connection.execute(select(func.max(quality_hours.c.start_ms))).scalar()
    oldest = until_ms - KEPT_DAYS * DAY_MS
    if last is not None:
        return max(last + HOUR_MS, oldest)
    first: int | None = connection.execute(select(func.min(messages.c.finished_ms))).scalar()
    return until_ms if first is None else max(first // HOUR_MS * HOUR_MS, oldest)


def _columns(figures: Figures) -> dict[str, Any]:
    counts = {name: getattr(figures, name) for name in COUNTS}
    return {"start_ms": figures.start_ms} | counts | {name: written(getattr(figures, name)) for name in SPREADS}


def _stored(row: Row[Any]) -> Figures:
    found: dict[str, Any] = {name: getattr(row, name) for name in COUNTS}
    found |= {name: read(getattr(row, name)) for name in SPREADS}
    return Figures(row.start_ms, **found)
