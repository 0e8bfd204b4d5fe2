"""What a hostile file meets: a process with nothing to take and nowhere to go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from appliance.documents import sandbox
from appliance.documents.media_types import MediaType
from appliance.egress.seal.landlock import landlock_version
from appliance.documents.parsing.messages import LENGTH, MESSAGE_BYTES, PageText, ParseJob, Progress, Rectangles
from appliance.documents.sandbox import ParseLimits, locate_in_child, parse_in_child
from appliance.errors import DocumentRejected
from tests.conftest import ROOT
from tests.documents_samples import archive, text

LIMITS = ParseLimits(memory_mb=1_024, timeout_s=30, output_mb=8)
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def code_of(content: bytes, media_type: str) -> str:
    with pytest.raises(DocumentRejected) as refused:
        parse_in_child([content], media_type, LIMITS)
    return refused.value.stable_code


def word(document: str) -> bytes:
    return archive({"word/document.xml": document})


def test_entities_that_multiply_are_refused():
    body = f"{BOMB}]><w:document {W}><w:body><w:p><w:r><w:t>&i;</w:t></w:r></w:p></w:body></w:document>"
    assert code_of(word(body), MediaType.DOCX) == "document.unsafe"


def test_entities_in_another_encoding_are_no_way_around_it():
    body = f"{BOMB}]><w:document {W}><w:body><w:p><w:r><w:t>safe &i;</w:t></w:r></w:p></w:body></w:document>"
    content = word(("<?xml version='1.0' encoding='utf-16'?>" + body).encode("utf-16"))
    assert code_of(content, MediaType.DOCX) in {"document.corrupt", "document.unsafe"}


def test_an_external_entity_is_not_fetched(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the night code is 4711")
    body = f"<!DOCTYPE x [<!ENTITY s SYSTEM 'file://{secret}'>]><w:document {W}><w:body><w:p><w:r><w:t>&s;</w:t></w:r></w:p></w:body></w:document>"
    assert code_of(word(body), MediaType.DOCX) == "document.unsafe"
    page = f"<!DOCTYPE html [<!ENTITY s SYSTEM 'file://{secret}'>]><html><body><p>open &s;</p><img src='file://{secret}'></body></html>"
    assert "4711" not in parse_in_child([page.encode()], MediaType.HTML, LIMITS).pages[0].text


def test_an_archive_that_swells_is_refused_before_it_does():
    bomb = archive({"word/document.xml": "<a>" + " " * 50_000_000 + "</a>"})
    assert len(bomb) < 200_000
    assert code_of(bomb, MediaType.DOCX) == "document.unsafe"


def test_an_archive_of_too_many_members_is_refused():
    assert code_of(archive({f"m{number}": "" for number in range(20_001)}), MediaType.DOCX) == "document.unsafe"


def test_deeply_nested_markup_ends_in_an_answer():
    content = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
    try:
        assert "deep" in parse_in_child([content], MediaType.HTML, LIMITS).pages[0].text
    except DocumentRejected as refused:
        assert refused.stable_code in {"document.corrupt", "document.unsafe", "document.empty"}


PROBE = """
import ctypes, mmap, os, resource, signal, socket, sys, tempfile, threading
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
import msgspec
from appliance.documents.parsing.confinement import confine
from appliance.documents.parsing.messages import Order
order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
port, key, door = sys.argv[1:]
socket.socket(socket.AF_UNIX).connect(door)
STATUS_FILE = open("/proc/self/status")
confine(memory_mb=order.memory_mb, cpu_s=order.cpu_s)
DIES = ctypes.c_int()
libc.prctl(2, ctypes.byref(DIES), 0, 0, 0)
# what the kernel lets a thread read of itself is read through the descriptor opened before
STATUS = STATUS_FILE.read().splitlines()
STATUS_FILE.close()
def tried(act):
    try:
        act()
        return "done"
    except (OSError, RuntimeError) as error:
        return type(error).__name__
def overwrite():
    with open(f"/proc/self/fd/{order.descriptor}", "r+b") as file:
        mmap.mmap(file.fileno(), 4)[0] = 1
def reads(path):
    return lambda: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
def write():
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 10)
facts = {
    "environment": dict(os.environ),
    "descriptors": [number for number in range(65_536) if tried(lambda: os.fstat(number)) == "done"],
    "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
    "cpu": resource.getrlimit(resource.RLIMIT_CPU)[0],
    "connect": tried(lambda: socket.create_connection(("127.0.0.1", int(port)), 1)),
    "door": tried(lambda: socket.socket(socket.AF_UNIX).connect(door)),
    "write": tried(write),
    "truncate": tried(lambda: os.truncate(key, 0)),
    "unlink": tried(lambda: os.unlink(key)),
    "key": tried(lambda: open(key, "rb").read()),
    "parent": tried(lambda: open(f"/proc/{os.getppid()}/environ", "rb").read()),
    "memory of the parent": tried(lambda: open(f"/proc/{os.getppid()}/mem", "rb")),
    "program": tried(lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
    "signal": tried(lambda: os.kill(os.getppid(), 0)),
    "fork": tried(os.fork),
    "thread": tried(lambda: threading.Thread(target=int).start()),
    "limits of the parent": tried(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))),
    "priority of the parent": tried(lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)),
    "signal by descriptor": tried(lambda: __import__("fcntl").fcntl(1, 8, os.getppid())),
    "shared memory": tried(lambda: call(29, 0, 1000, 0o1600)),
    "namespace": tried(lambda: call(272, 0x10000000)),
    "mount": tried(lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None)),
    "change of the document": tried(overwrite),
    "accounts": tried(reads("/etc/passwd")),
    "names of machines": tried(reads("/etc/resolv.conf")),
    "folder of the key": tried(reads(os.path.dirname(key))),
    "temporary folder": tried(reads("/tmp")),
    "processes": tried(reads("/proc")),
    "capabilities": next(line.split()[1] for line in STATUS if line.startswith("CapEff")),
    "dies with its parent": DIES.value,
    "document": tried(lambda: open(f"/proc/self/fd/{order.descriptor}", "rb").read()),
}
sys.stdout.buffer.write(msgspec.msgpack.encode(facts))
"""


FORBIDDEN = ("connect", "door", "write", "truncate", "unlink", "key", "parent", "memory of the parent", "program", "signal")
FORBIDDEN += ("fork", "thread", "limits of the parent", "priority of the parent", "signal by descriptor", "shared memory")
FORBIDDEN += ("namespace", "mount", "change of the document", "accounts", "names of machines", "folder of the key")
FORBIDDEN += ("temporary folder", "processes")


def test_the_child_has_no_environment_no_files_no_network_and_reaches_no_other_process(monkeypatch, tmp_path):
    import socket

    key = tmp_path / "root.key"
    key.write_bytes(b"k" * 32)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(tmp_path / "redis.sock"))
    door.listen()
    listener = socket.create_server(("127.0.0.1", 0))
    open_file = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(open_file, True)
    monkeypatch.setenv("CLOISTER_SECRET", "in the environment")
    start = subprocess.Popen

    def probing(command, **options):
        given = (str(listener.getsockname()[1]), str(key), door.getsockname())
        return start([sys.executable, "-I", "-c", PROBE, *given], **options)

    monkeypatch.setattr(subprocess, "Popen", probing)
    with sandbox._memory_file([text()]) as descriptor:
        order = sandbox.Order(sandbox.ParseJob("text/plain"), descriptor, 700, 9, 1_000)
        with sandbox._child(order, descriptor) as process:
            facts = msgspec.msgpack.decode(process.stdout.read())
    os.close(open_file)
    listener.close()
    door.close()
    assert set(facts["environment"]) <= {"LC_ALL", "LC_CTYPE"}
    # input, output, errors and the document
    assert len(facts["descriptors"]) == 4
    assert open_file not in facts["descriptors"] or open_file == descriptor
    assert (facts["memory"], facts["cpu"]) == (700_000_000, 9)
    assert facts["connect"] != "done"
    if landlock_version() < 6:
        pytest.skip("this kernel's Landlock is missing or old; the other limits were seen to hold")
    assert {name: facts[name] for name in FORBIDDEN if facts[name] == "done"} == {}
    assert facts["document"] == "done"
    assert int(facts["capabilities"], 16) == 0
    assert facts["dies with its parent"] == 9
    assert key.read_bytes() == b"k" * 32


def said(body: bytes) -> bytes:
    """A message as the child would send it."""
    return LENGTH.pack(len(body)) + body


def speak(monkeypatch, script: str) -> None:
    """Let a program of these statements stand for the child."""
    start = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _command, **options: start([sys.executable, "-I", "-c", f"import sys; {script}"], **options)
    )


@pytest.mark.parametrize(
    "spoken",
    [
        b"",
        b"not a message at all",
        LENGTH.pack(MESSAGE_BYTES[ParseJob] + 1),
        LENGTH.pack(5) + b"\xc1\xc1\xc1\xc1\xc1",
        LENGTH.pack(10) + b"cut",
        said(b"\xd9\x02\xc3\x28"),
        said(msgspec.msgpack.encode(PageText("hello")).replace(b"hello", b"\xed\xa0\x80lo")),
        said(msgspec.msgpack.encode(PageText("ab", headings=((1, 0, 2),) * 500_000))),
        said(msgspec.msgpack.encode(PageText(""))) * 7_000,
        said(msgspec.msgpack.encode(PageText("x" * 999_999))) * 9,
    ],
)
def test_a_child_that_was_taken_over_cannot_confuse_its_parent(spoken, monkeypatch, tmp_path):
    script = tmp_path / "spoken"
    script.write_bytes(spoken)
    start = subprocess.Popen

    def lying(_command, **options):
        # how such a child would say it is of no account, but a command line has its limits
        return start(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.stdin.read(); sys.stdout.buffer.write(open({str(script)!r}, 'rb').read())",
            ],
            **options,
        )

    monkeypatch.setattr(subprocess, "Popen", lying)
    refusals = {"document.parser_crashed", "document.too_large", "document.too_many_pages"}
    assert code_of(text(), MediaType.TEXT) in refusals


def test_progress_that_cannot_be_is_brought_back_to_what_can(monkeypatch):
    heard = []
    told = b"".join(said(msgspec.msgpack.encode(Progress(*pair))) for pair in ((-5, -1), (2**63, 3), (1, 2)))
    speak(monkeypatch, f"sys.stdin.read(); sys.stdout.buffer.write({told!r})")
    with pytest.raises(DocumentRejected):
        parse_in_child([text()], MediaType.TEXT, LIMITS, lambda done, total: heard.append((done, total)))
    assert heard == [(0, 1), (3, 3), (1, 2)]


def test_a_child_that_says_no_more_and_lives_on_does_not_hold_its_worker(monkeypatch):
    speak(monkeypatch, "import os, time; sys.stdin.read(); os.close(1); time.sleep(100)")
    start = time.monotonic()
    assert code_of(text(), MediaType.TEXT) == "document.parser_crashed"
    assert time.monotonic() - start < 10


def test_what_a_child_started_ends_with_it(monkeypatch, tmp_path):
    note = tmp_path / "pid"
    script = f"import os, time; pid = os.fork(); pid and open({str(note)!r}, 'w').write(str(pid)); pid or time.sleep(60)"
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: start([sys.executable, "-I", "-c", script], **options))
    with pytest.raises(DocumentRejected):
        parse_in_child([text()], MediaType.TEXT, ParseLimits(memory_mb=1_024, timeout_s=3, output_mb=8))
    started = f"/proc/{note.read_text()}/stat"
    deadline = time.monotonic() + 5
    while os.path.exists(started) and " Z " not in open(started).read():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_computes_for_too_long_ends_by_the_signal_that_says_so():
    script = "from appliance.documents.parsing.confinement import confine; confine(memory_mb=1_024, cpu_s=1)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=60).returncode == -signal.SIGXCPU


def test_places_outside_the_page_are_brought_back_to_its_edge(monkeypatch):
    said = msgspec.msgpack.encode(Rectangles(((-21_474.8, float("nan"), float("inf"), 0.5),)))
    script = f"import sys; sys.stdin.read(); sys.stdout.buffer.write({LENGTH.pack(len(said)) + said!r})"
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: start([sys.executable, "-I", "-c", script], **options))
    assert locate_in_child([text()], 1, 0, 5, LIMITS) == [(0.0, 0.0, 1.0, 0.5)]


def test_a_child_killed_from_outside_is_reported(monkeypatch):
    start = subprocess.Popen

    def dying(_command, **options):
        return start([sys.executable, "-I", "-c", "import os; os.kill(os.getpid(), 11)"], **options)

    monkeypatch.setattr(subprocess, "Popen", dying)
    assert code_of(text(), MediaType.TEXT) == "document.parser_crashed"
