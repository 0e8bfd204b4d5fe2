"""A box in use at an older schema, and what a new version makes of it: all of it is there, and one can go back."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic import op
from sqlalchemy import text

from appliance.administration.retention import Retention
from appliance.audit.checkpoints import Occasion
from appliance.audit.integrity import check, foreign_triggers
from appliance.audit.tree_check import check_tree
from appliance.backup.going_back import go_back
from appliance.backup.making import make_backup
from appliance.backup.restoring import Keys, restore
from appliance.bootstrap import Appliance, open_appliance
from appliance.bootstrap.foundation import open_foundation
from appliance.errors import ApplianceError, SetupError
from appliance.identity.store import principal_by_name
from appliance.retrieval.search import Search
from appliance.settings import Settings
from appliance.storage import kept_copies, migrations, upgrading
from appliance.storage.database import Database
from appliance.storage.kept_copies import kept_copies as copies_in
from appliance.storage.kept_copies import place_for, remove_expired
from appliance.storage.migrations import newest_revision, revision_of, schema_of
from appliance.storage.row_counts import row_counts
from appliance.storage.upgrading import Upgrading, alone
from appliance.storage.locks import sole_holder
from tests.conftest import PASSWORD, ROOT
from tests.growing_old import Time, cared_for, left
from tests.old_boxes import AUDITED, DOCUMENTS, FIRST_CHUNK, PASSAGES, REVISIONS, Drawn, make_old_box

OLD = "0008"
AGES = ["0004", "0008", "0012", "0015", "0018", REVISIONS[-2]]


@pytest.fixture
def old_box(settings: Settings) -> Settings:
    make_old_box(settings, OLD)
    return settings


def refused(settings: Settings, **how: object) -> str:
    with pytest.raises(ApplianceError) as caught:
        open_appliance(settings, **how)
    return caught.value.stable_code


def seen(settings: Settings, path: Path | None = None) -> tuple[str | None, dict[str, int]]:
    """Schema and rows of a database, untouched."""
    with closing(open_foundation(settings)) as foundation:
        database = foundation.database.like(path or settings.database_path)
        with closing(database):
            revision = revision_of(database)
            with database.read() as connection:
                return revision, row_counts(connection)


def test_without_room_for_a_copy_nothing_is_done_and_it_is_said_how_much_is_needed(old_box, monkeypatch):
    before = seen(old_box)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150_000_000))
    with pytest.raises(ApplianceError, match=r"20\d MB; 150 MB are free") as caught:
        open_appliance(old_box)
    assert caught.value.stable_code == "setup.no_room"
    assert (seen(old_box), copies_in(old_box.copies_dir)) == (before, [])
    with closing(open_appliance(old_box, upgrading=Upgrading(keep=False))) as appliance:
        assert appliance.upgraded.copy is None


@pytest.mark.parametrize("lock", ["lock", "worker-answers.lock", "backup.lock"])
def test_a_box_that_something_of_the_older_version_works_on_is_left_alone(old_box, lock):
    before = seen(old_box)
    with (old_box.run_dir / lock).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert refused(old_box) == "setup.in_use"
    assert (seen(old_box), copies_in(old_box.copies_dir)) == (before, [])
    open_appliance(old_box).close()


def test_a_box_cannot_start_while_it_is_upgraded_and_a_worker_that_begins_then_ends_the_upgrade(old_box):
    before, began, box = seen(old_box), [], []

    def told(line: str) -> None:
        if line == "Checking the copy":
            with pytest.raises(SetupError), sole_holder(old_box.box_lock_path, "as an older version starts"):
                pass
            box.append("refused")
            began.append((old_box.run_dir / "worker-answers.lock").open("w"))
            fcntl.flock(began[0], fcntl.LOCK_EX)

    assert refused(old_box, upgrading=Upgrading(told)) == "setup.in_use"
    assert (box, seen(old_box)) == (["refused"], before)
    began[0].close()
    with closing(open_appliance(old_box)) as appliance, sole_holder(old_box.box_lock_path, "free again"):
        assert appliance.upgraded.found == OLD


def test_a_copy_that_does_not_hold_everything_is_no_copy(old_box, monkeypatch):
    copy = Database.copy_to

    def short(self: Database, target: Path, *told: object) -> None:
        copy(self, target, *told)
        with closing(self.like(target)) as copied, copied.write() as connection:
            connection.execute(text("DELETE FROM pages WHERE document_id = 'd1'"))

    def spoiled(self: Database, target: Path, *told: object) -> None:
        copy(self, target, *told)
        with target.open("r+b") as file:
            file.seek(target.stat().st_size - 2_000)
            file.write(bytes(64))

    before = seen(old_box)
    for making, code in ((short, "setup.copy_failed"), (spoiled, "setup.copy_damaged")):
        monkeypatch.setattr(Database, "copy_to", making)
        assert refused(old_box) == code
        assert seen(old_box) == before
        assert list(old_box.copies_dir.iterdir()) == []


def test_a_step_that_raises_leaves_the_box_as_it_was_and_the_next_start_goes_on(old_box, monkeypatch):
    before = seen(old_box)
    for error in (RuntimeError("a private sentence"), ApplianceError("no", code="no")):
        with monkeypatch.context() as patched:
            patched.setattr(op, "execute", after_statements(30, error))
            with pytest.raises(ApplianceError) as caught:
                open_appliance(old_box)
        assert "a private sentence" not in str(caught.value)
        assert seen(old_box) == before
    assert len(copies_in(old_box.copies_dir)) == 1, "tries in vain do not pile up"
    with closing(open_appliance(old_box)) as appliance:
        assert appliance.upgraded.found == OLD


def after_statements(count: int, error: BaseException):
    """The real statements, so many; then the error."""
    execute, done = op.execute, []

    def executed(*arguments: object, **named: object) -> None:
        if len(done) == count:
            raise error
        done.append(execute(*arguments, **named))

    return executed


def test_rows_that_get_lost_on_the_way_without_a_word_end_the_upgrade(old_box, monkeypatch):
    before, run = seen(old_box), migrations._run

    def losing(config, script, connection, *rest):
        run(config, script, connection, *rest)
        connection.execute(text("DELETE FROM pages WHERE document_id = 'd1'"))

    monkeypatch.setattr(migrations, "_run", losing)
    with pytest.raises(ApplianceError, match="pages: 3 before, 2 after") as caught:
        open_appliance(old_box)
    assert caught.value.stable_code == "setup.rows_differ"
    assert seen(old_box) == before


def test_a_process_that_is_killed_in_the_middle_leaves_the_box_as_it_was(old_box):
    before = seen(old_box)
    program = (
        "import os, signal, sys; from pathlib import Path; from alembic import op\n"
        "from appliance.bootstrap import open_appliance; from appliance.settings import Settings\n"
        "from appliance.storage import database; database._WRITER_CACHE_MB = 0  # what is changed reaches the file at once\n"
        "execute, done = op.execute, []\n"
        "def killing(*a, **k):\n"
        "    if len(done) == 30: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    done.append(execute(*a, **k))\n"
        "op.execute = killing\n"
        "open_appliance(Settings(data_dir=Path(sys.argv[1])))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(old_box.data_dir)], cwd=ROOT, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert old_box.database_path.with_name("cloister.db-wal").stat().st_size > 0
    assert seen(old_box) == before
    (copy,) = copies_in(old_box.copies_dir)
    assert seen(old_box, copy.path) == before
    (old_box.copies_dir / ".making-cloister-0008.db").write_bytes(b"of another one, killed earlier")
    with closing(open_appliance(old_box)) as appliance:
        whole(appliance, before[1])
    assert len(list(old_box.copies_dir.iterdir())) == 1


@pytest.mark.parametrize("revision", dict.fromkeys(AGES))
def test_everything_is_there_after_an_upgrade_from(revision: str, settings: Settings):
    make_old_box(settings, revision)
    before = seen(settings)
    said: list[str] = []
    with closing(open_appliance(settings, upgrading=Upgrading(said.append))) as appliance:
        pending = REVISIONS[REVISIONS.index(revision) + 1 :]
        assert (appliance.upgraded.found, list(appliance.upgraded.applied)) == (revision, pending)
        copy = appliance.upgraded.copy
        assert (
            said[-1]
            == f"The box was upgraded from schema {revision} to {newest_revision()}; the database as it was is kept in {copy.path}."
        )
        whole(appliance, before[1])
    assert copy.path.stat().st_mode & 0o777 == 0o600
    assert b"SQLite format 3" not in copy.path.read_bytes()[:64]
    assert (copy.revision, seen(settings, copy.path)) == (revision, before)
    assert list(settings.copies_dir.iterdir()) == [copy.path]


def whole(appliance: Appliance, before: dict[str, int]) -> None:
    """Every row, the log, the files, what was said, and what a search finds."""
    assert schema_of(appliance.database).pending == ()
    with appliance.database.read() as connection:
        after = row_counts(connection)
        grown = {name for name in before if after[name] != before[name]}
        assert grown <= {"audit_events"}
        assert after["audit_events"] == AUDITED + len(appliance.upgraded.applied)
        log = check(connection, appliance.keys.audit_sealing)
        assert (log.intact, log.erased, foreign_triggers(connection)) == (True, 0, [])
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    appliance.checkpoints.sign(Occasion.START)
    with appliance.database.read() as connection:
        assert check_tree(connection, appliance.checkpoints.verifier).fault == ""
        ana = principal_by_name(connection, "ana")
    assert {item.id for item in appliance.documents.list(ana)} == {f"d{at}" for at in range(DOCUMENTS)}
    for at, passage in enumerate(PASSAGES):
        assert b"".join(appliance.documents.content(ana, f"d{at}")[1]).decode() == passage
        hits = Search(appliance.database, appliance.access, Drawn).search(ana, passage, 3)
        assert (hits[0].chunk_id, hits[0].text, hits[0].similarity > 0.99) == (FIRST_CHUNK + at, passage, True)
        assert max(hits, key=lambda hit: hit.words_score) is hits[0]
    assert not appliance.enrolment.state(ana).since_ms
    assert appliance.sessions.sign_in("ana", PASSWORD, "127.0.0.1"), "as before, by the password alone"
    answer = appliance.chat.conversation(ana, "t1")[1][-1]
    assert (answer.text, [(each.document_id, each.start, each.end) for each in answer.citations]) == (
        "Twenty eight days [1].",
        [("d1", 0, 20)],
    )
    assert appliance.sessions.sign_in("ana", PASSWORD, "127.0.0.1")


def test_going_back_needs_a_box_that_is_stopped_and_a_copy(old_box):
    with pytest.raises(ApplianceError) as none:
        go_back(old_box, lambda _: None)
    assert none.value.stable_code == "upgrade.no_copy"
    with closing(open_appliance(old_box)) as appliance:
        newer = seen(old_box)
        with appliance.database.read() as connection:
            connection.execute(text("SELECT count(*) FROM documents")).scalar()
            with pytest.raises(ApplianceError) as open_:
                go_back(old_box, lambda _: None)
    with (old_box.run_dir / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ApplianceError) as running:
            go_back(old_box, lambda _: None)
    assert (open_.value.stable_code, running.value.stable_code) == ("setup.in_use", "setup.in_use")
    assert seen(old_box) == newer


def test_whoever_goes_back_brings_back_no_key(settings):
    make_old_box(settings, "0020")
    row = "VALUES ('k1', 'p1', 'Import', '0', 'ask', 1, 2)"
    with closing(open_foundation(settings)) as foundation, foundation.database.write() as connection:
        columns = "id, principal_id, name, digest, scopes, created_ms, expires_ms"
        connection.execute(text(f"INSERT INTO api_keys ({columns}) {row}"))
    with closing(open_appliance(settings)) as appliance, appliance.database.read() as connection:
        assert connection.execute(text("SELECT id, last_used_ms FROM api_keys")).all() == [("k1", None)]
    back = go_back(settings, lambda _: None)
    assert (back.copy.revision, back.keys_ended) == ("0020", 1)
    assert seen(settings)[1]["api_keys"] == 0


def test_whoever_goes_back_does_not_count_the_time_that_the_machine_ran_since(settings):
    make_old_box(settings, "0021")
    with closing(open_foundation(settings)) as foundation, foundation.database.write() as connection:
        connection.execute(text("INSERT INTO retention_clock VALUES (1, 5, 5, 'this boot', 5, 0)"))
    open_appliance(settings).close()
    assert go_back(settings, lambda _: None).copy.revision == "0021"
    with closing(open_foundation(settings)) as foundation, foundation.database.read() as connection:
        assert connection.execute(text("SELECT boot_id, believed_ms FROM retention_clock")).all() == [("", 5)]


def test_one_goes_back_to_the_box_as_it_was_and_forward_again(old_box):
    before = seen(old_box)
    with closing(open_appliance(old_box)) as appliance:
        appliance.blobs.remove(next(appliance.blobs.names()))
    newer = seen(old_box)
    back = go_back(old_box, lambda _: None)
    assert (back.copy.revision, back.sessions_ended, back.files_missing) == (OLD, 1, 1)
    revision, rows = seen(old_box)
    said = {"sessions": 0, "audit_events": AUDITED + 1}
    assert (revision, rows) == (OLD, before[1] | said)
    assert seen(old_box, back.left) == newer
    for path in (old_box.database_path, back.left):
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ApplianceError) as twice:
        go_back(old_box, lambda _: None)
    assert twice.value.stable_code == "upgrade.no_copy"
    with closing(open_appliance(old_box)) as appliance, appliance.database.read() as connection:
        assert appliance.upgraded.found == OLD
        assert check(connection, appliance.keys.audit_sealing).intact
    assert {(copy.revision, copy.left) for copy in copies_in(old_box.copies_dir)} == {(OLD, False), (newest_revision(), True)}


def test_one_does_not_go_back_to_a_copy_of_an_earlier_upgrade(old_box):
    old_box.copies_dir.mkdir()
    earlier = old_box.copies_dir / f"cloister-{OLD}-2025-01-01T000000Z.db"
    shutil.copy(old_box.database_path, earlier)
    with closing(open_appliance(old_box, upgrading=Upgrading(keep=False))):
        newer = seen(old_box)
    with pytest.raises(ApplianceError, match=f"earlier upgrades .{earlier.name}") as caught:
        go_back(old_box, lambda _: None)
    assert caught.value.stable_code == "upgrade.no_copy"
    assert (seen(old_box), list(old_box.copies_dir.iterdir())) == (newer, [earlier])


def test_one_does_not_go_back_by_a_log_that_cannot_be_read(old_box):
    with closing(open_appliance(old_box)) as appliance, appliance.database.write() as connection:
        connection.execute(text("ALTER TABLE audit_events RENAME TO elsewhere"))
    before = seen(old_box)
    with pytest.raises(ApplianceError, match="by hand") as caught:
        go_back(old_box, lambda _: None)
    assert (caught.value.stable_code, seen(old_box)) == ("upgrade.log_unreadable", before)


def test_what_else_lies_among_the_copies_is_no_copy_and_stays(old_box):
    place = old_box.copies_dir
    place.mkdir()
    (place / "cloister-0004-2026-99-99T999999Z.db").write_bytes(b"no date")
    (place / "cloister-0004-2025-01-01T000000Z.db").mkdir()
    (place / "cloister-0004-2025-01-02T000000Z.db").symlink_to("/nonexistent")
    (place / "cloister-0004-2025-01-03T000000Z.db").symlink_to(old_box.database_path)
    odd = set(place.iterdir())
    open_appliance(old_box).close()
    (copy,) = copies_in(place)
    assert (set(place.iterdir()), remove_expired(place)) == (odd | {copy.path}, 0)
    assert go_back(old_box, lambda _: None).copy == copy
    assert kept_copies.remove_all(place) == 1
    assert set(place.iterdir()) == odd


def test_what_is_in_the_way_of_a_copy_is_named(old_box):
    place = old_box.copies_dir
    before = seen(old_box)
    for put, away in (
        (lambda: place.write_bytes(b""), lambda: place.unlink()),
        (lambda: place.symlink_to("/nonexistent"), lambda: place.unlink()),
        (lambda: (place / ".making-x").mkdir(parents=True), lambda: shutil.rmtree(place)),
    ):
        put()
        with pytest.raises(ApplianceError, match=f"{place}.*then try again") as caught:
            open_appliance(old_box)
        assert (caught.value.stable_code, seen(old_box)) == ("setup.copy_failed", before)
        away()
    open_appliance(old_box).close()


def test_a_copy_that_is_empty_is_refused_and_one_that_others_may_read_is_closed_to_them(old_box, tmp_path):
    with closing(open_appliance(old_box)) as appliance:
        copy = appliance.upgraded.copy.path
    newer = seen(old_box)
    shutil.move(copy, tmp_path / "whole.db")
    copy.touch()
    with pytest.raises(ApplianceError) as caught:
        go_back(old_box, lambda _: None)
    assert (caught.value.stable_code, seen(old_box)) == ("setup.copy_damaged", newer)
    shutil.move(tmp_path / "whole.db", copy)
    copy.chmod(0o644)
    go_back(old_box, lambda _: None)
    assert old_box.database_path.stat().st_mode & 0o777 == 0o600


def test_a_copy_dated_in_the_future_blocks_nothing_and_goes_in_time(old_box, monkeypatch):
    place = old_box.copies_dir
    place.mkdir()
    ahead = [place / f"cloister-{OLD}-9999-12-31T235959Z.db", place / "cloister-0004-9999-12-31T235959Z.db"]
    for path in ahead:
        path.write_bytes(b"x")
    os.utime(ahead[1], (2**33, 2**33))
    with closing(open_appliance(old_box)) as appliance:
        copy = appliance.upgraded.copy
    assert [each.path for each in copies_in(place)] == [copy.path, ahead[1]], "one of each schema, the newest"
    assert remove_expired(place) == 0
    monkeypatch.setattr(kept_copies, "now_ms", lambda: copy.made_ms + 31 * 86_400_000)
    assert remove_expired(place) == 2


def test_a_way_back_that_was_killed_between_its_two_steps_leaves_nothing_behind(old_box, monkeypatch):
    with closing(open_appliance(old_box)) as appliance:
        copy = appliance.upgraded.copy.path
    newer = seen(old_box)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", interrupted)
        go_back(old_box, lambda _: None)
    (second,) = old_box.copies_dir.glob("left-*.db")
    assert second.samefile(old_box.database_path)
    assert [each.path for each in copies_in(old_box.copies_dir)] == [copy]
    left = go_back(old_box, lambda _: None).left
    assert (list(old_box.copies_dir.iterdir()), seen(old_box, left)) == ([left], newer)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_two_processes_that_open_a_box_at_once_upgrade_it_once(old_box):
    program = (
        "import sys; from pathlib import Path; from appliance.bootstrap import open_appliance\n"
        "from appliance.settings import Settings\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "appliance = open_appliance(Settings(data_dir=Path(sys.argv[1])))\n"
        "print(len(appliance.upgraded.applied) if appliance.upgraded else 0)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(old_box.data_dir)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert {process.stdout.readline() for process in started} == {"ready\n"}
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], "".join(told for _, told in answers)
    assert sorted(int(out) for out, _ in answers) == [0, len(REVISIONS) - REVISIONS.index(OLD) - 1]
    assert len(copies_in(old_box.copies_dir)) == 1


def test_a_backup_of_an_older_version_becomes_a_box_of_this_one(old_box, tmp_path, data_dir):
    root = old_box.root_key_path.read_bytes()
    # not opened: a box that is opened is upgraded, and the archive shall be one of before
    with closing(Appliance(old_box, root, 16)) as appliance:
        made = make_backup(appliance, tmp_path / "old.tar", lambda _: None)
    rows = seen(old_box)[1]
    target = Settings(data_dir=data_dir / "new" / "box")
    restore(made.path, target.data_dir, Keys(root, None), lambda _: None)
    assert not target.copies_dir.exists(), "the archive is what one can go back to"
    revision, found = seen(target)
    assert (revision, {name for name in rows if found[name] != rows[name]}) == (newest_revision(), {"audit_events", "sessions"})
    with closing(open_appliance(target)) as appliance, appliance.database.read() as connection:
        assert check(connection, appliance.keys.audit_sealing).intact
        assert {item.id for item in appliance.documents.list(principal_by_name(connection, "ana"))} == {"d0", "d1", "d2"}


def test_a_newer_box_is_left_alone_and_the_way_out_is_said(old_box):
    open_appliance(old_box).close()
    with closing(open_foundation(old_box)) as foundation, foundation.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = seen(old_box)
    with pytest.raises(ApplianceError, match="Install the newer version again, or go back to the copy") as caught:
        open_appliance(old_box)
    assert caught.value.stable_code == "setup.schema_newer"
    assert seen(old_box) == before
    assert go_back(old_box, lambda _: None).copy.revision == OLD, "also by the version to which one goes back"


def test_who_comes_second_waits_however_long_it_takes_and_does_nothing(old_box, monkeypatch):
    waits, said, opened = threading.Event(), [], []

    def told(line: str) -> None:
        said.append(line)
        waits.set()

    second = threading.Thread(target=lambda: opened.append(open_appliance(old_box, upgrading=Upgrading(told))))
    with alone(old_box, print):
        second.start()
        assert waits.wait(30)
        assert seen(old_box)[0] == OLD
        with monkeypatch.context() as patched:
            patched.setattr(upgrading, "alone", lambda *_: nullcontext())
            open_appliance(old_box).close()
    second.join(30)
    assert (said, opened[0].upgraded) == (["Another process upgrades this box or takes it back; waiting for it"], None)
    opened[0].close()


def test_a_new_box_has_nothing_to_keep(settings):
    with closing(open_appliance(settings, create=True)) as appliance:
        assert (appliance.upgraded.found, appliance.upgraded.copy) == (None, None)
    assert not settings.copies_dir.exists()


def test_the_newest_two_are_kept_and_none_for_longer_than_was_promised(settings, monkeypatch):
    settings.copies_dir.mkdir()
    monkeypatch.setattr(kept_copies, "now_ms", lambda: 1_767_600_000_000)  # 5 January 2026
    days = {"0004": 1, "0006": 2, "0008": 3}
    for revision, day in days.items():
        (settings.copies_dir / f"cloister-{revision}-2026-01-0{day}T000000Z.db").write_bytes(b"x")
    (settings.copies_dir / "something-else.db").write_bytes(b"x")
    kept_copies._remove_superseded(settings.copies_dir)
    assert [copy.revision for copy in copies_in(settings.copies_dir)] == ["0008", "0006"]
    (settings.copies_dir / "cloister-0008-2026-01-05T100000Z.db").write_bytes(b"x")
    assert place_for(settings.copies_dir, "left", "0009").name == "left-0009-2026-01-05T100001Z.db", "a clock that was put back"
    (settings.copies_dir / "cloister-0008-2026-01-05T100000Z.db").unlink()
    made = {copy.revision: copy.made_ms for copy in copies_in(settings.copies_dir)}
    monkeypatch.setattr(kept_copies, "now_ms", lambda: made["0006"] + 30 * 86_400_000 + 1)
    assert remove_expired(settings.copies_dir) == 1
    assert sorted(path.name for path in settings.copies_dir.iterdir()) == [
        "cloister-0008-2026-01-03T000000Z.db",
        "something-else.db",
    ]


def test_nothing_of_an_old_box_goes_by_its_age_before_somebody_says_so(old_box):
    with closing(open_appliance(old_box)) as appliance:
        time = Time(appliance)
        time.passes(1)
        assert cared_for(appliance) == (0, 0)
        with appliance.database.read() as connection:
            root = principal_by_name(connection, "root")
        retention = Retention(appliance.database, appliance.access, appliance.audit, time.clock)
        for collection_id, going in ((None, 1), ("c1", DOCUMENTS)):
            assert retention.outlook(root, 30, collection_id).going == going
            retention.change(root, 30, going=going, collection_id=collection_id)
        assert cared_for(appliance) == (0, 0)
        time.passes(1)
        assert cared_for(appliance) == (1, DOCUMENTS)
        assert left(appliance, "conversations", "messages", "message_passages", "documents", "chunks", "search_exact") == [0] * 6
