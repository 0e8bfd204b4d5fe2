"""Which models answer: let one, go back, try one on a few, retire, delete. Each change is one audited act."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from appliance.administration.embedding import (
    abandon_embedding,
    begin_embedding,
    index_states,
    require_not_embedding,
    take_up,
)
from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.heeding import Heeding
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, Denied, InvalidInput
from appliance.identity.groups import group_names
from appliance.identity.models import Principal
from appliance.inference.load_failures import LoadFailures
from appliance.inference.load_marks import LoadMarks, load_crashed
from appliance.inference.store import ModelStore, records
from appliance.inference.store.adoption import is_prepared
from appliance.inference.store.versions import ModelVersion, VersionState
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.retrieval.index_progress import IndexProgress
from appliance.storage.database import Database

Facts = dict[str, str | int]
Indexes = list[IndexProgress]  # inside the class `list` is a method


class ModelAdministration:
    """Versions of models and their states. Activation retires the version of the same name that was active before."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        store: ModelStore,
        *,
        golden: GoldenGate,
        marks: LoadMarks,
        failures: LoadFailures,
        may_embed: Callable[[ModelVersion], None],
    ) -> None:
        """`marks` say what crashed while it was loaded, `failures` what could not be; `may_embed` raises `Denied` for a version
        that the routing policy keeps from documents.
        """
        self._may_embed = may_embed
        self._marks = marks
        self._failures = failures
        self._golden = golden
        self._heeding = Heeding(database, access, audit, golden)
        self._database = database
        self._access = access
        self._audit = audit
        self._store = store

    def list(self, principal: Principal) -> list[ModelVersion]:
        """Every version, by name, newest first. Raises `Denied` where policy refuses."""
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._database.write() as connection:
            versions = records.load_versions(connection)
            self._audit.append(connection, AuditEvent(EventName.MODEL_LISTED, principal, facts={"versions": len(versions)}))
        return versions

    def indexes(self, principal: Principal) -> Indexes:
        """How far the index of each embedding model is, the serving one first. Raises `Denied` where policy refuses."""
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        return index_states(self._database)

    def unloadable(self, principal: Principal) -> dict[str, str]:
        """By version, why it is not loaded, or could not be the last time. Raises `Denied` where policy refuses."""
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        crashed, failed = {load.sha256 for load in self._marks.crashed()}, self._failures.known()
        sentence = "It could not be loaded: {} It is tried again from time to time."
        found = {model_id: sentence.format(failure.sentence) for (model_id, _), failure in failed.items()}
        versions = self._store.versions()
        found |= {version.id: load_crashed(version.id) for version in versions if version.sha256 in crashed}
        return {version.id: found[version.id] for version in versions if version.id in found}

    def retry(self, principal: Principal, version_id: str) -> ModelVersion:
        """Let the next question try a version again that crashed while it was loaded, or could not be.

        Raises `NotFound`, `Conflict` (`model.nothing_to_retry`) where nothing of that kind is known.
        """
        self._access.require(principal, Action.MODEL_RETRY, APPLIANCE)
        with self._database.write() as connection:
            version = records.load_version(connection, version_id)
            crashed = version.sha256 in {load.sha256 for load in self._marks.crashed()}
            failed = version.id in {model_id for model_id, _ in self._failures.known()}
            if not crashed and not failed:
                raise Conflict(f"Nothing keeps {version.id} from being loaded.", code="model.nothing_to_retry")
            facts: Facts = {"forgotten": ",".join(["crashes"] * crashed + ["failures"] * failed)}
            self._append(connection, principal, EventName.MODEL_RETRIED, version, facts)
        self._forget(version)
        return version

    def _forget(self, version: ModelVersion) -> None:
        """For what lets a version answer: not where it was refused."""
        self._marks.forget(version.sha256)
        self._failures.forget(version.id)

    def activate(self, principal: Principal, version_id: str, *, despite: str = "") -> ModelVersion:
        """Let a version answer from the next question on. Raises `NotFound`, `Conflict` with one code per reason.

        One that crashed while it was loaded is tried again, also where it is active already.
        What the required golden sets say is heeded (`GoldenObjection`) unless a reason is given why not: `despite`.
        An embedding model takes over later, once everything is embedded with it and no golden set speaks against its index; until
        then it is returned as it is. A reason lets one through that they keep back.
        """
        self._access.require(principal, Action.MODEL_ACTIVATE, APPLIANCE)
        with self._database.read() as connection:
            self._require_allowed(principal, EventName.MODEL_ACTIVATED, records.load_version(connection, version_id))
        heeding = self._heeding.before(principal, EventName.MODEL_ACTIVATED, version_id, despite)
        with heeding as heed, self._database.write() as connection:
            version = records.load_version(connection, version_id)
            if version.state is VersionState.ACTIVE and (self._marks.forget(version.sha256) | self._failures.forget(version.id)):
                self._append(connection, principal, EventName.MODEL_ACTIVATED, version, {"tried_again": "yes"})
                return version
            self._require_usable(version)
            if version.kind == "embedding":
                take_up(connection, self._audit, self._golden.indexes, heed, version)
            else:
                heed(connection, version)
                replaced = records.make_active(connection, version)
                facts: Facts = {"replaced": replaced or "nothing"}
                settled = self._golden.settle(connection, version, overridden=bool(despite))
                facts |= {"golden_runs": settled} if settled else {}
                self._append(connection, principal, EventName.MODEL_ACTIVATED, version, facts)
                version = records.load_version(connection, version.id)
        self._forget(version)
        return version

    def rollback(self, principal: Principal, name: str) -> ModelVersion:
        """Let the version of this name answer that was active before. Raises `Conflict` (`model.nothing_before`).

        A former embedding model takes over as `activate` says, whatever golden sets say; from it no rollback leads forward again.
        One that is not active yet is given up by `abandon`.
        """
        self._access.require(principal, Action.MODEL_ACTIVATE, APPLIANCE)
        with self._database.read() as connection:
            _, before = _replaced(records.load_versions(connection), name)
        if before is not None:
            self._require_allowed(principal, EventName.MODEL_RESTORED, before)
        with self._database.write() as connection:
            current, before = _replaced(records.load_versions(connection), name)
            if current is None or before is None:
                raise Conflict(f"There is no version of {name} to go back to.", code="model.nothing_before")
            self._require_usable(before)
            if before.kind == "embedding":
                begin_embedding(connection, self._audit, principal, before, unconditional=True)
            else:
                records.set_state(connection, current, VersionState.RETIRED)
                records.set_state(connection, before, VersionState.ACTIVE)
                self._append(connection, principal, EventName.MODEL_RESTORED, before, {"replaced": current.id})
                before = records.load_version(connection, before.id)
        self._forget(before)
        return before

    def abandon(self, principal: Principal, name: str) -> ModelVersion:
        """Give up embedding everything with a version (its id, or its name); the present one goes on. Raises `Conflict`."""
        self._access.require(principal, Action.MODEL_ACTIVATE, APPLIANCE)
        with self._database.write() as connection:
            return abandon_embedding(connection, self._audit, principal, name)

    def canary(
        self,
        principal: Principal,
        version_id: str,
        *,
        percent: int | None = None,
        group: str | None = None,
        despite: str = "",
    ) -> ModelVersion:
        """Let a version answer `percent` of the conversations, or those of one group; an earlier canary of the name ends.

        Golden sets are heeded as before an activation. Raises `InvalidInput` (`model.canary`), `Conflict`.
        """
        self._access.require(principal, Action.MODEL_CANARY, APPLIANCE)
        if (percent is None) == (group is None) or (percent is not None and not 1 <= percent <= 99):
            raise InvalidInput("A canary answers 1 to 99 percent of the conversations, or one group.", code="model.canary")
        heeding = self._heeding.before(principal, EventName.MODEL_TRIALLED, version_id, despite)
        with heeding as heed, self._database.write() as connection:
            if group is not None and group not in group_names(connection):
                raise InvalidInput("There is no such group on this box.", code="model.canary_group")
            version = records.load_version(connection, version_id)
            if version.state is VersionState.ACTIVE:
                raise Conflict(f"{version.id} is active: it answers everybody already.", code="model.active")
            if version.kind != "language":
                raise Conflict(
                    "Only language models can be canaries: everything is indexed with one embedder.", code="model.canary"
                )
            self._require_usable(version)
            heed(connection, version)
            for other in records.load_versions(connection):
                if other.name == version.name and other.state is VersionState.CANARY:
                    records.set_state(connection, other, VersionState.CANDIDATE)
            records.set_state(connection, version, VersionState.CANARY, canary_percent=percent, canary_group=group)
            facts: Facts = {"percent": percent} if percent is not None else {"group": str(group)}
            self._append(connection, principal, EventName.MODEL_TRIALLED, version, facts)
            version = records.load_version(connection, version_id)
        self._forget(version)
        return version

    def retire(self, principal: Principal, version_id: str) -> ModelVersion:
        """Let a version answer no longer; its file stays. Raises `Conflict` for the last active one of its kind."""
        self._access.require(principal, Action.MODEL_RETIRE, APPLIANCE)
        with self._database.write() as connection:
            version = records.load_version(connection, version_id)
            others = [
                other for other in records.load_versions(connection) if other.kind == version.kind and other.id != version.id
            ]
            if version.state is VersionState.RETIRED:
                raise Conflict(f"{version.id} is retired already.", code="model.retired")
            require_not_embedding(connection, version)
            if version.state is VersionState.ACTIVE and not any(other.state is VersionState.ACTIVE for other in others):
                raise Conflict(
                    f"{version.id} is the only active {version.kind} model; without it nothing could be answered. "
                    "Activate another one first.",
                    code="model.last_active",
                )
            records.set_state(connection, version, VersionState.RETIRED)
            self._append(connection, principal, EventName.MODEL_RETIRED, version, {"was": version.state.value})
            return records.load_version(connection, version_id)

    def delete(self, principal: Principal, version_id: str) -> None:
        """Delete a candidate or a retired version, and its file where no other version rests on it. Raises `Conflict`."""
        self._access.require(principal, Action.MODEL_DELETE, APPLIANCE)
        with self._database.write() as connection:
            version = records.load_version(connection, version_id)
            if version.state in {VersionState.ACTIVE, VersionState.CANARY}:
                raise Conflict(f"{version.id} answers questions; retire it first.", code="model.in_use")
            require_not_embedding(connection, version)
            if not version.encrypted and is_prepared(self._store.content.directory, version):
                raise Conflict(
                    f"{version.id} was prepared by the box, which would make it again at its next start.", code="model.prepared"
                )
            records.delete_version(connection, version)
            shared = records.content_is_used(connection, version.sha256, encrypted=version.encrypted)
            kept = {item.sha256 for other in records.load_versions(connection) for item in other.adapters}
            self._append(connection, principal, EventName.MODEL_DELETED, version, {"sha256": version.sha256})
        self._failures.forget(version.id)
        if not shared:
            self._store.content.remove(version)
        self._store.content.remove_files(item.sha256 for item in version.adapters if item.sha256 not in kept)

    def _require_allowed(self, principal: Principal, act: EventName, version: ModelVersion) -> None:
        """Raise `Denied`, on record, for an embedding model that the routing policy keeps from documents."""
        try:
            self._may_embed(version)
        except Denied as error:
            about = (ResourceRef("model", version.id),)
            facts: Facts = {"reason": error.stable_code}
            with self._database.write() as connection:
                self._audit.append(connection, AuditEvent(act, principal, resources=about, outcome=Outcome.FAILURE, facts=facts))
            raise

    def _require_usable(self, version: ModelVersion) -> None:
        if version.state is VersionState.ACTIVE:
            raise Conflict(f"{version.id} is active already.", code="model.active")
        if not self._store.content.holds(version):
            raise Conflict(f"The file of {version.id} is gone; import it again.", code="model.file_missing")

    def _append(
        self, connection: Connection, principal: Principal, event: EventName, version: ModelVersion, facts: Facts
    ) -> None:
        about = (ResourceRef("model", version.id),)
        self._audit.append(connection, AuditEvent(event, principal, resources=about, facts=facts))


def _replaced(versions: Sequence[ModelVersion], name: str) -> tuple[ModelVersion | None, ModelVersion | None]:
    """The active version of a name, and the one that was active before."""
    current = next((item for item in versions if item.name == name and item.state is VersionState.ACTIVE), None)
    return current, next((version for version in versions if current and version.id == current.replaced), None)
