"""A box, its archive, and the box that is made of it: real files, real keys, and archives that were spoiled on purpose."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from time import monotonic_ns
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, text

from appliance.audit.integrity import check
from appliance.backup.gathering import STAGING, remove_left_links
from appliance.backup.making import Made, make_backup
from appliance.backup.outlet import Outlet, outlet
from appliance.backup.reading import read_archive
from appliance.backup.restoring import Keys, Restored, restore
from appliance.bootstrap import Appliance, open_appliance
from appliance.errors import ApplianceError, NotSignedIn, Unavailable
from appliance.identity.api_keys import KeyScope
from appliance.identity.models import Principal, Role
from appliance.retention.clock import RetentionClock
from appliance.settings import Settings
from appliance.storage.clock import DAY_MS, now_ms
from appliance.storage.database import Database
from appliance.storage.tables import audit_events, documents, sessions
from tests.factor_samples import Phone, StillClock, enrol
from tests.conftest import PASSWORD
from workers.care import cares

DOCUMENT = "The greenhouse alarm is switched off with the code juniper seven four nine.\n"
KNOWN = ("juniper seven four nine", "winter-garden", "alice", "Glasshouse", "10.77.1.2", PASSWORD, "internal = ", "permit (")
PASSPHRASE = "the passphrase of a stick"


@dataclass(frozen=True)
class Box:
    appliance: Appliance
    alice: Principal
    made: Made
    phone: Phone
    key: str


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with one document, a session and settings of its own, and an archive of it."""
    directory = tmp_path_factory.mktemp("box")
    opened = open_appliance(Settings(data_dir=directory / "data"), create=True)
    administrator = opened.setup.complete(opened.setup.make_link(), "administrator", PASSWORD)
    alice = opened.people.create(administrator, "alice", PASSWORD, frozenset({Role.EMPLOYEE}))
    (directory / "data" / "settings.toml").write_text('host = "10.77.1.2"\n')
    upload(opened, alice, "winter-garden.txt", DOCUMENT * 9)
    opened.sessions.sign_in("alice", PASSWORD, "127.0.0.1")
    key = opened.api_keys.create(alice, PASSWORD, "Import", KeyScope)[1]
    phone = enrol(opened, administrator, StillClock().of(opened))
    yield Box(opened, alice, backup(opened, directory / "box.tar"), phone, key)
    opened.close()


@pytest.fixture
def appliance(box: Box) -> Appliance:
    return box.appliance


@pytest.fixture
def alice(box: Box) -> Principal:
    return box.alice


@pytest.fixture
def made(box: Box) -> Made:
    return box.made


@pytest.fixture
def failures(appliance: Appliance) -> Callable[[], int]:
    """How many backups the log says have failed."""

    def count() -> int:
        query = select(func.count()).where(audit_events.c.event == "backup.made", audit_events.c.outcome == "failure")
        with appliance.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    return count


def upload(appliance: Appliance, person: Principal, name: str, content: str) -> str:
    mine = next(each.id for each in appliance.collections.readable(person) if each.owner_id == person.id)
    started = appliance.documents.begin_upload(person, mine, name)
    started.write(content.encode())
    return started.commit()[0].id


def backup(appliance: Appliance, target: Path, **wanted: object) -> Made:
    return make_backup(appliance, target, lambda _: None, **wanted)


def key_of(appliance: Appliance) -> Keys:
    return Keys(appliance.settings.root_key_path.read_bytes(), None)


def restored(archive: Path, target: Path, keys: Keys) -> Restored:
    return restore(archive, target, keys, lambda _: None)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ApplianceError) as caught:
        act()
    return caught.value.stable_code


def test_the_archive_shows_nothing_and_is_for_its_owner_alone(appliance: Appliance, made: Made) -> None:
    content = made.path.read_bytes()
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert (made.size_bytes, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert appliance.settings.root_key_path.read_bytes() not in content
    assert b"SQLite format 3" not in content
    for known in KNOWN:
        for encoding in ("utf-8", "utf-16-le"):
            assert known.lower().encode(encoding) not in content.lower(), known
    assert not (appliance.settings.data_dir / STAGING).exists()


def test_what_is_restored_is_the_box_as_it_was(
    appliance: Appliance, alice: Principal, made: Made, box: Box, data_dir: Path
) -> None:
    later = upload(appliance, alice, "later.txt", "Not in the backup.\n")
    target = data_dir / "new" / "box"
    found = restored(made.path, target, key_of(appliance))
    assert (found.files, found.sessions_ended, found.keys_ended, found.archive.sha256) == (1, 1, 1, made.sha256)
    assert (target / "settings.toml").read_text() == 'host = "10.77.1.2"\n'
    for path in (target, *target.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    again = open_appliance(Settings(data_dir=target))
    try:
        (document,) = again.documents.list(alice)
        _, pieces = again.documents.content(alice, document.id)
        assert b"".join(pieces).decode() == DOCUMENT * 9
        with again.database.read() as connection:
            assert check(connection, again.keys.audit_sealing).intact
            assert connection.execute(select(func.count()).select_from(sessions)).scalar() == 0
        assert facts(again, "backup.restored")["sha256"] == made.sha256
        with pytest.raises(NotSignedIn):  # it may have been ended since
            again.api_keys.admit(box.key, "127.0.0.1")
        assert again.sessions.sign_in("alice", PASSWORD, "127.0.0.1")
        assert refused(lambda: again.sessions.sign_in("administrator", PASSWORD, "127.0.0.1")) == "session.code_needed"
        assert again.sessions.sign_in("administrator", PASSWORD, "127.0.0.1", box.phone.recovery_codes[0])
    finally:
        again.close()
    assert facts(appliance, "backup.made") == {
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "files": 1,
        "models": 0,
        "root_key": "not included",
    }
    appliance.documents.delete(alice, later)


def test_a_box_that_is_restored_does_not_count_the_time_that_the_machine_ran_since(
    appliance: Appliance, tmp_path: Path, data_dir: Path
) -> None:
    """On the same machine, never off: else what one goes back for is too old at once."""
    RetentionClock(appliance.database, appliance.audit.boot_id).care()
    archive = backup(appliance, tmp_path / "older.tar").path
    restored(archive, data_dir / "new", key_of(appliance))
    later = 100 * DAY_MS
    again = open_appliance(Settings(data_dir=data_dir / "new"))
    try:
        clock = RetentionClock(
            again.database, again.audit.boot_id, lambda: now_ms() + later, lambda: monotonic_ns() + later * 1_000_000
        )
        assert clock.care() == 1, "in doubt"
    finally:
        again.close()


def facts(appliance: Appliance, event: str) -> dict[str, object]:
    """Of the first such event."""
    with appliance.database.read() as connection:
        query = select(audit_events.c.body).where(audit_events.c.event == event).order_by(audit_events.c.seq).limit(1)
        return json.loads(connection.execute(query).scalar_one())["facts"]


def test_the_key_goes_along_under_a_passphrase_alone(appliance: Appliance, tmp_path: Path, data_dir: Path) -> None:
    assert refused(lambda: backup(appliance, tmp_path / "a.tar", passphrase="short")) == "password.too_short"
    assert not (tmp_path / "a.tar").exists()
    made = backup(appliance, tmp_path, passphrase=PASSPHRASE)
    assert appliance.settings.root_key_path.read_bytes() not in made.path.read_bytes()
    target = data_dir / "new"
    assert refused(lambda: restored(made.path, target, Keys(None, None))) == "backup.key_missing"
    assert refused(lambda: restored(made.path, target, Keys(None, lambda: PASSPHRASE + "x"))) == "backup.wrong_key"
    assert not target.exists()
    restored(made.path, target, Keys(None, lambda: PASSPHRASE))
    assert (target / "keys" / "root.key").read_bytes() == appliance.settings.root_key_path.read_bytes()


def test_nothing_is_replaced_and_no_directory_that_is_used(appliance: Appliance, made: Made, failures: Callable[[], int]) -> None:
    before, content, used = failures(), made.path.read_bytes(), appliance.settings.data_dir
    assert refused(lambda: backup(appliance, made.path)) == "backup.exists"
    assert refused(lambda: backup(appliance, used / "box.tar")) == "backup.inside"
    assert refused(lambda: backup(appliance, Path("/nowhere/box.tar"))) == "backup.unwritable"
    assert refused(lambda: restored(made.path, used, key_of(appliance))) == "backup.occupied"
    assert failures() == before + 3
    assert made.path.read_bytes() == content


@pytest.mark.parametrize("taken", [b"x", b""])
def test_a_name_that_is_taken_while_the_archive_is_written_stays_whose_it_is(tmp_path: Path, taken: bytes) -> None:
    with outlet(tmp_path / "box.tar") as out:
        out.write(b"content")
        (tmp_path / "box.tar").write_bytes(taken)
        assert refused(out.place) == "backup.exists"
    assert (tmp_path / "box.tar").read_bytes() == taken


def test_the_archive_is_on_record_before_it_has_its_name_and_holds_up_no_writer(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, target, outcomes = (
        Outlet.place,
        tmp_path / "box.tar",
        select(audit_events.c.outcome).order_by(audit_events.c.seq.desc()),
    )

    def taken(self: Outlet) -> None:
        with appliance.database.write():
            target.write_bytes(b"somebody's")
        place(self)

    monkeypatch.setattr(Outlet, "place", taken)
    assert refused(lambda: backup(appliance, target)) == "backup.exists"
    with appliance.database.read() as connection:
        assert list(connection.execute(outcomes.limit(2)).scalars()) == ["failure", "success"]
    assert target.read_bytes() == b"somebody's"


def test_a_disk_without_links_is_said_to_be_one(appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    assert refused(lambda: backup(appliance, tmp_path / "box.tar")) == "backup.no_links"
    assert not (appliance.settings.data_dir / STAGING).exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_is_said_to_be_full_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    if named:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    with pytest.raises(Unavailable) as caught, outlet(tmp_path / "box.tar") as out:
        out.write(b"content")
        out._file.close()
        out._file = FileIO("/dev/full", "wb")
        out.write(b"more")
    assert caught.value.stable_code == "disk.full"
    assert list(tmp_path.iterdir()) == []


def test_a_box_keeps_the_room_it_needs_for_itself(appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    assert refused(lambda: backup(appliance, tmp_path / "box.tar")) == "disk.full"
    assert not (appliance.settings.data_dir / STAGING).exists()
    assert list(tmp_path.iterdir()) == []


def test_where_the_disk_knows_only_names_the_archive_is_placed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # refused as on a stick: one cannot write to a directory
    with outlet(tmp_path / "box.tar") as out:
        out.write(b"content")
        out.finish()
        assert [path.name for path in tmp_path.iterdir()] == [".box.tar.part"]
        out.place()
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("box.tar", 0o600)]


def test_what_is_deleted_meanwhile_is_in_the_archive_as_in_the_snapshot(
    appliance: Appliance, alice: Principal, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, short_lived = Database.copy_to, upload(appliance, alice, "short-lived.txt", "Gone before the archive is written.\n")

    def deleting(self: Database, target: Path) -> None:
        copy(self, target)
        appliance.documents.delete(alice, short_lived)

    monkeypatch.setattr(Database, "copy_to", deleting)
    later = backup(appliance, tmp_path / "later.tar")
    monkeypatch.undo()
    assert len(list(appliance.blobs.names())) == 1
    assert restored(later.path, data_dir / "new", key_of(appliance)).files == 2
    assert not (appliance.settings.data_dir / STAGING).exists()


def test_a_box_whose_files_are_missing_is_not_passed_off_as_whole(appliance: Appliance, tmp_path: Path) -> None:
    blob = next(appliance.settings.blobs_dir.glob("??/*"))
    blob.rename(tmp_path / "moved")
    assert refused(lambda: backup(appliance, tmp_path / "later.tar")) == "backup.files_missing"
    assert not (tmp_path / "later.tar").exists()
    (tmp_path / "moved").rename(blob)


def test_a_cut_or_altered_archive_makes_no_box(appliance: Appliance, made: Made, tmp_path: Path, data_dir: Path) -> None:
    whole, spoiled, target = made.path.read_bytes(), tmp_path / "spoiled.tar", data_dir / "new"
    places = [0, 600, 1_030, len(whole) // 2, len(whole) - 1_100, len(whole) - 1]
    with tarfile.open(made.path) as archive:
        places += [archive.getmember(name).offset_data + 40 for name in archive.getnames()]
    variants = [whole[:place] for place in places] + [whole + b"\0"]
    variants += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
    for variant in variants:
        spoiled.write_bytes(variant)
        assert refused(lambda: restored(spoiled, target, key_of(appliance))) in {"backup.damaged", "backup.wrong_key"}
    assert not target.exists()
    assert [path.name for path in data_dir.glob(".restoring-*")] == []


def rebuilt(
    source: Path, target: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None], *, relist: bool = True
) -> Path:
    """The archive with other members, its list of contents made to fit as far as that goes without the key."""
    with tarfile.open(source) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive]
    change(members)
    if relist:
        manifest = json.loads(members[-1][1])
        manifest["members"] = [
            {"name": info.name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for info, content in members[:-1]
        ]
        members[-1] = (members[-1][0], json.dumps(manifest).encode())
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
        end = archive.offset + 2 * tarfile.BLOCKSIZE
    os.truncate(target, end)
    return target


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


STRANGERS = [
    named("../../outside"),
    named("/tmp/outside"),
    named("blobs/../../outside"),
    named("blobs/ab/short"),
    named("keys/root.key"),
    named("models/folders/" + "a" * 64 + "/../x"),
    named("models/folders/" + "a" * 64 + "/.."),
    named("settings.toml"),
    named("blobs/aa/" + "a" * 64, tarfile.SYMTYPE, "/etc/passwd"),
    named("blobs/aa/" + "a" * 64, tarfile.LNKTYPE, "cloister.db"),
    named("blobs", tarfile.DIRTYPE),
    named("blobs/aa/" + "a" * 64, tarfile.FIFOTYPE),
    named("cloister.db"),
    named("about.json"),
    named("manifest.json"),
]


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda info: info.name[:30])
def test_no_member_leads_out_or_stands_there_twice(
    appliance: Appliance, made: Made, tmp_path: Path, data_dir: Path, stranger: tarfile.TarInfo
) -> None:
    archive = rebuilt(made.path, tmp_path / "forged.tar", lambda members: members.insert(3, (stranger, b"x")))
    assert refused(lambda: restored(archive, data_dir / "new", key_of(appliance))) == "backup.damaged"
    assert not (data_dir / "new").exists()
    assert not (data_dir / "outside").exists()


def test_an_archive_put_together_without_the_key_is_refused(
    appliance: Appliance, made: Made, tmp_path: Path, data_dir: Path
) -> None:
    def without_file(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[:] = [each for each in members if not each[0].name.startswith("blobs/")]

    archive = rebuilt(made.path, tmp_path / "forged.tar", without_file)
    assert refused(lambda: restored(archive, data_dir / "new", key_of(appliance))) == "backup.damaged"
    unchanged = rebuilt(made.path, tmp_path / "same.tar", lambda members: None)
    assert restored(unchanged, data_dir / "new", key_of(appliance)).files == 1


@pytest.mark.parametrize("newer", [{"version": 2, "more": 1}, {"schema": "9999"}])
def test_what_a_newer_version_made_is_told_as_that(
    appliance: Appliance, made: Made, tmp_path: Path, data_dir: Path, newer: dict[str, object]
) -> None:
    def renew(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[0] = (members[0][0], json.dumps(json.loads(members[0][1]) | newer).encode())

    archive = rebuilt(made.path, tmp_path / "newer.tar", renew)
    assert refused(lambda: restored(archive, data_dir / "new", key_of(appliance))) == "backup.newer"


def test_the_key_of_another_box_opens_nothing(appliance: Appliance, made: Made, data_dir: Path) -> None:
    assert refused(lambda: restored(made.path, data_dir / "new", Keys(b"\1" * 32, None))) == "backup.wrong_key"
    assert refused(lambda: restored(made.path, data_dir / "new", Keys(None, None))) == "backup.key_missing"
    assert refused(lambda: restored(data_dir / "nothing", data_dir / "new", key_of(appliance))) == "backup.missing"
    assert not (data_dir / "new").exists()


_KILLED = """
import sys
from pathlib import Path
from appliance.backup.making import make_backup
from appliance.backup.restoring import Keys, restore
from appliance.bootstrap import open_appliance
from appliance.settings import Settings
data, archive, target = map(Path, sys.argv[1:4])
told = lambda line: print(line, flush=True)
if target == Path("/"):
    make_backup(open_appliance(Settings(data_dir=data)), archive, told)
else:
    restore(archive, target, Keys((data / "keys" / "root.key").read_bytes(), None), told)
print("done", flush=True)
"""


@pytest.mark.parametrize("word", ["Copying the database", "Copying 1 files"])
def test_killed_in_the_middle_a_backup_leaves_no_half_archive(appliance: Appliance, tmp_path: Path, word: str) -> None:
    target = tmp_path / "killed.tar"
    killed_at(word, appliance.settings.data_dir, target, Path("/"))
    if target.exists():  # it was faster than we
        read_archive(target, lambda *_: None, lambda _, pieces: pieces)
    assert [path.name for path in tmp_path.iterdir() if path != target] == []
    care = {each.name: each.act for each in cares(appliance)}["left_links"]
    care()
    assert not (appliance.settings.data_dir / STAGING).exists()
    assert care() == 0
    assert backup(appliance, tmp_path / "after.tar").files == 1


@pytest.mark.parametrize("word", ["Reading", "Checking"])
def test_killed_in_the_middle_a_restore_leaves_no_half_box(appliance: Appliance, made: Made, data_dir: Path, word: str) -> None:
    target = data_dir / "places" / "new"
    killed_at(word, appliance.settings.data_dir, made.path, target)
    if not target.exists():
        assert restored(made.path, target, key_of(appliance)).files == 1
    again = open_appliance(Settings(data_dir=target))
    with again.database.read() as connection:
        assert check(connection, again.keys.audit_sealing).intact
        assert connection.execute(select(func.count()).select_from(documents)).scalar() == 1
        assert connection.execute(text("PRAGMA quick_check")).scalar() == "ok"
    again.close()
    assert [path.name for path in target.parent.iterdir()] == ["new"]


@pytest.fixture
def on_a_disk_of_its_own(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Path:
    """A new volume, in which the run volume is mounted."""
    place = data_dir / "volume"
    for name in ("lost+found", "run/seal"):
        (place / name).mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == place)
    return place


@pytest.mark.parametrize("moves", range(5))
def test_killed_between_two_moves_nothing_starts_and_the_next_restore_goes_on(
    appliance: Appliance, made: Made, on_a_disk_of_its_own: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    place, rename, remove, left = on_a_disk_of_its_own, Path.rename, shutil.rmtree, moves

    def killed(self: Path, target: Path) -> Path:
        nonlocal left
        if target.parent == place and not left:
            raise Killed
        left -= target.parent == place
        return rename(self, target)

    with monkeypatch.context() as during:
        during.setattr(Path, "rename", killed)
        during.setattr(shutil, "rmtree", lambda path, **how: None if path.parent == place else remove(path, **how))
        with pytest.raises(Killed):
            restored(made.path, place, key_of(appliance))
    assert list(place.glob(".restoring-*"))
    if moves:
        assert refused(lambda: open_appliance(Settings(data_dir=place), create=True)) == "setup.key_missing"
    assert restored(made.path, place, key_of(appliance)).files == 1
    assert sorted(path.name for path in place.iterdir()) == [
        "blobs", "cloister.db", "keys", "lost+found", "models", "run", "settings.toml"
    ]  # fmt: skip
    assert (place / "run" / "seal").is_dir()
    open_appliance(Settings(data_dir=place)).close()


class Killed(BaseException):
    """In place of a signal."""


def test_a_box_without_its_key_is_no_half_restore(appliance: Appliance, made: Made, on_a_disk_of_its_own: Path) -> None:
    place = on_a_disk_of_its_own
    (place / "cloister.db").write_bytes(b"somebody's")
    (place / ".restoring-whole").mkdir()
    assert refused(lambda: restored(made.path, place, key_of(appliance))) == "backup.occupied"
    assert (place / "cloister.db").read_bytes() == b"somebody's"


def killed_at(word: str, *paths: Path) -> None:
    """SIGKILL to a process that makes or restores a backup, once it says `word`."""
    with subprocess.Popen([sys.executable, "-c", _KILLED, *map(str, paths)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith(word):
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
        assert process.wait(30) == -signal.SIGKILL


def test_the_place_of_a_backup_that_is_being_made_is_not_swept(appliance: Appliance, tmp_path: Path, monkeypatch) -> None:
    copy, seen = Database.copy_to, []

    def sweeping(self: Database, target: Path) -> None:
        assert remove_left_links(appliance.settings) == 0
        assert list((appliance.settings.data_dir / STAGING).iterdir())
        seen.append(refused(lambda: backup(appliance, tmp_path / "second.tar")))
        copy(self, target)

    monkeypatch.setattr(Database, "copy_to", sweeping)
    assert backup(appliance, tmp_path / "first.tar").files == 1
    assert seen == ["backup.running"]


def test_names_that_cannot_be_removed_are_told(appliance: Appliance) -> None:
    staging, lock = appliance.settings.data_dir / STAGING, appliance.settings.run_dir / "backup.lock"
    staging.mkdir()
    (staging / "second-name").touch()
    lock.unlink(missing_ok=True)
    lock.symlink_to("elsewhere")
    assert refused(lambda: remove_left_links(appliance.settings)) == "setup.unwritable"
    lock.unlink()
    assert remove_left_links(appliance.settings) == 1
    assert not staging.exists()
