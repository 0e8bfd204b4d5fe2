"""Questions answered as people's are, and nothing kept: no conversation, no message, nobody shown anything.

What stays is the audit event that says which documents were read, and on whose behalf.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from appliance.chat.answering import Answering
from appliance.chat.claims import Claim, Ending
from appliance.chat.sink import SilentSink, ToleratingSink
from appliance.chat.work import Work
from appliance.errors import ApplianceError
from appliance.identity.models import Principal
from appliance.storage.clock import now_ms


@dataclass(frozen=True, slots=True)
class _Wish:
    """In the place of a watch over a row."""

    cancelled: threading.Event


class Rehearsal(Answering):
    """Answers for runs of golden sets."""

    def rehearse(
        self, principal: Principal, question: str, collection_id: str, run_id: str, cancelled: threading.Event
    ) -> Ending:
        """How the question would be answered in a new conversation about this collection; FAILED where it would not be.

        The prompt is nobody's and nothing earlier leans into it; `run_id` is what the audit log names.
        """
        claim = Claim(
            message_id=secrets.token_hex(16),
            conversation_id=secrets.token_hex(16),
            principal_id=principal.id,
            collection_id=collection_id,
            chosen_model="",
            question=question,
            worker_id="",
            attempt=1,
            asked_ms=now_ms(),
            stop_requested=False,
            run_id=run_id,
        )
        work = Work(claim)
        sink = ToleratingSink(SilentSink(), claim.message_id)
        try:
            return self._work(work, principal, sink, _Wish(cancelled))
        except ApplianceError as error:
            return work.failed(error.stable_code, error.sentence)
