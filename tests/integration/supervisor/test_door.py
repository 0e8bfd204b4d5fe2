"""The front door as containers have it: one process with a network opens it, another without one answers there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from appliance.egress.seal.confinement import CODE
from appliance.egress.seal.layers import Name
from appliance.egress.seal.namespace import make_namespace
from appliance.egress.seal.reports import read_reports
from appliance.errors import SetupError
from appliance.supervisor.door import take_door
from appliance.supervisor.sockets import door_answers

from .conftest import free_port, until


def module(name: str, *arguments: str, **how) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", name, *arguments], cwd=CODE, **how)


def test_without_a_door_there_is_one_sentence(settings) -> None:
    settings.run_dir.mkdir()
    with pytest.raises(SetupError) as refused:
        take_door(settings.run_dir)
    assert refused.value.stable_code == "setup.door"


def test_a_web_process_without_a_network_answers_at_the_door_of_another_and_ends_with_it(appliance, kernel_seals) -> None:
    data, port = str(appliance.settings.data_dir), free_port()
    namespace = make_namespace([CODE, appliance.settings.data_dir])
    door = module("appliance.supervisor.door", "--data", data, "--host", "127.0.0.1", "--port", str(port))
    started = [door]

    def inside() -> None:
        namespace.join()
        os.chdir(CODE)

    try:
        until((appliance.settings.run_dir / "door.sock").exists)
        web = module("web.main", "--data", data, "--door", preexec_fn=inside)
        started.append(web)
        until(lambda: door_answers("127.0.0.1", port), 20)
        found = {report.process: report for report in read_reports(appliance.settings.run_dir)}
        assert {name: [str(layer.name) for layer in report.missing] for name, report in found.items()} == {"door": [], "web": []}
        assert {layer.name for layer in found["door"].layers if not layer.held} >= {Name.NAMESPACE, Name.SERVICES}
        assert not [layer for layer in found["web"].layers if not layer.held]
        door.kill()
        assert web.wait(5) == 0
    finally:
        for process in started:
            process.kill()
            process.wait()
        namespace.close()
