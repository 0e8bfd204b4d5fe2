"""The seal and the meter as administrators, officers and the log see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import select

from appliance.audit.events import AuditEvent, EventName
from appliance.bootstrap import Appliance
from appliance.egress.meter import network_counters
from appliance.egress.seal.layers import Name, Strength
from appliance.egress.seal.reports import note_outside, read_reports, report_own
from appliance.errors import Denied
from appliance.identity.models import SYSTEM, Principal
from appliance.storage.tables import audit_events

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
