"""What the audit log keeps of acts with golden sets: ids and numbers, no question."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.administration.golden.models import GoldenSet, Run
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.identity.models import Principal


def golden_event(
    name: EventName,
    principal: Principal,
    about: GoldenSet | None = None,
    run: Run | None = None,
    *,
    facts: Mapping[str, str | int] | None = None,
) -> AuditEvent:
    resources = [ResourceRef("golden_set", about.id), ResourceRef("collection", about.collection_id)] if about else []
    resources += [ResourceRef("golden_run", run.id)] if run else []
    return AuditEvent(name, principal, resources=tuple(resources), outcome=Outcome.SUCCESS, facts=facts or {})
