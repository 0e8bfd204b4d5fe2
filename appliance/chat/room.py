"""How many questions may wait: of one person, and of everybody. Asked in the transaction that accepts one, so the limits hold.

A few answers are written at a time. Without limits one person fills the line for hours, and many people fill it for a day.
"""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from appliance.chat.store import unanswered, unanswered_of
from appliance.errors import Throttled, Unavailable

OF_ONE_PERSON = 10
_RETRY_AFTER_S = 10
_BUSY_S = 30

log = structlog.get_logger(__name__)


def require_room(connection: Connection, person_id: str, limit: int, *, here: bool) -> None:
    """The last quarter of the line is for people who have nothing in it. What is answered in this process (`here`) joins none.

    Raises `Throttled` (`chat.too_many_waiting`), `Unavailable` (`chat.busy`, with `ahead`).
    """
    own = unanswered_of(connection, person_id)
    if own >= OF_ONE_PERSON:
        sentence = f"{OF_ONE_PERSON} of your questions still wait for their answers."
        raise Throttled(sentence, code="chat.too_many_waiting", retry_after_s=_RETRY_AFTER_S)
    ahead = unanswered(connection)
    if here or ahead < (limit - limit // 4 if own else limit):
        return
    log.warning("chat.busy", ahead=ahead, own=own)
    raise Unavailable(
        f"The box is busy: {ahead} questions are ahead of yours. Please ask again in a moment.",
        code="chat.busy",
        ahead=ahead,
        retry_after_s=_BUSY_S,
    )
