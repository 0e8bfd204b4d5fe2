"""What a process logs: ids and places, never what people wrote."""

from __future__ import annotations

import json
import subprocess
import sys

_SCRIPT = """
import logging, structlog
from sqlalchemy import create_engine, text
from workers.logs import configure_logs
configure_logs("worker-test")
structlog.contextvars.bind_contextvars(job_id="0a0b")
def work(secret):
    create_engine("sqlite://").connect().execute(text("INSERT INTO nowhere VALUES (:text)"), {"text": secret})
try:
    work("the night porter's secret")
except Exception:
    structlog.get_logger("x").exception("care.failed")
    logging.getLogger("dramatiq.worker").warning("failed", exc_info=True)
structlog.get_logger("x").info("calm")
"""


def test_an_exception_is_logged_without_its_values() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert "secret" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["care.failed", "failed", "calm"]
    for line in lines[:2]:
        assert line["exception"][0]["class"] == "sqlalchemy.exc.OperationalError"
        assert any(place.endswith(" work") for place in line["exception"][0]["places"])
        assert line["job_id"] == "0a0b"
    assert "exception" not in lines[2]
    assert {line["process"] for line in lines} == {"worker-test"}
