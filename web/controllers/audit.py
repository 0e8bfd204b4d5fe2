"""The audit log: reading, disclosing, exporting. Each of them stands in the log itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.response import Stream, Template

from appliance.administration.audit_review import ENDINGS
from appliance.audit.events import EventName, Outcome, ResourceRef
from appliance.audit.store import AuditFilter
from appliance.bootstrap import Appliance
from appliance.errors import InvalidInput, Unavailable
from appliance.policy.actions import Action
from appliance.storage.clock import now_ms
from web.dependencies import Box, Caller
from web.downloads import attachment
from web.guards import declares
from web.numbers import OptionalNumber, PathNumber
from web.pages import page
from web.schemas.audit import AnswerRecordOut, AuditPage, AuditRecordOut

PAGE_RECORDS = 50
_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8"}

_LATE = "The box has not signed its log for more than two hours, though it should every hour. `cloister doctor` may say why."

Wanted = NamedDependency[SkipValidation[AuditFilter]]
"""Annotation of the parameter `wanted`: the filter that the query spells."""


async def _wanted(
    *,
    since_ms: OptionalNumber = None,
    until_ms: OptionalNumber = None,
    person: FromQuery[str | None] = None,
    event: FromQuery[EventName | None] = None,
    outcome: FromQuery[Outcome | None] = None,
    document_id: FromQuery[str | None] = None,
    key_id: FromQuery[str | None] = None,
) -> AuditFilter:
    """Raises `InvalidInput` (`audit.filter`) for two things to be about: an entry is looked for by one."""
    if document_id and key_id:
        raise InvalidInput("Look for a document or for an API key, not for both at once.", code="audit.filter")
    about = ResourceRef("document", document_id) if document_id else ResourceRef("key", key_id) if key_id else None
    return AuditFilter(since_ms, until_ms, person or None, event, outcome, about)


def _checkpoint(appliance: Appliance) -> dict[str, Any]:
    """The newest for the page. That one was altered, or none was signed in time, is said there and keeps nobody from reading."""
    shown: dict[str, Any] = {"signed": None, "signed_fault": "", "verifier_key": str(appliance.checkpoints.verifier)}
    try:
        signed, since = appliance.checkpoints.latest(), appliance.checkpoints.late_since(now_ms())
    except Unavailable as error:
        return shown | {"signed_fault": error.sentence}
    return shown | {"signed": signed, "signed_fault": _LATE if since is not None else ""}


class AuditController(Controller):
    dependencies = {"wanted": Provide(_wanted)}  # noqa: RUF012  how the framework declares them

    @get(
        "/audit",
        opt=declares(Action.AUDIT_READ, unaudited="filters without records; records come by the JSON routes"),
        sync_to_thread=True,
    )
    def audit_page(self, request: Request[Any, Any, Any], appliance: Box, principal: Caller) -> Template:
        people = sorted(appliance.audit_review.people(principal), key=lambda person: (not person[1], person[1].casefold()))
        events = [str(name) for name in EventName]
        shown = _checkpoint(appliance) | {"collector": appliance.egress.collector()}
        return page(request, "audit.html", events=events, people=people, **shown)

    @get("/api/audit", opt=declares(Action.AUDIT_READ, EventName.AUDIT_READ), sync_to_thread=True)
    def search(self, appliance: Box, principal: Caller, wanted: Wanted, before_seq: OptionalNumber = None) -> AuditPage:
        records = appliance.audit_review.search(principal, wanted, before_seq=before_seq, limit=PAGE_RECORDS + 1)
        return AuditPage([AuditRecordOut.of(record) for record in records[:PAGE_RECORDS]], len(records) > PAGE_RECORDS)

    @post(
        "/api/audit/{seq:int}/disclose",
        opt=declares(Action.AUDIT_READ, EventName.AUDIT_DISCLOSED),
        status_code=200,
        sync_to_thread=True,
    )
    def disclose(self, appliance: Box, principal: Caller, seq: PathNumber) -> dict[str, str]:
        values: dict[str, str] = appliance.audit_review.disclose(principal, seq)
        return values

    @get(
        "/api/audit/answers/{message_id:str}",
        opt=declares(Action.AUDIT_READ, EventName.AUDIT_READ),
        sync_to_thread=True,
    )
    def answer(self, appliance: Box, principal: Caller, message_id: FromPath[str]) -> AnswerRecordOut:
        return AnswerRecordOut.of(appliance.answer_records.record(principal, message_id))

    @get("/api/audit/export", opt=declares(Action.AUDIT_EXPORT, EventName.AUDIT_EXPORTED), sync_to_thread=True)
    def export(
        self,
        appliance: Box,
        principal: Caller,
        wanted: Wanted,
        format: FromQuery[str],  # noqa: A002
        since: OptionalNumber = None,
    ) -> Stream:
        """`since` is the number of entries that the newest checkpoint had which the officer keeps elsewhere."""
        pieces = appliance.audit_review.export(principal, wanted, format, since=since)
        name = f"audit-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.{ENDINGS[format]}"
        return attachment(name, pieces, media_type=_MEDIA_TYPES.get(format, "application/jsonl"))
