-- The schema of revision 0001, frozen: later changes are later revisions. tables.py describes the newest one.

CREATE TABLE principals (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    pseudonym VARCHAR(64) NOT NULL,
    password_hash VARCHAR(300) NOT NULL,
    created_ms INTEGER NOT NULL,
    disabled_ms INTEGER,
    PRIMARY KEY (id),
    UNIQUE (name),
    UNIQUE (pseudonym)
);

CREATE TABLE roles (
    principal_id VARCHAR(64) NOT NULL,
    role VARCHAR(20) NOT NULL,
    PRIMARY KEY (principal_id, role),
    FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE TABLE groups (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE group_members (
    group_id VARCHAR(64) NOT NULL,
    principal_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (group_id, principal_id),
    FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE,
    FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE TABLE sessions (
    token_sha256 VARCHAR(64) NOT NULL,
    principal_id VARCHAR(64) NOT NULL,
    created_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (token_sha256),
    FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE INDEX sessions_by_principal ON sessions (principal_id);

CREATE TABLE throttles (
    subject VARCHAR(64) NOT NULL,
    failures INTEGER NOT NULL,
    blocked_until_ms INTEGER NOT NULL,
    PRIMARY KEY (subject)
);

CREATE TABLE setup_links (
    token_sha256 VARCHAR(64) NOT NULL,
    created_ms INTEGER NOT NULL,
    used_ms INTEGER,
    PRIMARY KEY (token_sha256)
);

CREATE TABLE collections (
    number INTEGER NOT NULL,
    id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    owner_id VARCHAR(64),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (id),
    FOREIGN KEY(owner_id) REFERENCES principals (id)
);

CREATE TABLE grants (
    collection_id VARCHAR(64) NOT NULL,
    grantee_kind VARCHAR(10) NOT NULL,
    grantee_id VARCHAR(64) NOT NULL,
    permission VARCHAR(12) NOT NULL,
    PRIMARY KEY (collection_id, grantee_kind, grantee_id, permission),
    CHECK (grantee_kind IN ('principal', 'group')),
    CHECK (permission IN ('read', 'contribute')),
    FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE
);

CREATE TABLE documents (
    id VARCHAR(64) NOT NULL,
    collection_id VARCHAR(64) NOT NULL,
    name VARCHAR(500) NOT NULL,
    media_type VARCHAR(120) NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    blob_name VARCHAR(64) NOT NULL,
    uploaded_by VARCHAR(64) NOT NULL,
    uploaded_ms INTEGER NOT NULL,
    status VARCHAR(12) NOT NULL,
    stage VARCHAR(200) NOT NULL,
    percent INTEGER NOT NULL,
    reason_code VARCHAR(60),
    reason VARCHAR(500),
    page_count INTEGER NOT NULL,
    chunk_count INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    claimed_by VARCHAR(64),
    lease_until_ms INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (collection_id, sha256),
    FOREIGN KEY(collection_id) REFERENCES collections (id)
);

CREATE INDEX documents_by_blob ON documents (blob_name);

CREATE INDEX documents_by_status ON documents (status, lease_until_ms);

CREATE TABLE pages (
    document_id VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,
    text TEXT NOT NULL,
    label VARCHAR(200) NOT NULL,
    PRIMARY KEY (document_id, number),
    FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);

CREATE TABLE chunks (
    id INTEGER NOT NULL,
    document_id VARCHAR(64) NOT NULL,
    collection_id VARCHAR(64) NOT NULL,
    ordinal INTEGER NOT NULL,
    page INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    token_count INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);

CREATE INDEX chunks_by_document ON chunks (document_id, ordinal);

CREATE TABLE conversations (
    id VARCHAR(64) NOT NULL,
    principal_id VARCHAR(64) NOT NULL,
    title VARCHAR(200) NOT NULL,
    collection_id VARCHAR(64),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(principal_id) REFERENCES principals (id) ON DELETE CASCADE
);

CREATE INDEX conversations_by_principal ON conversations (principal_id, updated_ms);

CREATE TABLE messages (
    id VARCHAR(64) NOT NULL,
    conversation_id VARCHAR(64) NOT NULL,
    ordinal INTEGER NOT NULL,
    role VARCHAR(10) NOT NULL,
    text TEXT NOT NULL,
    status VARCHAR(12) NOT NULL,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    finish_reason VARCHAR(20),
    reason_code VARCHAR(60),
    reason VARCHAR(500),
    model VARCHAR(200),
    passages_found INTEGER NOT NULL,
    passages_used INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    timing TEXT NOT NULL,
    stop_requested BOOLEAN NOT NULL,
    attempts INTEGER NOT NULL,
    claimed_by VARCHAR(64),
    lease_until_ms INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (conversation_id, ordinal),
    FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE
);

CREATE INDEX messages_by_status ON messages (status, lease_until_ms);

CREATE TABLE message_passages (
    message_id VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    chunk_id INTEGER,
    document_id VARCHAR(64),
    page INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    score FLOAT NOT NULL,
    PRIMARY KEY (message_id, number),
    FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE,
    FOREIGN KEY(chunk_id) REFERENCES chunks (id) ON DELETE SET NULL,
    FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE SET NULL
);

CREATE INDEX message_passages_by_chunk ON message_passages (chunk_id);

CREATE INDEX message_passages_by_document ON message_passages (document_id);

CREATE TABLE citations (
    message_id VARCHAR(64) NOT NULL,
    ordinal INTEGER NOT NULL,
    number INTEGER NOT NULL,
    answer_start INTEGER NOT NULL,
    answer_end INTEGER NOT NULL,
    page INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    PRIMARY KEY (message_id, ordinal),
    FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);

CREATE TABLE audit_events (
    seq INTEGER NOT NULL,
    class_uid INTEGER NOT NULL,
    class_seq INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    event VARCHAR(40) NOT NULL,
    actor_pseudonym VARCHAR(64) NOT NULL,
    outcome VARCHAR(10) NOT NULL,
    body BLOB NOT NULL,
    leaf_hash BLOB NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE (class_uid, class_seq)
);

CREATE INDEX audit_events_by_actor ON audit_events (actor_pseudonym, seq);

CREATE INDEX audit_events_by_event ON audit_events (event, seq);

CREATE INDEX audit_events_by_outcome ON audit_events (outcome, seq);

CREATE INDEX audit_events_by_time ON audit_events (time_ms);

CREATE TABLE audit_resources (
    seq INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL,
    resource_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (seq, kind, resource_id),
    FOREIGN KEY(seq) REFERENCES audit_events (seq)
);

CREATE INDEX audit_resources_by_resource ON audit_resources (kind, resource_id, seq);

CREATE TABLE audit_sealed (
    seq INTEGER NOT NULL,
    field VARCHAR(40) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    sealed_value BLOB NOT NULL,
    PRIMARY KEY (seq, field),
    FOREIGN KEY(seq) REFERENCES audit_events (seq)
);

CREATE INDEX audit_sealed_by_subject ON audit_sealed (subject);
