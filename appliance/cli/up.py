"""`cloister up`: everything on one box, until it is told to stop."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import fields
from typing import TYPE_CHECKING

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.cli.output import Output
from appliance.errors import Unavailable
from appliance.identity.models import SYSTEM
from appliance.inference.telemetry import opt_outs
from appliance.settings import Settings, load_settings
from appliance.supervisor.run import Notice, Running
from appliance.supervisor.run import run as run_box
from appliance.supervisor.sealing import Seal

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance

# what costs memory is imported where it is used: the supervisor stays for as long as the box runs, and stays small


def register(parser: argparse.ArgumentParser) -> None:
    usual = {item.name: item.default for item in fields(Settings)}
    parser.add_argument("--host", help=f"address the front door listens on (default: {usual['host']})")
    parser.add_argument("--port", type=int, help=f"port the front door listens on (default: {usual['port']})")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Prepare what is missing, start every process and print where the front door is."""
    settings = load_settings(arguments.data, host=arguments.host, port=arguments.port)

    def prepare(seal: Seal) -> list[str]:
        from appliance.backup.gathering import remove_left_links
        from appliance.inference.preparation import prepare_models
        from appliance.inference.store.content import ContentStore
        from appliance.storage.data_directory import make_directories

        make_directories(settings, create=True)
        remove_left_links(settings)
        ContentStore(settings.models_dir).remove_leftovers()
        prepare_models(settings.models_dir, output.progress)
        links = _start(settings, seal, output)
        output.progress("Starting ...")
        return links

    def ready(running: Running) -> None:
        address = f"http://{_visible(running.host)}:{running.port}"
        document: dict[str, object] = {"url": address, "seconds": round(running.seconds, 1), "data": str(settings.data_dir)}
        lines = [f"Cloister is ready at {address} (data in {settings.data_dir}, stop with Ctrl-C)."]
        document["seal_missing"] = [each.sentence for each in running.missing]
        lines += [f"WARNING: the seal has a gap: {each.sentence}." for each in running.missing]
        for link in running.prepared:
            document["setup_url"] = f"{address}/setup?token={link}"
            lines.append(f"Make the first administrator here, once: {document['setup_url']}")
        output.result(document, *lines)

    def notice(what: Notice) -> None:
        if what.event in {"died", "restarted"}:
            output.progress(f"{what.process} {what.event} {what.detail}".rstrip())
        elif what.event == "stopping":
            output.progress("Stopping ...")

    run_box(settings, ready=ready, notice=notice, prepare=prepare, opt_outs=opt_outs())
    if settings.database_path.exists():  # not where it was stopped during its first preparation
        _stopped(settings, output)
    output.progress("Stopped.")
    return 0


def _start(settings: Settings, seal: Seal, output: Output) -> list[str]:
    """Migrate, record the start and the seal, and make the one-time link where there is no administrator yet."""
    from appliance.bootstrap import open_appliance
    from appliance.storage.upgrading import Upgrading

    appliance = open_appliance(settings, create=True, upgrading=Upgrading(output.progress, holds_box=True))
    try:
        appliance.models.content.remove_abandoned()
        _append(appliance, EventName.APPLIANCE_STARTED)
        _record_seal(appliance, seal)
        _sign(appliance, "start", output)
        return [appliance.setup.make_link()] if appliance.setup.needed() else []
    finally:
        appliance.close()


def _stopped(settings: Settings, output: Output) -> None:
    from appliance.bootstrap import open_appliance
    from appliance.bootstrap.foundation import open_foundation
    from appliance.storage.migrations import schema_of

    with closing(open_foundation(settings)) as foundation:
        if schema_of(foundation.database).pending:  # stopped before it was prepared: not the moment for an upgrade
            return
    appliance = open_appliance(settings)
    try:
        _append(appliance, EventName.APPLIANCE_STOPPED)
        _sign(appliance, "stop", output)
    finally:
        appliance.close()


def _sign(appliance: Appliance, occasion: str, output: Output) -> None:
    """A log that contradicts its checkpoints is said aloud; people's work does not end by it."""
    from appliance.audit.checkpoints import Occasion

    try:
        # the first one over a long log takes a while, and people wait for the box
        appliance.checkpoints.sign(
            Occasion(occasion), lambda reached: output.progress(f"Signing the audit log: {reached:,} entries so far ...")
        )
    except Unavailable as error:
        output.progress(f"WARNING: {error.sentence}")


def _append(appliance: Appliance, name: EventName) -> None:
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(name, SYSTEM, facts={"python": sys.version.split()[0]}))


def _record_seal(appliance: Appliance, seal: Seal) -> None:
    missing = ",".join(f"{each.layer}/{each.process}" for each in seal.missing)
    outcome = Outcome.FAILURE if missing else Outcome.SUCCESS
    facts: dict[str, str | int] = {"missing": missing or "none", "processes_outside": len(seal.reasons)}
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.SEAL_CHECKED, SYSTEM, outcome=outcome, facts=facts))


def _visible(host: str) -> str:
    """What to type into a browser: the wildcard addresses are none."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        return "localhost"
    return f"[{host}]" if ":" in host else host
