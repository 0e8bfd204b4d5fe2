"""The first half of an upload: pieces of a file go to the encrypted store, and one transaction makes them a document."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Self

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.documents.media_types import HEAD_BYTES, MediaType, check_upload
from appliance.documents.models import Document, DocumentStatus
from appliance.documents.store import insert_document, same_content
from appliance.errors import ApplianceError, DocumentRejected, NotFound
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.policy.store import load_collection
from appliance.storage.blobs import BlobStore, StoredBlob
from appliance.storage.clock import now_ms
from appliance.storage.database import Database


class Upload:
    """One file on its way in: `write` each piece, then `commit`, or `discard`. A refusal discards by itself."""

    def __init__(
        self,
        *,
        principal: Principal,
        collection_id: str,
        name: str,
        limit_bytes: int,
        database: Database,
        blobs: BlobStore,
        audit: AuditLog,
        permit: Callable[[], None],
    ) -> None:
        """`permit` is asked at the end, since sending takes its time: it raises where `principal` may not upload any more."""
        self._principal = principal
        self._collection_id = collection_id
        self._name = name
        self._database = database
        self._audit = audit
        self._permit = permit
        self._head = bytearray()
        self._writer = blobs.writer(limit_bytes=limit_bytes)

    def __enter__(self) -> Self:
        """Whatever ends the block before `commit` leaves nothing behind."""
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, piece: bytes) -> None:
        """Take the next piece. Raises `DocumentRejected` once the file is larger than allowed."""
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
        try:
            self._writer.write(piece)
        except DocumentRejected as error:
            self.refuse(error)
            raise

    def commit(self) -> tuple[Document, bool]:
        """The document, durable and PENDING; with True where the collection already had the same file: then that one.

        Raises `DocumentRejected` for an empty file and for content that does not match the name, `Denied`, `NotFound` or
        `NotSignedIn` where the right to upload was lost meanwhile.
        """
        try:
            media_type = check_upload(self._name, bytes(self._head))
        except DocumentRejected as error:
            self.refuse(error)
            raise
        try:
            self._permit()
        except ApplianceError:
            self.discard()
            raise
        self._writer.finish()  # a large file takes its time to reach the disk: not under the write lock
        gone = NotFound("There is no such thing here.")
        with self._database.write() as connection:
            # under the lock, so that no deletion of the same content takes the file away in between
            still = load_collection(connection, self._collection_id) and load_principal(connection, self._principal.id)
            taken = self._take(connection, media_type) if still else None
            if taken is None:  # the collection or the account was deleted since it was asked about
                self._audit.append(connection, refusal(self._principal, self._collection_id, self._name, gone))
        if taken is None:
            self.discard()
            raise gone
        return taken

    def _take(self, connection: Connection, media_type: MediaType) -> tuple[Document, bool]:
        stored = self._writer.commit()
        existing = same_content(connection, self._collection_id, stored.sha256)
        document = existing or self._document(media_type, stored)
        if existing is None:
            insert_document(connection, document, stored.name)
        self._audit.append(
            connection,
            AuditEvent(
                EventName.DOCUMENT_UPLOADED,
                self._principal,
                resources=(ResourceRef("document", document.id), ResourceRef("collection", self._collection_id)),
                facts={
                    "sha256": stored.sha256,
                    "size_bytes": stored.size_bytes,
                    "media_type": str(media_type),
                    "duplicate": int(existing is not None),
                },
                sealed={"name": self._name},
            ),
        )
        return document, existing is not None

    def discard(self) -> None:
        """Forget what was written and not committed: the connection broke, or the person changed their mind."""
        self._writer.discard()

    def _document(self, media_type: MediaType, stored: StoredBlob) -> Document:
        return Document(
            id=secrets.token_hex(16),
            collection_id=self._collection_id,
            name=self._name,
            media_type=str(media_type),
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            uploaded_by=self._principal.id,
            uploaded_ms=now_ms(),
            status=DocumentStatus.PENDING,
            stage="Waiting",
            percent=0,
            reason_code=None,
            reason=None,
            page_count=0,
            chunk_count=0,
            key_id=self._principal.key_id,
        )

    def refuse(self, error: DocumentRejected) -> None:
        """Leave nothing but the audit event: the attempt is an act, too."""
        self._writer.discard()
        with self._database.write() as connection:
            self._audit.append(connection, refusal(self._principal, self._collection_id, self._name, error))


def refusal(principal: Principal, collection_id: str, name: str, error: ApplianceError) -> AuditEvent:
    """The audit event of an upload that was not taken."""
    return AuditEvent(
        EventName.DOCUMENT_UPLOADED,
        principal,
        resources=(ResourceRef("collection", collection_id),),
        outcome=Outcome.FAILURE,
        facts={"reason": error.stable_code},
        sealed={"name": name},
    )
