"""A whole box on a loopback port, and a real headless Chromium that may talk to nothing else.

Real: database, blobs, policies, audit, parsing children, index, Redis, uvicorn. The language model is scripted and the embedder
counts words, because the pages are the subject here; workers are threads of this process.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

# Its pytest plugin imports it when all is over; compiled for the first time after Playwright's greenlets have run, that fails on
# early releases of Python 3.11 ("AST constructor recursion depth mismatch").
import hypothesis  # noqa: F401
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, expect, sync_playwright

from appliance.bootstrap import Appliance, open_appliance
from appliance.identity.models import Principal, Role
from appliance.inference.stub import InsecureStubWarning, stub_router
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.settings import Settings
from appliance.supervisor.redis_server import redis_command
from web.app import create_app
from web.main import make_server
from workers.connection import connect
from workers.streams import RedisDeltaSink

PASSWORD = "a long enough passphrase"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
_WORD = re.compile(r"\w+")


class WordEmbedder:
    """Texts that share words lie close together; a token is a word."""

    dimensions, max_tokens = 384, 250

    def count_tokens(self, text: str) -> int:
        return len(_WORD.findall(text))

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _WORD.finditer(text)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.full((len(texts), self.dimensions), 1e-3, np.float32)
        for row, text in enumerate(texts):
            for word in _WORD.findall(text.lower()):
                vectors[row, crc32(word.encode()) % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ScriptedRuntime:
    """Says `reply` (or what `reply(request)` gives) word by word, `pause_s` apart."""

    context_tokens = 4_096
    model = Model("scripted-model", "language", "none", "0" * 64, 0, "none", 4_096, "none", active=True)

    def __init__(self) -> None:
        self.reply: str | Callable[[CompletionRequest], str] = "The lighthouse is open on Fridays."
        self.pause_s = 0.0
        self.may_end = threading.Event()
        """While cleared all is written and the answer does not end: what is shown meanwhile can be looked at."""
        self.may_end.set()

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return sum(len(message.text.split()) + 4 for message in messages)

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        reply = self.reply if isinstance(self.reply, str) else self.reply(request)
        words = re.findall(r"\s*\S+", reply)
        for number, word in enumerate(words):
            if request.cancelled.wait(self.pause_s):
                yield Delta("", FinishReason.CANCELLED, Usage(10, number))
                return
            yield Delta(word)
        self.may_end.wait(60)
        yield Delta("", FinishReason.STOP, Usage(10, len(words)))

    def health(self) -> Health:
        return Health(ready=True)

    def close(self) -> None: ...


class ThreadQueue:
    """Works on each row at once, in a thread of its own."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        self.redis = connect(appliance.settings)
        self.threads: list[threading.Thread] = []
        self.held = False
        """While true rows are left lying, as if no worker were there."""

    def enqueue_answer(self, message_id: str) -> bool:
        return self._start(self.appliance.chat.answer, message_id, RedisDeltaSink(self.redis, message_id), "test-answers")

    def enqueue_ingest(self, document_id: str) -> bool:
        return self._start(self.appliance.documents.ingest, document_id, "test-ingest")

    def enqueue_golden(self, run_id: str) -> bool:
        """Left to the test, which decides when the box is quiet."""
        return True

    def enqueue_sweep(self) -> bool:
        return True

    def _start(self, work: Callable[..., None], *arguments: object) -> bool:
        if not self.held:
            thread = threading.Thread(target=work, args=arguments, daemon=True)
            thread.start()
            self.threads.append(thread)  # started: `settle` joins what stands here
        return True

    def settle(self) -> None:
        for thread in self.threads:  # an answer that ends starts the next question's thread: the list grows meanwhile
            thread.join(60)


@dataclass
class Box:
    """The running box. `upload` puts a document in and waits until it can be searched."""

    url: str
    appliance: Appliance
    runtime: ScriptedRuntime
    queue: ThreadQueue
    closing: asyncio.Event
    administrator: Principal | None = None
    people: dict[str, Principal] = field(default_factory=dict)

    def set_up(self) -> Principal:
        self.administrator = self.appliance.setup.complete(self.appliance.setup.make_link(), "administrator", PASSWORD)
        return self.administrator

    def person(self, name: str, *roles: Role) -> Principal:
        administrator = self.administrator or self.set_up()
        self.people[name] = self.appliance.people.create(administrator, name, PASSWORD, frozenset(roles or {Role.EMPLOYEE}))
        return self.people[name]

    def own_collection(self, person: Principal) -> str:
        return next(item.id for item in self.appliance.collections.readable(person) if item.owner_id == person.id)

    def upload(self, person: Principal, name: str, content: bytes, collection_id: str | None = None) -> str:
        upload = self.appliance.documents.begin_upload(person, collection_id or self.own_collection(person), name)
        upload.write(content)
        document, _ = upload.commit()
        self.appliance.documents.ingest(document.id, "test-upload")
        return document.id

    def let_in(self, page: Page, name: str, path: str = "/chat") -> None:
        """Signed in without the form."""
        token = self.appliance.sessions.sign_in(name, PASSWORD, "test")
        page.context.add_cookies([{"name": "cloister", "value": token, "url": self.url, "httpOnly": True, "sameSite": "Strict"}])
        page.goto(self.url + path)

    def sign_in(self, page: Page, name: str) -> None:
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)


@pytest.fixture
def box(data_dir: Path, new_box: Path) -> Iterator[Box]:
    shutil.copytree(new_box, data_dir, dirs_exist_ok=True)
    appliance = open_appliance(Settings(data_dir=data_dir), create=True)
    runtime = ScriptedRuntime()
    with pytest.warns(InsecureStubWarning):
        appliance.__dict__.update(router=stub_router(runtime), embedders=SimpleNamespace(serving=WordEmbedder))
    redis = subprocess.Popen(redis_command(appliance.settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    queue = ThreadQueue(appliance)
    _wait_until(queue.redis.ping)
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(appliance, queue=queue)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    _wait_until(lambda: server.started)
    yield Box(f"http://127.0.0.1:{listener.getsockname()[1]}", appliance, runtime, queue, app.state.closing)
    server.should_exit = True
    queue.settle()
    thread.join(20)
    assert not thread.is_alive(), "the server did not end"
    queue.settle()
    redis.terminate()
    redis.wait(10)
    appliance.close()


@pytest.fixture(scope="module")
def playwright_driver() -> Iterator[Playwright]:
    """Ends with its file: while it lives its event loop is this thread's current one, and tests of other files start their own."""
    expect.set_options(timeout=15_000)  # a busy machine is no failure
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def chromium(playwright_driver: Playwright) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: install Debian's chromium")
    browser = playwright_driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def open_page(box: Box, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens windows of separate people; fails the test when a page asks another origin, logs an error or breaks the policy."""
    contexts, foreign, complaints = [], [], []

    def check(route: Route, also: str) -> None:
        if route.request.url.startswith((box.url, "blob:", "data:", *([also] if also else []))):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    def opened(*, also: str = "", **options: object) -> Page:
        """`also` is the one other origin that this window may go to, with a slash at its end: the identity provider's."""
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.route("**/*", lambda route: check(route, also))
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda entry: complaints.append(entry.text) if _is_complaint(entry) else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert foreign == [], "a page asked another origin"
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def _is_complaint(entry: object) -> bool:
    # refusals that a test provokes are told as failed resources; they are not faults of the page
    return entry.type == "error" and "Failed to load resource" not in entry.text


def _wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except OSError:
            pass
        except Exception as error:
            if "onnect" not in type(error).__name__:
                raise
        if time.monotonic() > limit:
            raise AssertionError("the box did not start")
        time.sleep(0.02)
