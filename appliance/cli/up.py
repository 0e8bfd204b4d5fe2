"""`cloister up`: everything on one box, until it is told to stop."""

from __future__ import annotations

import argparse
import sys

from appliance.audit.events import AuditEvent, EventName
from appliance.bootstrap import Appliance, make_directories, open_appliance
from appliance.cli.output import Output
from appliance.identity.models import SYSTEM
from appliance.inference.preparation import prepare_models
from appliance.inference.telemetry import OPT_OUTS
from appliance.settings import Settings, load_settings
from appliance.supervisor.run import Notice, Running
from appliance.supervisor.run import run as run_box


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address the front door listens on")
    parser.add_argument("--port", type=int, help="port the front door listens on")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Prepare what is missing, start every process and print where the front door is."""
    settings = load_settings(arguments.data, host=arguments.host, port=arguments.port)
    make_directories(settings, create=True)
    links: list[str] = []

    def prepare() -> None:
        prepare_models(settings.models_dir, output.progress)
        links.extend(_start(settings))
        output.progress("Starting ...")

    def ready(running: Running) -> None:
        address = f"http://{_visible(running.host)}:{running.port}"
        document: dict[str, object] = {"url": address, "seconds": round(running.seconds, 1), "data": str(settings.data_dir)}
        lines = [f"Cloister is ready at {address} (data in {settings.data_dir}, stop with Ctrl-C)."]
        if links:
            document["setup_url"] = f"{address}/setup?token={links[0]}"
            lines.append(f"Make the first administrator here, once: {document['setup_url']}")
        output.result(document, *lines)

    def notice(what: Notice) -> None:
        if what.event in {"died", "restarted"}:
            output.progress(f"{what.process} {what.event} {what.detail}".rstrip())

    run_box(settings, ready=ready, notice=notice, prepare=prepare, opt_outs=OPT_OUTS)
    _record(settings, EventName.APPLIANCE_STOPPED)
    return 0


def _start(settings: Settings) -> list[str]:
    """Migrate, record the start, and make the one-time link where there is no administrator yet."""
    appliance = open_appliance(settings, create=True)
    try:
        _append(appliance, EventName.APPLIANCE_STARTED)
        return [appliance.setup.make_link()] if appliance.setup.needed() else []
    finally:
        appliance.close()


def _record(settings: Settings, name: EventName) -> None:
    appliance = open_appliance(settings)
    try:
        _append(appliance, name)
    finally:
        appliance.close()


def _append(appliance: Appliance, name: EventName) -> None:
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(name, SYSTEM, facts={"python": sys.version.split()[0]}))


def _visible(host: str) -> str:
    """What to type into a browser: the wildcard addresses are none."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        return "localhost"
    return f"[{host}]" if ":" in host else host
