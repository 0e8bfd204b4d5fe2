"""`cloister doctor`: is this box in order? Looks at everything, changes nothing but the schema of a box of an older version."""

from __future__ import annotations

import argparse
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from appliance.administration.embedding import index_states
from appliance.audit.integrity import check, foreign_triggers
from appliance.audit.log import utc_text
from appliance.audit.tree_check import check_tree
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.output import Output
from appliance.egress.collector.state import taken_last
from appliance.errors import ApplianceError, NotFound, Unavailable
from appliance.inference.load_marks import load_crashed
from appliance.inference.loaded_report import read_loaded
from appliance.retrieval.indexes import IndexState
from appliance.settings import load_settings
from appliance.storage.blobs import sealed_bytes
from appliance.storage.clock import now_ms
from appliance.storage.kept_copies import kept_copies
from appliance.storage.tables import documents
from appliance.storage.upgrading import Upgrading
from appliance.supervisor import wire
from appliance.supervisor.redis_server import find_redis_server

_DISK_LOW = 0.05
TRY_AGAIN = "Activate another one, or have this one tried once more: `cloister models retry`."
TRIED_ANYHOW = "It is tried again ten minutes after the last try at the latest, at once after `cloister models retry`."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `state` is ok, warning or failure."""

    name: str
    state: str
    sentence: str


Look = Callable[[Appliance], Iterator[Finding]]


def register(parser: argparse.ArgumentParser) -> None:
    """One argument beyond the common ones."""
    parser.add_argument("--deep", action="store_true", help="read every stored file in full, too")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print one line for each part; exit code 1 when any of them failed."""
    settings = load_settings(arguments.data)
    looks = (*LOOKS, _content_of_files) if arguments.deep else LOOKS
    with closing(open_appliance(settings, upgrading=Upgrading(output.progress))) as appliance:
        findings = list(examined(appliance, looks, output))
    sound = all(finding.state != "failure" for finding in findings)
    output.result({"sound": sound, "findings": [asdict(finding) for finding in findings]})
    return 0 if sound else 1


def examined(appliance: Appliance, looks: Sequence[Look], output: Output) -> Iterator[Finding]:
    """Each finding is said as soon as it is made."""
    marks = {"ok": "ok     ", "warning": "WARNING", "failure": "FAILURE"}
    for look in looks:
        for finding in _looked(look, appliance):
            output.part(f"{marks[finding.state]} {finding.name}: {finding.sentence}")
            yield finding


def _looked(look: Look, appliance: Appliance) -> Iterator[Finding]:
    """What is so broken that it cannot be looked at is a finding, too, and hides none of the others."""
    name = look.__name__.strip("_").replace("_", " ")
    try:
        yield from look(appliance)
    except ApplianceError as error:
        yield Finding(name, "failure", error.sentence)
    except (SQLAlchemyError, OSError) as error:
        yield Finding(name, "failure", f"it cannot be looked at: {getattr(error, 'orig', None) or error}")


def _database(appliance: Appliance) -> Iterator[Finding]:
    with appliance.database.read() as connection:
        faults = [row[0] for row in connection.execute(text("PRAGMA cipher_integrity_check"))]
        state = connection.execute(text("PRAGMA quick_check")).scalar()
    if faults or state != "ok":
        yield Finding("database", "failure", f"pages were damaged or altered: {(faults or [state])[0]}")
    else:
        yield Finding("database", "ok", "encrypted, every page authentic, structure sound")


def _audit_log(appliance: Appliance) -> Iterator[Finding]:
    with appliance.database.read() as connection:
        result = check(connection, appliance.keys.audit_sealing)
        foreign = foreign_triggers(connection)
    if not result.intact:
        yield Finding("audit log", "failure", f"entry {result.first_bad_seq}: {result.reason}")
    elif foreign:
        yield Finding("audit log", "failure", f"triggers that keep it append-only are missing or altered: {', '.join(foreign)}")
    elif result.vanished:
        gone = f"{len(result.vanished)} sealed values are gone, the first of entry {result.vanished[0]}"
        yield Finding("audit log", "failure", f"{gone}, and no entry says that they were erased")
    else:
        erased = f"; {result.erased} sealed values were erased, as entries say" if result.erased else ""
        yield Finding("audit log", "ok", f"{result.checked} entries, gapless and unaltered{erased}")


def _checkpoints(appliance: Appliance) -> Iterator[Finding]:
    with appliance.database.read() as connection:
        found = check_tree(connection, appliance.checkpoints.verifier)
    since = None if found.fault else appliance.checkpoints.late_since(now_ms())
    if found.fault:
        yield Finding("checkpoints", "failure", found.fault)
    elif since is not None and wire.answers(appliance.settings):
        sentence = f"none was signed since {utc_text(since)}, though the appliance runs: `care.failed` in its log says why"
        yield Finding("checkpoints", "warning", sentence)
    elif not found.checkpoints:
        yield Finding("checkpoints", "ok", "none was signed yet; the first is when the appliance starts")
    else:
        sentence = f"{found.checkpoints} signed, the last over {found.size} entries, each as the entries are; {found.after} since"
        yield Finding("checkpoints", "ok", sentence)


def _files(appliance: Appliance) -> Iterator[Finding]:
    """By their lengths alone: reading them all may take an hour."""
    wanted = _wanted_files(appliance)
    found = {name: appliance.blobs.stored_bytes(name) for name in wanted}
    missing = sum(length is None for length in found.values())
    cut = sum(length not in {None, sealed_bytes(wanted[name])} for name, length in found.items())
    if missing or cut:
        yield Finding("files", "failure", f"of {len(wanted)} stored files {missing} are missing and {cut} have a wrong length")
    else:
        yield Finding("files", "ok", f"{len(wanted)} stored, none missing or cut")


def _content_of_files(appliance: Appliance) -> Iterator[Finding]:
    wanted, damaged = _wanted_files(appliance), 0
    for name in wanted:
        try:
            deque(appliance.blobs.read(name), maxlen=0)
        except NotFound:
            pass  # `_files` says so
        except Unavailable:
            damaged += 1
    if damaged:
        yield Finding("content of files", "failure", f"{damaged} of {len(wanted)} stored files were damaged or altered")
    else:
        yield Finding("content of files", "ok", "every byte authentic")


def _wanted_files(appliance: Appliance) -> dict[str, int]:
    """Size of the content by name of the stored file."""
    with appliance.database.read() as connection:
        rows = connection.execute(select(documents.c.blob_name, documents.c.size_bytes)).all()
    return {row.blob_name: row.size_bytes for row in rows}


def _models(appliance: Appliance) -> Iterator[Finding]:
    versions, crashed = appliance.models.versions(), {load.sha256 for load in appliance.load_marks.crashed()}
    failed = {model_id: failure for (model_id, _), failure in appliance.load_failures.known().items()}
    for version in versions:
        if version.sha256 in crashed:
            yield Finding("model", "failure", f"{load_crashed(version.id)} {TRY_AGAIN}")
            continue
        if version.id in failed:
            yield Finding("model", "warning", f"{version.id} could not be loaded: {failed[version.id].sentence} {TRIED_ANYHOW}")
        if version.format == "served":
            yield Finding("model", "ok", f"{version.id}, in a server, {version.state.value}")
            continue
        try:
            appliance.models.open_version(version.id).close()
        except ApplianceError as error:  # one bad file must not hide the state of the others
            yield Finding("model", "failure", error.sentence)
        else:
            yield Finding("model", "ok", f"{version.id}, {version.as_model().format}, digest verified, {version.state.value}")
    if not versions:
        yield Finding("model", "warning", "none is prepared yet; the appliance does it when it starts")


def _search_index(appliance: Appliance) -> Iterator[Finding]:
    """What it was made with, and whether another model is getting ready."""
    versions = appliance.models.versions()
    active = [item.vectors_sha256 for item in versions if item.kind == "embedding" and item.state == "active"]
    for index in index_states(appliance.database):
        strange = index.state is IndexState.SERVING and bool(active) and index.sha256 not in active
        digest = f", SHA-256 {index.sha256[:12]}..." if index.sha256 else ""
        what = f"{index.sentence}{digest}"
        state = "failure" if strange else "warning" if index.against else "ok"
        yield Finding("index", state, f"{what}; another model is active" if strange else what)


def _queue(appliance: Appliance) -> Iterator[Finding]:
    settings = appliance.settings
    if wire.answers(settings):
        yield Finding("queue", "ok", "Redis answers: the appliance is running")
    elif settings.redis_url:
        yield Finding("queue", "failure", "the Redis named in the settings does not answer")
    else:
        yield Finding("queue", "ok", f"the appliance is not running; it would start {find_redis_server().name}")


def _seal(appliance: Appliance) -> Iterator[Finding]:
    status = appliance.egress.found()
    if not status.processes:
        yield Finding("seal", "ok", "no process runs that could reach anything")
    elif status.gaps:
        yield Finding("seal", "failure" if status.required else "warning", f"layers are missing: {', '.join(status.gaps)}")
    else:
        yield Finding("seal", "ok", f"every layer holds for each of {len(status.processes)} processes")


def _collector(appliance: Appliance) -> Iterator[Finding]:
    """Where the log is carried to. What waits on a box that does not run waits for its start."""
    found = appliance.egress.found()
    if found.destinations is None:
        yield Finding("collector", "warning", "destinations.toml cannot be read: the log is carried nowhere")
    elif found.collector is None:
        yield Finding("collector", "ok", "none is named: the log stays on this box")
    else:
        resting = found.collector.late and not found.collector.fault and not wire.answers(appliance.settings)
        troubled = found.collector.ahead or (found.collector.troubled and not resting)
        yield Finding("collector", "warning" if troubled else "ok", f"{found.collector.sentence}{taken_last(found.collector)}")


def _loaded(appliance: Appliance) -> Iterator[Finding]:
    """Where the models compute that processes have loaded now."""
    for report in read_loaded(appliance.settings.run_dir):
        for one in report.runtimes:
            name = f"{one.model_id} through {one.runtime}"
            if not one.health.ready:
                yield Finding("computing", "failure", f"{name}: {one.health.detail}")
            elif one.placement is None:
                yield Finding("computing", "ok", f"{name} at {one.destination}")
            else:
                yield Finding("computing", "warning" if one.placement.differs else "ok", f"{name}: {one.placement.sentence}")


def _drift(appliance: Appliance) -> Iterator[Finding]:
    lasting = appliance.quality.lasting()
    for alert in lasting:
        yield Finding("drift", "warning", f"since {utc_text(alert.begun_ms)}: {alert.sentence}")
    if not lasting:
        yield Finding("drift", "ok", "the answers of the last day are like those of the days before, as far as there are enough")


def _factors(appliance: Appliance) -> Iterator[Finding]:
    """Where a role must have a second factor: how many of its people lack one, and can do nothing else until they have it."""
    count, lacking = appliance.factors.missing()
    if lacking:
        yield Finding("second factor", "warning", f"{lacking} of {count} who must have one lack it")
    else:
        yield Finding("second factor", "ok", f"all of {count} who must have one have it" if count else "nobody must have one")


def _identity(appliance: Appliance) -> Iterator[Finding]:
    trouble = appliance.provider_sign_in.trouble()
    usual = "people sign in through the provider" if appliance.provider_sign_in.name else "no identity provider is set up"
    yield Finding("identity", "warning" if trouble else "ok", trouble or usual)


def _disk(appliance: Appliance) -> Iterator[Finding]:
    usage = shutil.disk_usage(appliance.settings.data_dir)
    free = usage.free / usage.total
    sentence = f"{usage.free / 1e9:.1f} GB free, {free:.0%} of the disk"
    yield Finding("disk", "warning" if free < _DISK_LOW else "ok", sentence)


def _copies(appliance: Appliance) -> Iterator[Finding]:
    """They hold what people deleted since, and take room."""
    copies = kept_copies(appliance.settings.copies_dir)
    size = sum(copy.size_bytes for copy in copies)
    schemas = ", ".join(f"schema {copy.revision} of {utc_text(copy.made_ms)}" for copy in copies)
    held = f"{len(copies)} kept by upgrades, {size / 1e6:,.1f} MB ({schemas}); `cloister upgrade --remove-copies` removes them"
    yield Finding("copies", "ok", held if copies else "upgrades keep none")


AFTER_UPGRADE: tuple[Look, ...] = (_database, _audit_log, _checkpoints, _files, _search_index)
"""Of these an upgrade may have harmed something."""
LOOKS: tuple[Look, ...] = (
    *(_database, _audit_log, _checkpoints, _files, _models, _search_index),
    *(_queue, _seal, _collector, _loaded, _drift, _factors, _identity, _disk, _copies),
)
