"""The commands as a person at a shell would use them: real processes, one JSON document on the last line."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from appliance.bootstrap import open_appliance
from appliance.settings import load_settings
from appliance.storage.tables import messages

CLOISTER = str(Path(sys.executable).parent / "cloister")
HANDBOOK = Path(__file__).resolve().parents[2] / "appliance" / "administration" / "handbook"
QUEUES = ("answers", "ingest", "maintenance")
PASSWORD = "a long enough passphrase"
QUESTION = "How many days of annual leave does somebody have who works full time?"

pytestmark = pytest.mark.models


def cloister(*words: str, stdin: str = "") -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON document on the last line, and what was said on stderr."""
    ran = subprocess.run([CLOISTER, *words, "--json"], input=stdin, capture_output=True, text=True, check=False, timeout=240)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout.splitlines()[-1]), ran.stderr


@pytest.fixture(scope="module")
def box(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box with one administrator and two documents, made by the commands themselves."""
    directory = tmp_path_factory.mktemp("box") / "data"
    directory.mkdir(mode=0o700)
    (directory / "models").symlink_to(models_dir)
    code, made, _ = cloister("init", "--data", str(directory), "--admin", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    assert (code, made["administrator"]) == (0, "admin")
    files = [str(HANDBOOK / name) for name in ("leave-and-absence.md", "staff-handbook.pdf")]
    code, report, _ = cloister("ingest", *files, "--collection", "Handbook", "--data", str(directory))
    assert (code, report["ready"], report["failed"]) == (0, 2, 0)
    return directory


def test_a_directory_that_is_no_box_is_one_sentence(tmp_path):
    code, said, stderr = cloister("ask", "Anything?", "--data", str(tmp_path / "nothing"))
    assert (code, said["error"]["code"]) == (1, "setup.no_data_directory")
    assert stderr.count("\n") == 1
    assert not (tmp_path / "nothing").exists()


def test_a_second_administrator_is_refused(box):
    code, said, _ = cloister("init", "--data", str(box), "--admin", "other", "--password-stdin", stdin=PASSWORD + "\n")
    assert (code, said["error"]["code"]) == (1, "setup.done")


def test_a_weak_password_makes_no_account(models_dir, tmp_path):
    code, said, _ = cloister("init", "--data", str(tmp_path / "d"), "--admin", "admin", "--password-stdin", stdin="short\n")
    assert code == 1
    assert said["error"]["code"].startswith("password")


def test_an_unknown_person_is_refused(box):
    code, said, _ = cloister("ask", QUESTION, "--as", "nobody-here", "--data", str(box))
    assert (code, said["error"]["code"]) == (1, "person.unknown")


def test_an_unknown_collection_is_refused(box):
    code, said, _ = cloister("ask", QUESTION, "--collection", "Secrets", "--data", str(box))
    assert (code, said["error"]["code"]) == (1, "collection.unknown")


def test_an_answer_cites_the_passage_it_comes_from(box):
    code, said, _ = cloister("ask", QUESTION, "--collection", "Handbook", "--data", str(box))
    assert code == 0
    assert "28" in said["answer"]
    assert said["model"]
    assert said["timing"]["total_ms"] > 0
    assert 0 <= said["tokens"]["cached"] <= said["tokens"]["prompt"]
    assert said["selection"]["model"] == said["model"]
    assert said["citations"]
    for citation in said["citations"]:
        assert f"[{citation['number']}]" in said["answer"]
        assert citation["document"] in {"leave-and-absence.md", "staff-handbook.pdf"}
        assert citation["page"] >= 1
    assert any("28 days" in citation["text"] for citation in said["citations"])
    assert _answered_last(box).startswith("here-")


def test_a_row_of_a_table_in_a_pdf_is_told_with_the_names_of_its_columns(box):
    code, said, _ = cloister("ask", "Which ship was built in 2013?", "--collection", "Handbook", "--data", str(box))
    assert code == 0
    assert "Ship: Avocet; Built: 2013; Passengers: 450; Cars: 74" in said["answer"]
    cited = said["citations"][0]
    assert (cited["document"], cited["text"].split()[:3]) == ("staff-handbook.pdf", ["Avocet", "2013", "450"])


def _answered_last(box: Path) -> str:
    with closing(open_appliance(load_settings(box))) as appliance, appliance.database.read() as connection:
        query = select(messages.c.claimed_by).where(messages.c.role == "assistant")
        return str(connection.execute(query.order_by(messages.c.finished_ms.desc()).limit(1)).scalar_one())


def test_what_the_documents_do_not_contain_is_said_and_not_cited(box):
    code, said, _ = cloister("ask", "Which planet has the largest moon in the solar system?", "--data", str(box))
    assert (code, said["citations"]) == (0, [])
    assert "do not contain" in said["answer"]


def test_one_bad_file_fails_alone(box, tmp_path):
    (tmp_path / "good.txt").write_text("The spare keys hang behind the door of the boiler room.\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that follows makes sense")
    code, report, _ = cloister("ingest", str(tmp_path), "--data", str(box))
    by_name = {result["name"]: result for result in report["documents"]}
    assert code == 1
    assert by_name["good.txt"]["status"] == "READY"
    assert (by_name["empty.txt"]["status"], by_name["empty.txt"]["reason_code"]) == ("FAILED", "document.empty")
    assert (by_name["broken.pdf"]["status"], by_name["broken.pdf"]["reason_code"]) == ("FAILED", "document.corrupt")


def test_the_same_file_twice_is_recognised(box):
    known = str(HANDBOOK / "leave-and-absence.md")
    code, report, said = cloister("ingest", known, "--collection", "Handbook", "--data", str(box))
    assert (code, report["documents"][0]["duplicate"]) == (0, True)
    assert "already here" in said


def test_a_healthy_box_is_sound_and_an_altered_one_is_not(box, tmp_path):
    code, report, _ = cloister("doctor", "--data", str(box))
    assert (code, report["sound"]) == (0, True)
    blob = next((box / "blobs").glob("??/*"))
    blob.rename(tmp_path / "moved")
    try:
        code, report, _ = cloister("doctor", "--data", str(box))
        assert (code, report["sound"]) == (1, False)
        assert [finding["name"] for finding in report["findings"] if finding["state"] == "failure"] == ["files"]
    finally:
        (tmp_path / "moved").rename(blob)


def test_evaluate_reports_every_figure_and_touches_no_box(models_dir, tmp_path):
    dataset = tmp_path / "set.json"
    contexts = [
        ("The ferry Heron carries forty cars.", "How many cars does the Heron carry?", "forty"),
        ("The workshop closes at five on Fridays.", "When does the workshop close on Fridays?", "five"),
    ]
    paragraphs = [
        {
            "context": context,
            "qas": [{"id": str(number), "question": question, "answers": [{"text": gold, "answer_start": context.index(gold)}]}],
        }
        for number, (context, question, gold) in enumerate(contexts)
    ]
    dataset.write_text(json.dumps({"data": [{"title": "Harbour", "paragraphs": paragraphs}]}))
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "models").symlink_to(models_dir)
    code, report, _ = cloister("evaluate", str(dataset), "--answers", "1", "--data", str(data))
    assert code == 0
    for part in ("vector", "words", "fused"):
        figures = report["retrieval"][part]
        assert {"hit_at_1", "hit_at_5", "hit_at_10", "mrr", "coverage_at_tokens"} <= set(figures)
        assert set(figures["coverage_at_tokens"]) == {"500", "1000", "2000"}
        assert figures["hit_at_10"] == 1.0
    assert {"p50", "p95"} <= set(report["search_ms"])
    assert report["questions"] == 2
    assert report["answers"]
    assert not (data / "cloister.db").exists()


@pytest.fixture
def running(box: Path) -> Iterator[str]:
    """The same box, up; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (box / "models" / "incoming-killed").mkdir()  # of an import that was killed
    command = [CLOISTER, "up", "--data", str(box), "--port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_the_commands_work_beside_a_running_appliance(box, running, tmp_path):
    assert not (box / "models" / "incoming-killed").exists()
    code, said, _ = cloister("ask", QUESTION, "--data", str(box))
    assert code == 0
    assert "28" in said["answer"]
    assert any("28 days" in citation["text"] for citation in said["citations"])
    assert _answered_last(box).startswith("answers:"), "the command loaded the models itself beside those of the box"
    (tmp_path / "note.txt").write_text("The lost property office opens on Tuesdays.\n")
    code, report, _ = cloister("ingest", str(tmp_path / "note.txt"), "--data", str(box))
    assert (code, report["ready"]) == (0, 1)
    code, _, _ = cloister("doctor", "--data", str(box))
    assert code == 0
    code, said, _ = cloister("up", "--data", str(box), "--port", "0")
    assert (code, said["error"]["code"]) == (1, "setup.already_running")


def test_a_backup_of_a_running_box_is_a_box(box, running, tmp_path):
    (tmp_path / "late.txt").write_text("The bicycle shed is locked at nine.\n")
    code, report, _ = cloister("ingest", str(tmp_path / "late.txt"), "--data", str(box))
    assert (code, report["ready"]) == (0, 1)
    code, made, _ = cloister("backup", "--out", str(tmp_path), "--with-models", "--data", str(box))
    assert (code, made["root_key"]) == (0, False)
    code, seen, _ = cloister("backup", "--verify", made["archive"], "--data", str(box))
    assert (code, seen["whole"], seen["authentic"], seen["sha256"]) == (0, True, True, made["sha256"])
    key, target = str(box / "keys" / "root.key"), tmp_path / "new"
    code, said, _ = cloister("restore", made["archive"], "--data", str(target), "--key", key)
    assert (code, said["files"], said["models_missing"]) == (0, made["files"], [])
    code, report, _ = cloister("doctor", "--deep", "--data", str(target))
    assert (code, report["sound"]) == (0, True)
    code, said, _ = cloister("ask", "When is the bicycle shed locked?", "--data", str(target))
    assert code == 0
    assert "nine" in said["answer"]


def test_a_busy_port_is_one_sentence(models_dir, tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "models").symlink_to(models_dir)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said, stderr = cloister("up", "--data", str(data), "--port", str(port))
    assert (code, said["error"]["code"]) == (1, "setup.port")
    assert str(port) in said["error"]["message"]
    assert stderr.count("\n") == 1


def test_an_unwritable_directory_is_one_sentence():
    code, said, stderr = cloister("up", "--data", "/proc/cloister")
    assert (code, said["error"]["code"]) == (1, "setup.unwritable")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["up", "doctor"])
def test_a_directory_of_somebody_else_is_left_as_it_is(tmp_path, command):
    theirs = tmp_path / "letters"
    theirs.mkdir(mode=0o755)
    (theirs / "letter.txt").write_text("Dear all")
    code, said, _ = cloister(command, "--data", str(theirs))
    assert (code, said["error"]["code"]) == (1, "setup.foreign_directory")
    assert [path.name for path in theirs.iterdir()] == ["letter.txt"]
    assert theirs.stat().st_mode & 0o777 == 0o755


def test_a_running_box_shows_its_seal(kernel_seals: None, running: str, box: Path) -> None:
    code, status, _ = cloister("egress", "status", "--data", str(box))
    assert {each["process"] for each in status["processes"]} == {"redis", "web", *(f"worker-{name}" for name in QUEUES)}
    assert status["strength"] == "namespace", status["gaps"]
    assert (code, status["gaps"], status["counters"]["foreign"]) == (0, [], [])
    assert not any(status["contradictions"].values())


def test_without_a_running_box_there_is_no_seal_to_show(box: Path) -> None:
    code, status, _ = cloister("egress", "status", "--data", str(box))
    assert (code, status["processes"], status["strength"], status["counters"]) == (1, [], None, None)


def test_every_command_switches_reporting_off_first() -> None:
    script = "import os, sys; from appliance.cli import main; main(sys.argv[1:]); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    command = [sys.executable, "-c", script, "doctor", "--data", "/nonexistent"]
    ran = subprocess.run(command, env={"HOME": "/nonexistent"}, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "1"
