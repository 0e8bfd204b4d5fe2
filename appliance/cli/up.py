"""`cloister up`: everything on one box, until it is told to stop."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.cli.output import Output
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
        from appliance.bootstrap import make_directories
        from appliance.inference.preparation import prepare_models
        from appliance.inference.store.content import ContentStore

        make_directories(settings, create=True)
        remove_left_links(settings)
        ContentStore(settings.models_dir).remove_leftovers()
        prepare_models(settings.models_dir, output.progress)
        links = _start(settings, seal)
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
        _record(settings, EventName.APPLIANCE_STOPPED)
    output.progress("Stopped.")
    return 0


def _start(settings: Settings, seal: Seal) -> list[str]:
    """Migrate, record the start and the seal, and make the one-time link where there is no administrator yet."""
    from appliance.bootstrap import open_appliance

    appliance = open_appliance(settings, create=True)
    try:
        appliance.models.content.remove_abandoned()
        _append(appliance, EventName.APPLIANCE_STARTED)
        _record_seal(appliance, seal)
        return [appliance.setup.make_link()] if appliance.setup.needed() else []
    finally:
        appliance.close()


def _record(settings: Settings, name: EventName) -> None:
    from appliance.bootstrap import open_appliance

    appliance = open_appliance(settings)
    try:
        _append(appliance, name)
    finally:
        appliance.close()


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
