"""The whole schema in SQLAlchemy Core terms; migrations create it, stores query it.

Ids are random hexadecimal strings except `chunks.id` and `collections.number`, which the indexes need as integers. Times are
milliseconds since 1970 UTC. The search index itself (sqlite-vec and FTS5 tables) belongs to `retrieval/index.py`.

One file, however long: what refers to what, and what goes with what, is read here in one piece.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()


def _id(name: str = "id") -> Column[str]:
    return Column(name, String(64), primary_key=True)


def _owner(name: str, target: str) -> Column[str]:
    return Column(name, String(64), ForeignKey(target, ondelete="CASCADE"), nullable=False)


# identity ---------------------------------------------------------------------------------------------------------------
principals = Table(
    "principals",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("pseudonym", String(64), nullable=False, unique=True),
    Column("password_hash", String(300), nullable=False),
    Column("created_ms", Integer, nullable=False),
    Column("disabled_ms", Integer),
    # the row of a deleted one stays, without its name: collections, documents and golden sets refer to it
    Column("deleted_ms", Integer),
    Column("deleted_by", String(64), nullable=False, server_default=""),
)
roles = Table(
    "roles",
    metadata,
    Column("principal_id", String(64), ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(20), primary_key=True),
)
groups = Table("groups", metadata, _id(), Column("name", String(200), nullable=False, unique=True))
group_members = Table(
    "group_members",
    metadata,
    Column("group_id", String(64), ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("principal_id", String(64), ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
)
sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    _owner("principal_id", "principals.id"),
    Column("created_ms", Integer, nullable=False),
    Column("last_seen_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    # the identity provider said that it asked for a second factor, and that counts here
    Column("factor_shown", Boolean, nullable=False, server_default=text("0")),
    Index("sessions_by_principal", "principal_id"),
)
provider_links = Table(  # a row: this person may come in through the identity provider
    "provider_links",
    metadata,
    Column("principal_id", String(64), ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    # both empty until the first sign-in; from then on they alone say who this is
    Column("issuer", String(500)),
    Column("subject", String(255)),
    Column("allowed_ms", Integer, nullable=False),
    Column("linked_ms", Integer),
    UniqueConstraint("issuer", "subject"),
)
spent_states = Table(  # of sign-ins through the provider that have come back: none comes back twice
    "spent_states",
    metadata,
    Column("state_sha256", String(64), primary_key=True),
    Column("spent_ms", Integer, nullable=False),
)
throttles = Table(
    "throttles",
    metadata,
    Column("subject", String(64), primary_key=True),  # digest of what is throttled, never the name itself
    Column("failures", Integer, nullable=False),
    Column("blocked_until_ms", Integer, nullable=False),
)
second_factors = Table(
    "second_factors",
    metadata,
    Column("principal_id", String(64), ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("secret", String(64), nullable=False),  # base32, as the app has it
    Column("begun_ms", Integer, nullable=False),
    Column("confirmed_ms", Integer),  # NULL until a first code has shown that the app has it: until then it counts for nothing
    Column("last_step", Integer, nullable=False),  # of the last code accepted, in steps of 30 s: none up to it is accepted again
)
recovery_codes = Table(  # a row goes with its use
    "recovery_codes",
    metadata,
    Column("principal_id", String(64), ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("code_sha256", String(64), primary_key=True),
)
api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _owner("principal_id", "principals.id"),
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the secret, which nobody but its holder has
    Column("scopes", String(100), nullable=False),  # identity/api_keys.py KeyScope, with commas between
    Column("created_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    Column("last_used_ms", Integer),
    Index("api_keys_by_principal", "principal_id"),
)
setup_links = Table(
    "setup_links",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("created_ms", Integer, nullable=False),
    Column("used_ms", Integer),
)

# collections and documents -----------------------------------------------------------------------------------------------
collections = Table(
    "collections",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("owner_id", String(64), ForeignKey("principals.id")),  # set for a person's own collection
    Column("created_ms", Integer, nullable=False),
    Column("classification", String(40), nullable=False, default="internal"),  # one of policies/routing.toml
    # the row of a deleted one stays, without its name: no number may come again
    Column("deleted_ms", Integer),
    Column("deleted_by", String(64), nullable=False, server_default=""),
)
grants = Table(
    "grants",
    metadata,
    Column("collection_id", String(64), ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    Column("grantee_kind", String(10), primary_key=True),  # "principal" or "group"
    Column("grantee_id", String(64), primary_key=True),
    Column("permission", String(12), primary_key=True),  # "read" or "contribute"
    CheckConstraint("grantee_kind IN ('principal', 'group')"),
    CheckConstraint("permission IN ('read', 'contribute')"),
)
documents = Table(
    "documents",
    metadata,
    _id(),
    Column("collection_id", String(64), ForeignKey("collections.id"), nullable=False),
    Column("name", String(500), nullable=False),
    Column("media_type", String(120), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("blob_name", String(64), nullable=False),
    Column("uploaded_by", String(64), nullable=False),
    Column("uploaded_ms", Integer, nullable=False),
    Column("status", String(12), nullable=False),  # documents/models.py DocumentStatus
    Column("stage", String(200), nullable=False, default=""),
    Column("percent", Integer, nullable=False, default=0),
    Column("reason_code", String(60)),
    Column("reason", String(500)),
    Column("page_count", Integer, nullable=False, default=0),
    Column("chunk_count", Integer, nullable=False, default=0),
    Column("hidden_pages", String(200), nullable=False, server_default=""),  # "3, 7": they hold text that nobody sees
    Column("hidden_letters", Integer, nullable=False, server_default="0"),
    Column("key_id", String(64), nullable=False, server_default=""),  # of the API key by which it came
    Column("attempts", Integer, nullable=False, default=0),
    Column("claimed_by", String(64)),
    Column("lease_until_ms", Integer, nullable=False, default=0),
    UniqueConstraint("collection_id", "sha256"),
    Index("documents_by_status", "status", "lease_until_ms"),
    Index("documents_by_blob", "blob_name"),
    Index("documents_by_age", "collection_id", "uploaded_ms"),
)
pages = Table(
    "pages",
    metadata,
    Column("document_id", String(64), ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("start", Integer, nullable=False),  # character offset of the page in the document's text
    Column("text", Text, nullable=False),
    Column("label", String(200), nullable=False, default=""),  # "Sheet Prices", "Slide 3", ...
)
chunks = Table(
    "chunks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _owner("document_id", "documents.id"),
    Column("collection_id", String(64), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("page", Integer, nullable=False),  # page of the first character
    Column("start", Integer, nullable=False),  # offsets in the document's text
    Column("end", Integer, nullable=False),
    Column("heading", Text, nullable=False, default=""),  # "Chapter > Section" the chunk stands under
    Column("text", Text, nullable=False),
    Column("token_count", Integer, nullable=False),  # in the embedder's tokens
    Index("chunks_by_document", "document_id", "ordinal"),
)

# conversations ------------------------------------------------------------------------------------------------------------
conversations = Table(
    "conversations",
    metadata,
    _id(),
    _owner("principal_id", "principals.id"),
    Column("title", String(200), nullable=False),
    Column("collection_id", String(64)),  # where the person narrowed the conversation to one collection
    Column("created_ms", Integer, nullable=False),
    Column("updated_ms", Integer, nullable=False),
    Column("chosen_model", String(200), nullable=False, server_default=""),  # by hand; empty leaves it to the routing policy
    Index("conversations_by_principal", "principal_id", "updated_ms"),
    Index("conversations_by_age", "updated_ms"),
)
messages = Table(
    "messages",
    metadata,
    _id(),
    _owner("conversation_id", "conversations.id"),
    Column("ordinal", Integer, nullable=False),
    Column("role", String(10), nullable=False),  # "user" or "assistant"
    Column("text", Text, nullable=False, default=""),
    Column("status", String(12), nullable=False),  # chat/models.py MessageStatus
    Column("created_ms", Integer, nullable=False),
    Column("finished_ms", Integer),
    Column("finish_reason", String(20)),
    Column("reason_code", String(60)),
    Column("reason", String(500)),
    Column("model", String(200)),
    Column("passages_found", Integer, nullable=False, default=0),
    Column("passages_used", Integer, nullable=False, default=0),
    Column("prompt_tokens", Integer, nullable=False, default=0),
    Column("cached_tokens", Integer, nullable=False, default=0),  # of the prompt, which the runtime still held from before
    Column("completion_tokens", Integer, nullable=False, default=0),
    Column("timing", Text, nullable=False, default="{}"),  # JSON, milliseconds per step
    Column("stop_requested", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claimed_by", String(64)),
    Column("lease_until_ms", Integer, nullable=False, default=0),
    Column("selection", Text, nullable=False, default=""),  # JSON, inference/selection/records.py
    # of answers; unknown for those of before, and where nothing was searched or written
    Column("best_score", Float),  # of the best passage found, used or not
    Column("sentences_supported", Integer),  # written by the model, held by a passage
    Column("sentences_withheld", Integer),  # written by the model, held by none
    Column("key_id", String(64), nullable=False, server_default=""),  # of the API key by which it was asked for
    UniqueConstraint("conversation_id", "ordinal"),
    Index("messages_by_status", "status", "lease_until_ms"),
    Index("messages_by_end", "finished_ms"),
)
message_passages = Table(
    "message_passages",
    metadata,
    Column("message_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # as shown to the model and cited, from 1
    # gone when the document is: then the answer says that its source was deleted
    Column("chunk_id", Integer, ForeignKey("chunks.id", ondelete="SET NULL")),
    Column("document_id", String(64), ForeignKey("documents.id", ondelete="SET NULL")),
    Column("page", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Index("message_passages_by_chunk", "chunk_id"),
    Index("message_passages_by_document", "document_id"),
)
message_nearest = Table(  # what an answer offered that says that there is none
    "message_nearest",
    metadata,
    Column("message_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("document_id", String(64), ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("page", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Index("message_nearest_by_document", "document_id"),
)
citations = Table(
    "citations",
    metadata,
    Column("message_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("number", Integer, nullable=False),  # the passage
    Column("answer_start", Integer, nullable=False),  # where in the answer the mark "[n]" stands
    Column("answer_end", Integer, nullable=False),
    Column("page", Integer, nullable=False),
    Column("start", Integer, nullable=False),  # the supporting span, offsets in the document's text
    Column("end", Integer, nullable=False),
)
# one row for a person and an answer: an answer belongs to one conversation, and that to one person
feedback = Table(
    "feedback",
    metadata,
    Column("message_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("helpful", Boolean, nullable=False),
    Column("kind", String(12), nullable=False),  # chat/models.py FeedbackKind
    Column("comment", String(500), nullable=False),
    Column("shared", Boolean, nullable=False),  # administrators may see the question and the answer, too
    Column("given_ms", Integer, nullable=False),  # when it last turned from one thumb to the other
    Column("changed_ms", Integer, nullable=False),
    CheckConstraint("kind IN ('', 'citation', 'missed', 'wrong', 'other')"),
    Index("feedback_by_time", "given_ms"),
)

# retention ----------------------------------------------------------------------------------------------------------------
retention = Table(
    "retention",
    metadata,
    Column("subject", String(64), primary_key=True),  # "conversations", or the id of a collection: of its documents
    Column("days", Integer),  # as agreed last; NULL: they stay
    Column("days_before", Integer),  # what holds until `effective_ms`; NULL: they stay until then
    Column("effective_ms", Integer, nullable=False),
    CheckConstraint("days BETWEEN 1 AND 36500"),
    CheckConstraint("days_before BETWEEN 1 AND 36500"),
)
retention_clock = Table(  # what retention/clock.py believes of the clock; one row
    "retention_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("believed_ms", Integer, nullable=False),
    Column("wall_ms", Integer, nullable=False),  # the rest: as it was at the last look
    Column("boot_id", String(64), nullable=False),
    Column("mono_ms", Integer, nullable=False),
    Column("waited_ms", Integer, nullable=False),
    CheckConstraint("id = 1"),
)

# quality ------------------------------------------------------------------------------------------------------------------
quality_hours = Table(
    "quality_hours",
    metadata,
    Column("start_ms", Integer, primary_key=True, autoincrement=False),  # a full hour; one in which nothing happened has no row
    Column("questions", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("abstained", Integer, nullable=False),
    Column("stopped", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("helpful", Integer, nullable=False),
    Column("unhelpful", Integer, nullable=False),
    Column("supported", Integer, nullable=False),  # sentences
    Column("withheld", Integer, nullable=False),
    Column("search_score", Text, nullable=False),  # JSON, quality/spread.py; so are the next two, in milliseconds
    Column("first_word", Text, nullable=False),
    Column("whole_time", Text, nullable=False),
)
drift_alerts = Table(
    "drift_alerts",
    metadata,
    Column("measure", String(24), primary_key=True),  # quality/models.py Measure
    Column("begun_ms", Integer, primary_key=True, autoincrement=False),
    Column("ended_ms", Integer),  # NULL while it lasts
    Column("before", Float, nullable=False),
    Column("last", Float, nullable=False),
    Index("drift_alerts_one_open", "measure", unique=True, sqlite_where=text("ended_ms IS NULL")),
)

# models -------------------------------------------------------------------------------------------------------------------
model_versions = Table(
    "model_versions",
    metadata,
    Column("id", String(200), primary_key=True),  # "name@number"
    Column("kind", String(12), nullable=False),  # "language" or "embedding"
    Column("name", String(120), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, per name
    Column("format", String(12), nullable=False),  # "gguf", "genai", "onnx" or "served"
    Column("quantisation", String(24), nullable=False),
    Column("architecture", String(60), nullable=False),
    Column("parameters_m", Float, nullable=False),  # millions
    Column("size_class", String(8), nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("memory_mb", Integer, nullable=False),
    Column("licence", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),  # of the plain file; of a folder, of its list of files
    Column("size_bytes", Integer, nullable=False),
    Column("files", Text, nullable=False),  # JSON, the files of a folder with their digests
    Column("encrypted", Boolean, nullable=False),
    Column("prompt", Text, nullable=False),  # JSON: what a Modelfile says about template, system text and parameters
    Column("source", String(500), nullable=False),
    Column("made_from", String(200)),  # the version that this one was converted from
    Column("signer", String(64)),  # fingerprint of the key whose signature was checked
    Column("measured", Text, nullable=False),  # JSON, figures of this version
    Column("trials", Text, nullable=False),  # JSON, every variant that was measured beside it
    Column("state", String(12), nullable=False),
    Column("canary_percent", Integer),
    Column("canary_group", String(64)),
    Column("replaced", String(200)),  # the version that was active before this one: where a rollback leads
    Column("imported_ms", Integer, nullable=False),
    Column("changed_ms", Integer, nullable=False),
    UniqueConstraint("name", "number"),
    CheckConstraint("state IN ('candidate', 'canary', 'active', 'retired')"),
    CheckConstraint("canary_percent IS NULL OR canary_percent BETWEEN 1 AND 99"),
    Index("model_versions_one_active", "name", unique=True, sqlite_where=text("state = 'active'")),
    Index("model_versions_one_canary", "name", unique=True, sqlite_where=text("state = 'canary'")),
    Index("model_versions_by_content", "sha256"),
)
model_signers = Table(
    "model_signers",
    metadata,
    Column("fingerprint", String(64), primary_key=True),  # SHA-256 of the key
    Column("public_key", LargeBinary(32), nullable=False),  # Ed25519
    Column("name", String(200), nullable=False),
    Column("trusted_ms", Integer, nullable=False),
)

# golden sets --------------------------------------------------------------------------------------------------------------
golden_sets = Table(
    "golden_sets",
    metadata,
    _id(),
    _owner("collection_id", "collections.id"),
    Column("name", String(200), nullable=False),
    Column("required", Boolean, nullable=False),  # asked before a model is activated
    Column("schedule", String(10), nullable=False),  # administration/golden/models.py Schedule
    Column("hour", Integer, nullable=False),  # of the box's own clock
    Column("weekday", Integer, nullable=False),  # 0 is Monday
    Column("acts_for", String(64), nullable=False),  # the administrator for whom scheduled runs search
    Column("due_ms", Integer),
    Column("created_ms", Integer, nullable=False),
    UniqueConstraint("collection_id", "name"),
)
golden_questions = Table(
    "golden_questions",
    metadata,
    _id(),
    _owner("set_id", "golden_sets.id"),
    Column("ordinal", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("answers", Text, nullable=False),  # JSON list: one of them must stand in the answer
    Column("document", String(500), nullable=False),  # the name of the one that must be cited, or empty
    Column("page", Integer),
    Column("silent", Boolean, nullable=False),  # the documents do not hold the answer, and the box must say so
    Index("golden_questions_by_set", "set_id", "ordinal"),
)
golden_runs = Table(
    "golden_runs",
    metadata,
    _id(),
    _owner("set_id", "golden_sets.id"),
    Column("cause", String(12), nullable=False),
    Column("acts_for", String(64), nullable=False),
    Column("version_id", String(200), nullable=False, default=""),  # the version that was supposed to be active, or empty
    Column("activates", Boolean, nullable=False, default=False),
    Column("status", String(12), nullable=False),  # administration/golden/models.py RunStatus
    Column("created_ms", Integer, nullable=False),
    Column("started_ms", Integer),
    Column("finished_ms", Integer),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("figures", Text, nullable=False, default="{}"),  # JSON
    Column("conditions", Text, nullable=False, default="{}"),  # JSON
    Column("conditions_sha256", String(64), nullable=False, default=""),
    Column("baseline_id", String(64)),  # the run it was compared with
    Column("worse", Integer, nullable=False, default=0),
    Column("better", Integer, nullable=False, default=0),
    Column("regressed", Boolean, nullable=False, default=False),
    Column("accepted_ms", Integer),  # from then on later runs are compared with it
    Column("reason_code", String(60)),
    Column("reason", String(500)),
    Column("stop_requested", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claimed_by", String(64)),
    Column("lease_until_ms", Integer, nullable=False, default=0),
    Index("golden_runs_by_set", "set_id", "created_ms"),
    Index("golden_runs_by_status", "status", "lease_until_ms"),
)
golden_outcomes = Table(
    "golden_outcomes",
    metadata,
    Column("run_id", String(64), ForeignKey("golden_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("question_id", String(64), primary_key=True),  # the question may have been deleted since
    Column("ordinal", Integer, nullable=False),
    Column("question_sha256", String(64), nullable=False),
    Column("right", Boolean, nullable=False),
    Column("body", Text, nullable=False),  # JSON: question, answer, figures
)

# audit --------------------------------------------------------------------------------------------------------------------
audit_events = Table(
    "audit_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # gapless from 1
    Column("class_uid", Integer, nullable=False),
    Column("class_seq", Integer, nullable=False),  # gapless per class
    Column("time_ms", Integer, nullable=False),
    Column("event", String(40), nullable=False),
    Column("actor_pseudonym", String(64), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("body", LargeBinary, nullable=False),  # canonical JSON; the bytes that were hashed
    Column("leaf_hash", LargeBinary(32), nullable=False),
    UniqueConstraint("class_uid", "class_seq"),
    Index("audit_events_by_actor", "actor_pseudonym", "seq"),
    Index("audit_events_by_event", "event", "seq"),
    Index("audit_events_by_outcome", "outcome", "seq"),
    Index("audit_events_by_time", "time_ms"),
)
audit_resources = Table(
    "audit_resources",
    metadata,
    Column("seq", Integer, ForeignKey("audit_events.seq"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("resource_id", String(64), primary_key=True),
    Index("audit_resources_by_resource", "kind", "resource_id", "seq"),
)
audit_sealed = Table(
    "audit_sealed",
    metadata,
    Column("seq", Integer, ForeignKey("audit_events.seq"), primary_key=True),
    Column("field", String(40), primary_key=True),
    Column("subject", String(64), nullable=False),  # pseudonym of whose value it is: the unit of erasure
    Column("sealed_value", LargeBinary, nullable=False),  # nonce || AES-GCM(salt || value)
    Index("audit_sealed_by_subject", "subject"),
)
holds = Table(
    "holds",
    metadata,
    # the account, deleted or not: while the row is here neither it nor its sealed values may go
    Column("pseudonym", String(64), ForeignKey("principals.pseudonym"), primary_key=True),
    Column("placed_by", String(64), nullable=False),  # pseudonym
    Column("placed_ms", Integer, nullable=False),
    Column("placed_seq", Integer, ForeignKey("audit_events.seq"), nullable=False),  # the leaf beside which the reason is sealed
)
audit_blocks = Table(
    "audit_blocks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # gapless from 0
    Column("root", LargeBinary(32), nullable=False),  # over the 256 leaves from seq 256 * number + 1 on
)
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),  # leaves under it; the last is `checkpoint.signed`
    Column("note", Text, nullable=False),  # as signed, see appliance/audit/notes.py
)
log_collectors = Table(
    "log_collectors",
    metadata,
    Column("address", String(1000), primary_key=True),  # with the path: another one begins anew
    Column("sent_seq", Integer, nullable=False),  # the last leaf it has taken
    Column("sent_ms", Integer),
    Column("tries", Integer, nullable=False),  # since it took something, the one under way included
    Column("tried_ms", Integer, nullable=False),
    Column("fault", String(60), nullable=False),  # stable code; empty while nothing fails
    Column("status", Integer, nullable=False),  # of HTTP, where it answered with one that is no success
    Column("failing_since_ms", Integer),
)
