"""Until when something stays, for those who may see it anyway: told when its end is near."""

from __future__ import annotations

from appliance.retention.rules import NONE, Rule
from appliance.retention.store import CONVERSATIONS, rules
from appliance.storage.clock import DAY_MS, now_ms
from appliance.storage.database import Database

NEAR_MS = 30 * DAY_MS


class Terms:
    """Reads the numbers; whoever may see a thing may know how long it stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> Stays:
        """As they are at this moment."""
        with self._database.read() as connection:
            return Stays(rules(connection), now_ms())


class Stays:
    """The numbers of one moment."""

    def __init__(self, known: dict[str, Rule], moment_ms: int) -> None:
        self._known = known
        self._moment_ms = moment_ms

    def conversation_end_ms(self, updated_ms: int) -> int | None:
        """When a conversation goes unless somebody writes in it; None where that is not near."""
        return self._near(self._known.get(CONVERSATIONS, NONE).end_ms(updated_ms))

    def document_end_ms(self, collection_id: str, uploaded_ms: int) -> int | None:
        """When a document goes; None where that is not near."""
        return self._near(self._known.get(collection_id, NONE).end_ms(uploaded_ms))

    def _near(self, end_ms: int | None) -> int | None:
        # what is past its end and still there is held, or goes within the hour: neither is told
        return end_ms if end_ms is not None and self._moment_ms < end_ms <= self._moment_ms + NEAR_MS else None
