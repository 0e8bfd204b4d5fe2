"""The scripted day: everything a box does, in an order in which people do it, step by step.

A step that fails does not end the day, it is told: what was not done proves nothing.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from appliance.egress.proof import samples
from appliance.egress.proof.boxes import Box
from appliance.egress.proof.visitor import Visitor
from appliance.errors import ApplianceError, Unavailable

_T = TypeVar("_T")

_FINISHED = {"READY", "FAILED"}
_PATIENCE_S = 240.0
_ABLE = {"preferred", "less_preferred", "canary"}
_ADMINISTRATOR, _OFFICER = "keeper", "inspector"


class Step(msgspec.Struct, frozen=True):
    """`detail` says what was done, or why it was not."""

    name: str
    held: bool
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a day holds beside what every day holds.

    `runtimes` by name, each with the reason why it cannot be used here; `models` are files or folders to import and ask;
    `shell` is whether commands are run, too; `ollama` whether the box starts an Ollama.
    """

    runtimes: Mapping[str, str]
    models: Sequence[Path]
    idle_s: float
    shell: bool
    ollama: bool


class Day:
    """One box, from start to shutdown."""

    def __init__(self, box: Box, plan: Plan, prefer: Callable[[str], None]) -> None:
        """`prefer` makes the routing policy of the next start put a runtime first."""
        self._box = box
        self._plan = plan
        self._prefer = prefer
        self._through: set[str] = set()
        self._password = secrets.token_urlsafe(16)
        self._steps: list[Step] = []
        self._administrator = Visitor("")
        self._collection = ""

    def run(self, between: Callable[[], str]) -> list[Step]:
        """`between` is called while the box runs, after its set-up; what it returns is the detail of its step."""
        script: list[tuple[str, Callable[[], str]]] = [
            ("start", self._start),
            ("set-up", self._set_up),
            ("a try from inside", between),
            ("files", self._files),
            *([("further models", self._import)] if self._plan.models else []),
            *([("a model in Ollama", self._connect_ollama)] if self._plan.ollama else []),
            ("questions", self._questions),
            ("other runtimes", self._other_runtimes),
            ("crash", self._crash),
            ("export", self._export),
            ("backup", self._backup),
            *([("shell", self._commands)] if self._plan.shell else []),
            *([("idle", self._idle)] if self._plan.idle_s else []),
            ("shutdown", self._stop),
        ]
        for name, act in script:
            if name != "start" and not self._box.url:
                break
            self._steps.append(_done(name, act))
        return self._steps

    def _start(self) -> str:
        missing = self._box.start()
        return f"layers of the seal missing: {len(missing)}"

    def _set_up(self) -> str:
        self._administrator = Visitor(self._box.url)
        self._administrator.set_up(self._box.setup_token, _ADMINISTRATOR, self._password)
        self._administrator.call("POST", "/api/people", _person(_OFFICER, self._password, "officer"))
        self._collection = self._administrator.call("GET", "/api/collections")[0]["id"]
        return "an administrator by the one-time link, an officer"

    def _files(self) -> str:
        contents = samples.files()
        for name, content in contents.items():
            self._administrator.upload(self._collection, name, content)
        found = self._settled()
        for document in found:
            if document["status"] == "READY":
                self._administrator.call("GET", f"/api/documents/{document['id']}/pages/1")
            if document["status"] == "READY" and document["name"].endswith(".pdf"):
                self._administrator.fetch("GET", f"/api/documents/{document['id']}/pages/1/image")
        told = ", ".join(f"{each['name']} {each['status'].lower()}" for each in sorted(found, key=lambda each: each["name"]))
        if not any(each["status"] == "READY" for each in found):
            raise Unavailable(f"No file could be read: {told}.", code="proof.files")
        return told

    def _import(self) -> str:
        told = []
        for path in self._plan.models:
            code, said = self._box.command("models", "import", str(path), "--as", _ADMINISTRATOR)
            if code == 0:
                code, said = self._box.command("models", "activate", said["id"], "--as", _ADMINISTRATOR)
            if code:
                raise Unavailable(f"{path.name} could not be imported: {said.get('error', said)}.", code="proof.model")
            told.append(said["id"])
        return ", ".join(told)

    def _connect_ollama(self) -> str:
        """What that Ollama holds, or the default model made into one of its own."""
        held = self._said("models", "ollama", "list", "--as", _ADMINISTRATOR)["models"]
        name = held[0]["name"] if held else self._made_in_ollama()
        version = self._said("models", "connect", f"ollama:{name}", "--as", _ADMINISTRATOR)["id"]
        self._said("models", "activate", version, "--as", _ADMINISTRATOR)
        return str(version)

    def _made_in_ollama(self) -> str:
        versions = self._said("models", "list", "--as", _ADMINISTRATOR)["models"]
        prepared = (each["sha256"] for each in versions if each["kind"] == "language" and each["format"] == "gguf")
        sha256 = _first(prepared, "language model in GGUF")
        folder = self._box.data_dir.parent / "for-ollama"
        folder.mkdir()
        shutil.copyfile(self._box.data_dir / "models" / "files" / sha256[:2] / sha256, folder / "model.gguf")
        (folder / "Modelfile").write_text("FROM ./model.gguf\n")
        self._said("models", "ollama", "create", "proof", "--modelfile", str(folder / "Modelfile"), "--as", _ADMINISTRATOR)
        return "proof"

    def _said(self, *words: str) -> dict[str, Any]:
        """What a command says that must succeed."""
        code, said = self._box.command(*words)
        if code:
            raise Unavailable(f"cloister {' '.join(words[:2])} was refused: {said.get('error', said)}.", code="proof.command")
        return said

    def _questions(self) -> str:
        """One for each model that may answer here, through the runtime that is preferred for it."""
        able = self._able()
        choices = self._administrator.call("GET", "/api/model-choices") or {"": ""}
        return "; ".join(self._told(able, self._asked(samples.QUESTION, model)) for model in choices)

    def _other_runtimes(self) -> str:
        """Those that could have answered and were not preferred, each after a restart under a policy that does prefer it."""
        told = []
        for name in sorted({runtime for _, runtime in self._able()} - self._through):
            self._box.stop()
            self._prefer(name)
            self._box.start()
            able = self._able()
            model = _first((model for model, runtime in able if runtime == name), f"model through {name} any more")
            told.append(self._told(able, self._asked(samples.QUESTION, model)))
        for name, reason in self._plan.runtimes.items():
            if name not in self._through:
                told.append(f"{name} not asked: {reason or 'usable here, and no model of this box comes through it'}")
        return "; ".join(told) or "there is none"

    def _able(self) -> list[tuple[str, str]]:
        """Models and runtimes that could answer from documents as uploads are classified, the preferred first."""
        decisions = self._administrator.call("GET", "/api/models/routing")["decisions"]
        usual = _first((each for each in decisions if each["classification"] == "internal"), "rule for internal documents")
        candidates = [each for each in (usual["winner"], *usual["others"]) if each and each["reason"] in _ABLE]
        return [(each["model"], each["runtime"]) for each in candidates]

    def _told(self, able: Sequence[tuple[str, str]], message_id: str) -> str:
        """The answer, and the runtime it must have come through."""
        model, said = self._answered(message_id)
        runtime = _first(
            (runtime for answering, runtime in able if answering == model), f"runtime that {model} could come through"
        )
        self._through.add(runtime)
        return f"{runtime}: {model} {said}"

    def _crash(self) -> str:
        """The worst moments: without a word in the middle of an answer, and by a fault in native code."""
        message = self._asked(samples.QUESTION, "")
        self._box.killed("worker-answers", signal.SIGKILL)
        self._box.killed("worker-ingest", signal.SIGSEGV)
        self._administrator.upload(self._collection, "after.txt", b"The south light is painted red every spring.\n")
        said = self._told(self._able(), message)
        self._settled()
        return f"worker-answers by SIGKILL, worker-ingest by SIGSEGV; afterwards {said}"

    def _export(self) -> str:
        officer = Visitor(self._box.url)
        officer.sign_in(_OFFICER, self._password)
        kinds = ("csv", "jsonl")
        return ", ".join(f"{kind} {len(officer.fetch('GET', f'/api/audit/export?format={kind}'))} bytes" for kind in kinds)

    def _backup(self) -> str:
        made = self._said("backup", "--out", str(self._box.data_dir.parent / f"{self._box.data_dir.name}.backup"))
        self._said("backup", "--verify", made["archive"])
        return f"{made['size_bytes']} bytes, {made['files']} files, read back whole"

    def _commands(self) -> str:
        """These run outside the seal, so that only the opt-outs keep their libraries quiet."""
        asked = ("ask", samples.QUESTION, "--as", _ADMINISTRATOR)
        codes = {words[0]: self._box.command(*words)[0] for words in (asked, ("doctor",), ("select", "--explain"))}
        return ", ".join(f"{name} exit code {code}" for name, code in codes.items())

    def _idle(self) -> str:
        time.sleep(self._plan.idle_s)
        return f"{self._plan.idle_s:.0f} s"

    def _stop(self) -> str:
        code = self._box.stop()
        if code:
            raise Unavailable(f"The box ended with exit code {code}.", code="proof.stop")
        return "exit code 0"

    def _asked(self, question: str, model: str) -> str:
        conversation = self._administrator.call("POST", "/api/conversations", {"model": model})
        asked = self._administrator.call("POST", f"/api/conversations/{conversation['id']}/messages", {"text": question})
        return str(asked["answer"]["id"])

    def _answered(self, message_id: str) -> tuple[str, str]:
        answer = self._administrator.answer(message_id)
        if answer.get("status") != "DONE":
            raise Unavailable(f"A question was not answered: {answer.get('reason')}.", code="proof.answer")
        return str(answer["model"]), f"cites {len(answer['citations'])}"

    def _settled(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            found: list[dict[str, Any]] = self._administrator.call("GET", "/api/documents")
            if all(document["status"] in _FINISHED for document in found):
                return found
            time.sleep(0.2)
        raise Unavailable("The files were not all read in time.", code="proof.files")


def _first(found: Iterable[_T], what: str) -> _T:
    for each in found:
        return each
    raise Unavailable(f"There is no {what}.", code="proof.missing")


def _person(name: str, password: str, role: str) -> dict[str, object]:
    return {"name": name, "password": password, "roles": [role]}


def _done(name: str, act: Callable[[], str]) -> Step:
    began = time.monotonic()
    try:
        held, detail = True, act()
    except (ApplianceError, KeyError, IndexError, ValueError, OSError) as error:  # the box's own words go into the report
        held, detail = False, error.sentence if isinstance(error, ApplianceError) else repr(error)
    return Step(name, held, detail, round(time.monotonic() - began, 1))
