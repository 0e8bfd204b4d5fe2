"""Every permission there is, `resource:verb`, alphabetised. Cedar sees the same names."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What a principal may ask to do; a route without one is refused."""

    ACCOUNT_READ = "account:read"  # the page of one's own account, and what it says of it
    ASSET_READ = "asset:read"  # style sheets and scripts of the pages themselves
    AUDIT_ERASE = "audit:erase"  # what is sealed of a person whose account was deleted
    AUDIT_EXPORT = "audit:export"
    AUDIT_READ = "audit:read"
    BOX_READ = "box:read"  # state of the box: processes, disk, seal
    COLLECTION_CREATE = "collection:create"
    COLLECTION_DELETE = "collection:delete"
    COLLECTION_LIST = "collection:list"  # by name, to those who administer
    COLLECTION_UPDATE = "collection:update"  # name and readers
    CONVERSATION_CREATE = "conversation:create"
    CONVERSATION_DELETE = "conversation:delete"
    CONVERSATION_LIST = "conversation:list"  # one's own
    CONVERSATION_READ = "conversation:read"
    DOCUMENT_DELETE = "document:delete"
    DOCUMENT_LIST = "document:list"
    DOCUMENT_READ = "document:read"
    DOCUMENT_UPLOAD = "document:upload"
    EGRESS_READ = "egress:read"  # the seal and what has left the box
    FACTOR_CREATE = "factor:create"  # switch on a second factor for one's own account, from the first picture to the first code
    FACTOR_DELETE = "factor:delete"  # switch one's own off
    FACTOR_REMOVE = "factor:remove"  # that of somebody who lost the phone
    FACTOR_RENEW = "factor:renew"  # replace one's own recovery codes
    FEEDBACK_GIVE = "feedback:give"  # a thumb and a comment on an answer of one's own; taking it back is the same act
    FEEDBACK_LIST = "feedback:list"  # as administrators see it: without names, and without conversations
    GOLDEN_OVERRIDE = "golden:override"  # activate a model although golden sets speak against it, or do not speak for it
    GOLDEN_READ = "golden:read"  # sets, runs and what came of each question; of collections one may read
    GOLDEN_RUN = "golden:run"
    GOLDEN_UPDATE = "golden:update"  # sets and their questions, schedule, what later runs are compared with
    GROUP_CREATE = "group:create"
    GROUP_DELETE = "group:delete"  # with what is opened to it
    GROUP_LIST = "group:list"  # with its members
    GROUP_RENAME = "group:rename"
    HEALTH_READ = "health:read"
    HOLD_LIFT = "hold:lift"
    HOLD_LIST = "hold:list"  # with the deleted accounts of which something is still sealed
    HOLD_PLACE = "hold:place"  # keep an account and its sealed values, and what is theirs beyond its age
    KEY_CREATE = "key:create"  # an API key of one's own; asked again whenever one is used
    KEY_END = "key:end"  # one's own; those of others by person:update
    KEY_LIST = "key:list"  # one's own
    MEMBER_ADD = "member:add"  # put people into a group; asked beside collection:update of what is opened to it
    MEMBER_REMOVE = "member:remove"
    MESSAGE_ASK = "message:ask"
    MESSAGE_STOP = "message:stop"
    MODEL_ACTIVATE = "model:activate"  # let a version answer, or go back to the one before
    MODEL_CANARY = "model:canary"  # let a version answer a share of the conversations, or one group
    MODEL_DELETE = "model:delete"
    MODEL_IMPORT = "model:import"  # take in a version, from a file, a folder, a package
    MODEL_LIST = "model:list"
    MODEL_MEASURE = "model:measure"  # verify, measure, produce the variants for this machine
    MODEL_RETIRE = "model:retire"
    MODEL_RETRY = "model:retry"  # have it loaded again although it crashed while it was, or could not be
    MODEL_TRUST = "model:trust"  # keys whose signatures on models count
    PASSWORD_CHANGE = "password:change"  # one's own  # noqa: S105 - a name, not a secret
    PERSON_CREATE = "person:create"
    PERSON_DELETE = "person:delete"  # with their conversations and their own documents
    PERSON_LIST = "person:list"
    PERSON_UPDATE = "person:update"  # roles, password, disabled
    QUALITY_READ = "quality:read"  # figures of the answers, hour by hour, and what has drifted
    RETENTION_UPDATE = "retention:update"  # how long conversations stay; of documents it is collection:update
    SESSION_CREATE = "session:create"  # sign in
    SESSION_DELETE = "session:delete"  # sign out
    SETUP_COMPLETE = "setup:complete"  # the first administrator, by the one-time link
