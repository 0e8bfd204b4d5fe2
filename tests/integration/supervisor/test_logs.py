"""A log stays short while its process runs, and nothing that was said last is lost."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

from appliance.supervisor import children
from appliance.supervisor.children import Child, ChildPlan

from .conftest import until

_TALKER = """
import sys, time
for number in range(100_000):
    print(number, flush=True)
    time.sleep(0.001)
"""


def test_a_process_that_talks_and_talks_fills_no_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(children, "_LOG_LIMIT_BYTES", 500)
    seal = SimpleNamespace(enter=lambda _: None, report=lambda _: None)
    plan = ChildPlan("talker", (sys.executable, "-c", _TALKER), lambda _: True)
    child = Child(plan, {}, tmp_path / "talker.log", seal)
    child.start()
    try:
        for _ in range(2):
            until(lambda: child.log_path.stat().st_size > 500)
            longest = child.log_path.stat().st_size
            child.look()
            assert child.log_path.stat().st_size < longest
        before = child.log_path.with_suffix(".log.1")
        assert before.stat().st_mode & 0o777 == 0o600
        until(lambda: child.log_path.stat().st_size > 0)
        # written at its end, not after a hole as long as what was there
        assert b"\0" not in child.log_path.read_bytes()
        assert before.read_text().splitlines()[-1].isdigit()
    finally:
        child.send(signal.SIGKILL)
        child.process.wait()
