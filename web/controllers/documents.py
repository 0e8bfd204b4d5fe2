"""Documents: the list and its progress, uploads, the viewer, the file itself."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Stream, Template

from appliance.audit.events import EventName
from appliance.documents.media_types import MediaType
from appliance.policy.actions import Action
from web.dependencies import Box, Caller, Jobs
from web.document_events import document_events
from web.downloads import attachment
from web.guards import declares
from web.numbers import QueryNumber
from web.pages import page
from web.schemas.documents import DocumentOut, Highlights, PageOut, Uploaded
from web.sse import event_stream
from web.uploads import receive

_READS = declares(Action.DOCUMENT_READ, EventName.DOCUMENT_READ)
_LISTS = declares(Action.DOCUMENT_LIST, EventName.DOCUMENT_LISTED)
_UPLOADS = declares(Action.DOCUMENT_UPLOAD, EventName.DOCUMENT_UPLOADED)
_DELETES = declares(Action.DOCUMENT_DELETE, EventName.DOCUMENT_DELETED)
_FRAME = declares(Action.DOCUMENT_LIST, unaudited="an empty frame; what it shows comes by the JSON routes")

_Request = Request[Any, Any, Any]


class DocumentsController(Controller):
    @get("/documents", opt=_FRAME, sync_to_thread=True)
    def documents_page(self, request: _Request, appliance: Box) -> Template:
        return page(request, "documents.html", upload_limit_mb=appliance.settings.upload_limit_mb)

    @get("/documents/{document_id:str}", opt=_READS, sync_to_thread=True)
    def viewer_page(self, request: _Request, appliance: Box, principal: Caller, document_id: FromPath[str]) -> Template:
        document = appliance.documents.get(principal, document_id)
        kind = document.media_type
        return page(
            request,
            "viewer.html",
            document=document,
            paged=kind == MediaType.PDF,
            flowing=kind == MediaType.MARKDOWN,
        )

    @post("/api/collections/{collection_id:str}/documents", opt=_UPLOADS, request_max_body_size=None)
    async def upload(
        self,
        *,
        request: _Request,
        appliance: Box,
        principal: Caller,
        queue: Jobs,
        collection_id: FromPath[str],
        name: FromQuery[str],
    ) -> Uploaded:
        document, duplicate = await receive(request, appliance, principal, collection_id, name)
        if not duplicate:
            await asyncio.to_thread(queue.enqueue_ingest, document.id)
        stays = await asyncio.to_thread(appliance.terms.now)
        return Uploaded(DocumentOut.of(document, stays), duplicate)

    @get("/api/documents", opt=_LISTS, sync_to_thread=True)
    def list(self, appliance: Box, principal: Caller, collection_id: FromQuery[str | None] = None) -> list[DocumentOut]:
        stays = appliance.terms.now()
        return [DocumentOut.of(document, stays) for document in appliance.documents.list(principal, collection_id)]

    @get("/api/documents/events", opt=_LISTS)
    async def events(
        self, request: _Request, appliance: Box, principal: Caller, collection_id: FromQuery[str | None] = None
    ) -> Stream:
        current = await asyncio.to_thread(appliance.documents.watch, principal, collection_id)
        return event_stream(request, document_events(current, appliance.terms))

    @get("/api/documents/{document_id:str}", opt=_READS, sync_to_thread=True)
    def read(self, appliance: Box, principal: Caller, document_id: FromPath[str]) -> DocumentOut:
        return DocumentOut.of(appliance.documents.get(principal, document_id), appliance.terms.now())

    @delete("/api/documents/{document_id:str}", opt=_DELETES, sync_to_thread=True)
    def delete(self, appliance: Box, principal: Caller, document_id: FromPath[str]) -> None:
        appliance.documents.delete(principal, document_id)

    @post("/api/documents/{document_id:str}/retry", opt=_UPLOADS, status_code=200, sync_to_thread=True)
    def retry(self, appliance: Box, principal: Caller, queue: Jobs, document_id: FromPath[str]) -> DocumentOut:
        document = appliance.documents.retry(principal, document_id)
        queue.enqueue_ingest(document.id)
        return DocumentOut.of(document, appliance.terms.now())

    @get("/api/documents/{document_id:str}/pages/{number:int}", opt=_READS, sync_to_thread=True)
    def read_page(self, appliance: Box, principal: Caller, document_id: FromPath[str], number: FromPath[int]) -> PageOut:
        return PageOut.of(appliance.documents.page(principal, document_id, number))

    @get("/api/documents/{document_id:str}/pages/{number:int}/image", opt=_READS, sync_to_thread=True)
    def page_image(self, appliance: Box, principal: Caller, document_id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
        return Response(appliance.documents.page_image(principal, document_id, number), media_type="image/png")

    @get("/api/documents/{document_id:str}/pages/{number:int}/highlights", opt=_READS, sync_to_thread=True)
    def highlights(
        self,
        *,
        appliance: Box,
        principal: Caller,
        document_id: FromPath[str],
        number: FromPath[int],
        start: QueryNumber,
        end: QueryNumber,
    ) -> Highlights:
        return Highlights(appliance.documents.page_highlights(principal, document_id, number, start, end))

    @get("/api/documents/{document_id:str}/content", opt=_READS, sync_to_thread=True)
    def content(self, appliance: Box, principal: Caller, document_id: FromPath[str]) -> Stream:
        document, pieces = appliance.documents.content(principal, document_id)
        return attachment(document.name, pieces, media_type=document.media_type, size_bytes=document.size_bytes)
