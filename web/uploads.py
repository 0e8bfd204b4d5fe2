"""One uploaded file from the request's body to the document service, piece by piece."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.exceptions import ClientException, InternalServerException

from appliance.documents.models import Document
from appliance.documents.upload import Upload
from appliance.errors import DocumentRejected, NotSignedIn
from appliance.identity.models import Principal
from web.authentication import session_alive

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance

PIECE_BYTES = 1_000_000


async def receive(
    request: Request[Any, Any, Any], appliance: Appliance, principal: Principal, collection_id: str, name: str
) -> tuple[Document, bool]:
    """The stored document, and whether the collection already had it. Holds one piece in memory, never the file.

    Whatever ends this early (a refusal, a broken connection, a server that shuts down) leaves nothing behind.
    """
    upload = await asyncio.to_thread(appliance.documents.begin_upload, principal, collection_id, name)
    limit_mb = appliance.settings.upload_limit_mb
    # before a byte is stored, since browsers announce how much they will send; what lies is stopped while it is written
    if _announced(request) > limit_mb * 1_000_000:
        error = DocumentRejected(f"The file is larger than the {limit_mb} MB allowed here.", code="document.too_large")
        await asyncio.to_thread(upload.refuse, error)
        raise error
    with upload:
        await _write_body(request, upload)
        if not await asyncio.to_thread(session_alive, request):
            raise NotSignedIn("Please sign in.")
        return await asyncio.to_thread(upload.commit)


async def _write_body(request: Request[Any, Any, Any], upload: Upload) -> None:
    piece = bytearray()
    try:
        async for part in request.stream():
            piece += part
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(upload.write, bytes(piece))
                piece.clear()
    except InternalServerException as error:
        # how the framework says that the browser went away; nobody reads the answer
        raise ClientException("The upload ended early.") from error
    if piece:
        await asyncio.to_thread(upload.write, bytes(piece))


def _announced(request: Request[Any, Any, Any]) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0
