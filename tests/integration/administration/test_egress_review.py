"""The seal and the meter as administrators, officers and the log see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from appliance.administration.egress_review import EgressReview
from appliance.audit.events import AuditEvent, EventName
from appliance.bootstrap import Appliance
from appliance.egress.meter import network_counters
from appliance.egress.seal.layers import Name, Strength
from appliance.egress import frames
from appliance.egress.asking import connected
from appliance.egress.destinations import Purpose
from appliance.egress.keeper import Keeper
from appliance.egress.seal.reports import note_outside, read_reports, report_own
from appliance.egress.verdict import Permissions
from appliance.errors import Denied
from appliance.identity.models import SYSTEM, Principal
from appliance.storage.tables import audit_events
from appliance.supervisor.sockets import bind_private

_SEALED = """
import sys
from pathlib import Path
from appliance.egress.seal.confinement import Confinement, fasten, kept_paths
from appliance.egress.seal.namespace import make_namespace
from appliance.egress.seal.reports import report_own
data = Path(sys.argv[1])
fasten(Confinement(data), make_namespace(kept_paths(data)))
report_own(data / "run", "sealed")
print("ready", flush=True)
sys.stdin.read()
"""


def events(appliance: Appliance, name: EventName) -> list[dict]:
    with appliance.database.read() as connection:
        rows = connection.execute(
            select(audit_events.c.outcome, audit_events.c.body).where(audit_events.c.event == str(name))
        ).all()
    return [{"outcome": row.outcome, **json.loads(row.body)["facts"]} for row in rows]


@pytest.fixture
def sealed(appliance: Appliance, kernel_seals: None):
    note_outside(appliance.settings.run_dir, {})
    command = [sys.executable, "-c", _SEALED, str(appliance.settings.data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def test_employees_are_refused_and_a_look_is_recorded(appliance: Appliance, alice, administrator, officer) -> None:
    with pytest.raises(Denied):
        appliance.egress.status(alice)
    for person in (administrator, officer):
        appliance.egress.status(person)
    with appliance.database.read() as connection:
        actors = connection.execute(select(audit_events.c.actor_pseudonym).where(audit_events.c.event == "egress.read"))
        assert set(actors.scalars()) == {administrator.pseudonym, officer.pseudonym}


def test_where_nobody_reports_nothing_is_claimed(appliance: Appliance, administrator: Principal) -> None:
    status = appliance.egress.status(administrator)
    assert (status.strength, status.processes) == (None, [])
    appliance.egress.record()
    (metered,) = events(appliance, EventName.EGRESS_METERED)
    assert metered["seal"] == "unknown"


def test_a_sealed_process_counts_as_sealed_and_nothing_has_moved(appliance: Appliance, sealed) -> None:
    assert appliance.egress.record() == 0
    (metered,) = events(appliance, EventName.EGRESS_METERED)
    assert metered == {
        "outcome": "success",
        "seal": "namespace",
        "missing": 0,
        "gaps": "none",
        "processes": 1,
        "calls": 0,
        "refusals": 0,
        "loopback_bytes": 0,
        "foreign_bytes": 0,
        "sockets": 0,
    }


def test_one_process_outside_is_a_failure_that_names_it(appliance: Appliance, sealed) -> None:
    report_own(appliance.settings.run_dir, "stray")
    status = appliance.egress.found()
    assert status.strength is Strength.NONE
    assert f"{Name.NAMESPACE}/stray" in status.gaps
    assert not any(gap.endswith("/sealed") for gap in status.gaps)
    assert appliance.egress.record() == len(status.gaps)
    (metered,) = events(appliance, EventName.EGRESS_METERED)
    assert metered["outcome"] == "failure"
    assert "namespace/stray" in metered["gaps"]


def test_a_process_that_ended_is_not_told_of_any_more(appliance: Appliance, sealed) -> None:
    sealed.kill()
    sealed.wait()
    assert read_reports(appliance.settings.run_dir) == []


def test_calls_through_the_gate_are_counted_from_the_log(appliance: Appliance) -> None:
    with appliance.database.write() as connection:
        for name in (EventName.EGRESS_OPENED, EventName.EGRESS_REFUSED, EventName.EGRESS_REFUSED):
            appliance.audit.append(connection, AuditEvent(name, SYSTEM))
    last_hour = appliance.egress.found().last_hour
    assert (last_hour.made, last_hour.refused) == (1, 2)


def test_the_meter_of_this_machine_sees_its_interfaces() -> None:
    here = network_counters()
    listed = {line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]}
    assert set(here.foreign) == listed - {"lo"}
    assert network_counters(str(os.getpid())).foreign == here.foreign


def test_a_gate_is_none_of_the_sealed_and_what_it_counted_is_held_against_the_log(appliance: Appliance, sealed) -> None:
    run_dir = appliance.settings.run_dir
    report_own(run_dir, "gate")
    assert appliance.egress.found().strength is Strength.NAMESPACE
    assert appliance.egress.found().gate is None
    listener = bind_private(appliance.settings.gate_path)
    keeper = Keeper(Permissions({}, (), {}))
    threading.Thread(target=keeper.serve, args=(listener, lambda: False), daemon=True).start()
    assert appliance.egress.found().gate.unrecorded == 0
    with connected(appliance.settings.gate_path) as connection:  # a caller that keeps it to itself
        frames.send(connection, frames.Kind.ASK, frames.Asked("x", Purpose.LOG, "/x", "", 0, 1, 1.0, None))
        assert frames.receive(connection)[0] is frames.Kind.REFUSED
    appliance.egress.record()
    metered = events(appliance, EventName.EGRESS_METERED)[-1]
    assert (metered["outcome"], metered["unrecorded"], metered["strangers"]) == ("failure", 1, 0)


def test_the_machines_that_may_be_called_are_shown_and_an_unreadable_list_is_not_taken_for_an_empty_one(
    appliance: Appliance, tmp_path: Path
) -> None:
    assert appliance.egress.found().destinations == []
    file = tmp_path / "destinations.toml"
    file.write_text('[[destination]]\nname = "lan"\nhost = "llm.example.org"\nport = 8443\npurpose = "inference"\n')
    review = EgressReview(appliance.database, appliance.access, appliance.audit, appliance.settings, file)
    (named,) = review.found().destinations
    assert (named.name, named.host, named.port, named.purpose) == ("lan", "llm.example.org", 8443, "inference")
    assert review.found().collector is None
    file.write_text(file.read_text().replace('"inference"', '"log"'))
    assert review.found().collector == review.collector()
    assert (review.collector().name, review.collector().sent_seq, review.collector().sent_ms) == ("lan", 0, None)
    assert review.collector().waiting > 0
    file.write_text("[[destination]]")
    assert review.collector() is None
    assert review.found().destinations is None
