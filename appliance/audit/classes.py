"""Where each event stands in the Open Cybersecurity Schema Framework (OCSF 1.9): class and activity.

Pure table. 99 is OCSF's "other": the class fits and none of its named activities does.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from appliance.audit.events import EventName

OTHER = 99


class EventClass(NamedTuple):
    """OCSF `class_uid` and `activity_id`."""

    class_uid: int
    activity_id: int


_AUTHENTICATION = 3002
_ENTITY_MANAGEMENT = 3004
_GROUP_MANAGEMENT = 3006
_USER_MANAGEMENT = 3007
_EVENT_LOG = 1008
_NETWORK = 4001
_LIFECYCLE = 6002
_API = 6003
_DATASTORE = 6005
_FILE_HOSTING = 6006

CLASSES = MappingProxyType(
    {
        EventName.ANSWER_FAILED: EventClass(_API, 1),
        EventName.ANSWER_RELEASED: EventClass(_API, 1),
        EventName.ANSWER_STARTED: EventClass(_API, 2),
        EventName.ANSWER_STOPPED: EventClass(_API, 1),
        EventName.APPLIANCE_STARTED: EventClass(_LIFECYCLE, 3),
        EventName.APPLIANCE_STOPPED: EventClass(_LIFECYCLE, 4),
        EventName.AUDIT_DISCLOSED: EventClass(_EVENT_LOG, OTHER),
        EventName.AUDIT_ERASED: EventClass(_EVENT_LOG, OTHER),
        EventName.AUDIT_EXPORTED: EventClass(_EVENT_LOG, 3),
        EventName.AUDIT_READ: EventClass(_EVENT_LOG, OTHER),
        EventName.BACKUP_MADE: EventClass(_DATASTORE, OTHER),
        EventName.BACKUP_RESTORED: EventClass(_DATASTORE, OTHER),
        EventName.BOX_READ: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.CHECKPOINT_SIGNED: EventClass(_EVENT_LOG, OTHER),
        EventName.COLLECTION_CREATED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.COLLECTION_DELETED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.COLLECTION_LISTED: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.COLLECTION_UPDATED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.COLLECTOR_BEGUN: EventClass(_LIFECYCLE, OTHER),
        EventName.COLLECTOR_FAILED: EventClass(_LIFECYCLE, OTHER),
        EventName.COLLECTOR_RECOVERED: EventClass(_LIFECYCLE, OTHER),
        EventName.CONVERSATION_CREATED: EventClass(_API, 1),
        EventName.CONVERSATION_DELETED: EventClass(_API, 4),
        EventName.CONVERSATION_LISTED: EventClass(_API, 2),
        EventName.CONVERSATION_READ: EventClass(_API, 2),
        EventName.DOCUMENT_DELETED: EventClass(_FILE_HOSTING, 4),
        EventName.DOCUMENT_FAILED: EventClass(_DATASTORE, OTHER),
        EventName.DOCUMENT_INGESTED: EventClass(_DATASTORE, OTHER),
        EventName.DOCUMENT_LISTED: EventClass(_FILE_HOSTING, OTHER),
        EventName.DOCUMENT_READ: EventClass(_FILE_HOSTING, 14),
        EventName.DOCUMENT_UPLOADED: EventClass(_FILE_HOSTING, 1),
        EventName.DRIFT_BEGUN: EventClass(_LIFECYCLE, OTHER),
        EventName.DRIFT_ENDED: EventClass(_LIFECYCLE, OTHER),
        EventName.EGRESS_CALLED: EventClass(_NETWORK, 6),
        EventName.EGRESS_METERED: EventClass(_NETWORK, 6),
        EventName.EGRESS_OPENED: EventClass(_NETWORK, 1),
        EventName.EGRESS_PROVEN: EventClass(_LIFECYCLE, OTHER),
        EventName.EGRESS_READ: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.EGRESS_REFUSED: EventClass(_NETWORK, 5),
        EventName.FACTOR_BEGUN: EventClass(_USER_MANAGEMENT, OTHER),
        EventName.FACTOR_CREATED: EventClass(_USER_MANAGEMENT, 2),
        EventName.FACTOR_DELETED: EventClass(_USER_MANAGEMENT, 2),
        EventName.FACTOR_REMOVED: EventClass(_USER_MANAGEMENT, 2),
        EventName.FACTOR_RENEWED: EventClass(_USER_MANAGEMENT, 2),
        EventName.FEEDBACK_GIVEN: EventClass(_API, 3),
        EventName.FEEDBACK_LISTED: EventClass(_API, 2),
        EventName.FEEDBACK_WITHDRAWN: EventClass(_API, 4),
        EventName.GOLDEN_ACCEPTED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.GOLDEN_CREATED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.GOLDEN_DELETED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.GOLDEN_FINISHED: EventClass(_ENTITY_MANAGEMENT, OTHER),
        EventName.GOLDEN_OVERRIDDEN: EventClass(_ENTITY_MANAGEMENT, OTHER),
        EventName.GOLDEN_READ: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.GOLDEN_STARTED: EventClass(_ENTITY_MANAGEMENT, OTHER),
        EventName.GOLDEN_STOPPED: EventClass(_ENTITY_MANAGEMENT, OTHER),
        EventName.GOLDEN_UPDATED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.GROUP_CREATED: EventClass(_GROUP_MANAGEMENT, 6),
        EventName.GROUP_DELETED: EventClass(_GROUP_MANAGEMENT, 5),
        EventName.GROUP_LISTED: EventClass(_GROUP_MANAGEMENT, OTHER),
        EventName.GROUP_RENAMED: EventClass(_GROUP_MANAGEMENT, OTHER),
        EventName.HOLD_LIFTED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.HOLD_LISTED: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.HOLD_PLACED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.IDENTITY_LINKED: EventClass(_USER_MANAGEMENT, OTHER),
        EventName.IDENTITY_UNLINKED: EventClass(_USER_MANAGEMENT, OTHER),
        EventName.KEY_CREATED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.KEY_ENDED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.KEY_REFUSED: EventClass(_AUTHENTICATION, 1),
        EventName.MEMBER_ADDED: EventClass(_GROUP_MANAGEMENT, 3),
        EventName.MEMBER_REMOVED: EventClass(_GROUP_MANAGEMENT, 4),
        EventName.EMBEDDING_ABANDONED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.EMBEDDING_BEGUN: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.EMBEDDING_COMPARED: EventClass(_ENTITY_MANAGEMENT, OTHER),
        EventName.EMBEDDING_COMPLETED: EventClass(_DATASTORE, OTHER),
        EventName.MIGRATION_APPLIED: EventClass(_LIFECYCLE, 8),
        EventName.MODEL_ACTIVATED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_CRASHED: EventClass(_LIFECYCLE, OTHER),
        EventName.MODEL_DELETED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.MODEL_IMPORTED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.MODEL_LISTED: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.MODEL_MEASURED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_MISPLACED: EventClass(_LIFECYCLE, OTHER),
        EventName.MODEL_RECOVERED: EventClass(_LIFECYCLE, OTHER),
        EventName.MODEL_RESTORED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_RETIRED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_RETRIED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_SKIPPED: EventClass(_LIFECYCLE, OTHER),
        EventName.MODEL_TRIALLED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.MODEL_VERIFIED: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.PASSWORD_CHANGED: EventClass(_USER_MANAGEMENT, 2),
        EventName.PERSON_CREATED: EventClass(_USER_MANAGEMENT, 1),
        EventName.PERSON_DELETED: EventClass(_USER_MANAGEMENT, 6),
        EventName.PERSON_LISTED: EventClass(_USER_MANAGEMENT, OTHER),
        EventName.PERSON_UPDATED: EventClass(_USER_MANAGEMENT, 2),
        EventName.QUALITY_READ: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.QUESTION_ASKED: EventClass(_API, 1),
        EventName.RETENTION_CHANGED: EventClass(_ENTITY_MANAGEMENT, 3),
        EventName.RETENTION_READ: EventClass(_ENTITY_MANAGEMENT, 2),
        EventName.SEAL_CHECKED: EventClass(_LIFECYCLE, OTHER),
        EventName.SESSION_CREATED: EventClass(_AUTHENTICATION, 1),
        EventName.SESSION_DELETED: EventClass(_AUTHENTICATION, 2),
        EventName.SESSION_REFUSED: EventClass(_AUTHENTICATION, 1),
        EventName.SIGNER_DISTRUSTED: EventClass(_ENTITY_MANAGEMENT, 4),
        EventName.SIGNER_TRUSTED: EventClass(_ENTITY_MANAGEMENT, 1),
        EventName.STOP_REQUESTED: EventClass(_API, 3),
    }
)

# a refused act is filed under the class of the act that was tried
_REFUSED = MappingProxyType(
    {
        "account": _USER_MANAGEMENT,
        "audit": _EVENT_LOG,
        "box": _ENTITY_MANAGEMENT,
        "collection": _ENTITY_MANAGEMENT,
        "document": _FILE_HOSTING,
        "egress": _ENTITY_MANAGEMENT,
        "factor": _USER_MANAGEMENT,
        "golden": _ENTITY_MANAGEMENT,
        "group": _GROUP_MANAGEMENT,
        "hold": _ENTITY_MANAGEMENT,
        "key": _ENTITY_MANAGEMENT,
        "member": _GROUP_MANAGEMENT,
        "model": _ENTITY_MANAGEMENT,
        "password": _USER_MANAGEMENT,
        "person": _USER_MANAGEMENT,
        "quality": _ENTITY_MANAGEMENT,
        "retention": _ENTITY_MANAGEMENT,
        "session": _AUTHENTICATION,
        "setup": _USER_MANAGEMENT,
    }
)


def classify(name: EventName, attempted: str = "") -> EventClass:
    """The class of an event; `attempted` is the action (`noun:verb`) that `access.denied` was about."""
    if name is EventName.ACCESS_DENIED:
        return EventClass(_REFUSED.get(attempted.partition(":")[0], _API), OTHER)
    return CLASSES[name]
