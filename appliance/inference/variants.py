"""One language model in several forms, each made, timed and asked in turn; which of them is kept says `winner.decide`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, InvalidInput, SetupError
from appliance.inference.cores import available_cores
from appliance.inference.quality import load_questions
from appliance.inference.winner import Contender, Decision, Outcome, Verdict, decide, far_behind

Progress = Callable[[str], None]
Step = Callable[..., dict[str, Any]]

LLAMACPP, GENAI = "llamacpp", "genai"
RUNTIMES: Mapping[str, str] = {"gguf": LLAMACPP, "genai": GENAI}
"""Through which runtime versions of a format are measured."""

_TITLES = {LLAMACPP: "llama.cpp", GENAI: "ONNX Runtime GenAI"}
_RATES = ("prefill_tokens_per_s", "decode_tokens_per_s")
_PASSES = 3
"""How often all variants are timed, each in its turn: what else the machine does must not fall on one of them alone."""


@dataclass(slots=True)
class Trial:
    """A variant: a file or folder at `path`, empty where it is not made. `make` writes it; `version` is the id of a stored one.

    `measured` gains `quality` and `questions` once it was asked, `verdict` stays None until there is one.
    """

    format: str
    runtime: str = LLAMACPP
    path: Path = Path()
    make: Callable[[], object] | None = None
    version: str = ""
    verdict: Verdict | None = None
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """As people and the rule call it."""
        return f"{self.format} in {_TITLES.get(self.runtime, self.runtime)}" + (f" ({self.version})" if self.version else "")

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.path.iterdir()) if self.path.is_dir() else self.path.stat().st_size

    @property
    def reason(self) -> str:
        """Why its verdict is what it is."""
        return self.verdict.reason if self.verdict else ""

    def contender(self) -> Contender:
        return Contender(
            label=self.label,
            prefill_tokens_per_s=self.measured["prefill_tokens_per_s"],
            decode_tokens_per_s=self.measured["decode_tokens_per_s"],
            memory_mb=self.measured.get("memory_mb", 0),
            size_bytes=self.size_bytes,
            quality=self.measured.get("quality"),
            four_at_once=self.measured.get("four_at_once", 1.0),
        )

    def row(self) -> dict[str, Any]:
        """As the table of trials holds it."""
        told = {"outcome": self.verdict.outcome.value, "reason": self.verdict.reason} if self.verdict else {}
        stored = {"version": self.version} if self.version else {}
        return {"format": self.format, "runtime": self.runtime, **stored, **self.measured, **told}


def left_out(name: str, reason: str, runtime: str = LLAMACPP) -> Trial:
    """A variant that is not made."""
    return Trial(name, runtime, verdict=Verdict(Outcome.LEFT_OUT, reason))


@dataclass(slots=True)
class Contest:
    """The variants of one model, the source first; `questions` is how many of the fixed ones are asked, None for all.

    What a step does not understand (`SetupError`) ends a variant, not the contest.
    """

    trials: list[Trial]
    room_mb: int
    step: Step
    progress: Progress
    questions: int | None = None
    passes: int = _PASSES

    @property
    def running(self) -> list[Trial]:
        """Those that can still win."""
        return [trial for trial in self.trials if trial.verdict is None]

    def time(self) -> None:
        """Make and time each, then all that are left again, in turns. Raises the source's `SetupError` where nothing works."""
        refused, waiting = list[SetupError | InvalidInput](), self.running
        for number, trial in enumerate(waiting, start=1):
            self.progress(f"Measuring {trial.label} ({number} of {len(waiting)})")
            try:
                if trial.make is not None:
                    trial.make()
                trial.measured |= self._timed(trial)
            except (SetupError, InvalidInput) as error:  # a file that a full disk has cut off is no model
                self._refuse(trial, error)
                refused.append(error)
        if not self.running:
            raise refused[0]
        self._give_up_slow_ones()
        for number in range(2, self.passes + 1):
            self.progress(f"Measuring all of them again, in turns ({number} of {self.passes})")
            for trial in self.running:
                self._again(trial)
        for trial in self.running:
            prefill, decode = (trial.measured[rate] for rate in _RATES)
            self.progress(f"  {trial.label} reads {prefill:.0f}, writes {decode:.0f} tokens a second")

    def keep_company(self) -> None:
        """Four answers at once, which a runtime may be good at or not: told apart where those that answer well use several."""
        labels = self._decided().able
        able = [trial for trial in self.running if trial.label in labels]
        if len({trial.runtime for trial in able}) < 2:
            return
        for trial in able:
            self.progress(f"Asking {trial.label} four questions at once")
            try:
                trial.measured |= self.step("four_at_once", trial.runtime, trial.path, available_cores(), min(self.passes, 2))
            except SetupError as error:
                self._refuse(trial, error)

    def ask(self, trial: Trial) -> None:
        """The fixed questions, once; a variant that fails at it answers nothing."""
        if "quality" in trial.measured:
            return
        self.progress(f"Asking {trial.label} the questions whose answers are known")
        count = len(load_questions(self.questions))
        try:
            trial.measured |= self.step("quality", trial.runtime, trial.path, available_cores(), self.questions or 0)
        except SetupError as error:
            self._refuse(trial, error)
            return
        self.progress(f"  {trial.measured['quality']:.0%} of {count} answered rightly")

    def winner(self) -> Trial | None:
        """The one that `decide` names, every other judged; None where nothing fits."""
        decision = self._decided()
        contenders = {trial.label: trial for trial in self.running}
        for label, trial in contenders.items():
            trial.verdict = decision.verdicts[label]
        return contenders[decision.winner] if decision.winner else None

    def _decided(self) -> Decision:
        """`decide`, asked again as long as it wants more questions to be answered."""
        count = len(load_questions(self.questions))
        while True:
            contenders = {trial.label: trial for trial in self.running}
            measured = [trial.contender() for trial in contenders.values()]
            decision = decide(measured, self.trials[0].label, questions=count, room_mb=self.room_mb)
            if not decision.ask:
                return decision
            for label in decision.ask:
                self.ask(contenders[label])

    def _timed(self, trial: Trial) -> dict[str, Any]:
        return self.step("measure", trial.runtime, trial.path, available_cores(), 1)

    def _again(self, trial: Trial) -> None:
        try:
            again = self._timed(trial)
        except SetupError as error:
            self._refuse(trial, error)
            return
        trial.measured |= {rate: max(trial.measured[rate], again[rate]) for rate in _RATES}

    def _give_up_slow_ones(self) -> None:
        """Drop what is far behind the best that answers well enough; whatever is faster may turn out to have lost its wits.

        Both are timed once more before, so that a busy moment does not decide.
        """
        winner = self._decided().winner
        best = next((trial for trial in self.running if trial.label == winner), None)
        for trial in self.running:
            if best is None or trial is best or trial is self.trials[0]:  # the first is what the others are compared with
                continue
            if far_behind(trial.contender(), best.contender()) is None:
                continue
            self._again(best)
            self._again(trial)
            if trial.verdict is None and best.verdict is None:
                trial.verdict = far_behind(trial.contender(), best.contender())
            if trial.verdict is not None:
                self.progress(f"  {trial.label} is given up. {trial.verdict.reason}")
                if trial.make is not None:
                    _remove(trial.path)

    def _refuse(self, trial: Trial, error: ApplianceError) -> None:
        impossible = error.stable_code == "model.not_convertible"
        trial.verdict = Verdict(Outcome.LEFT_OUT if impossible else Outcome.FAILED, error.sentence)
        what = "is not made" if impossible else "does not work on this machine"
        self.progress(f"  {trial.label} {what}: {error.sentence}")
        if trial.make is not None:
            _remove(trial.path)  # whatever there is of it


def rows(trials: Sequence[Trial]) -> tuple[dict[str, Any], ...]:
    """The table of trials."""
    return tuple(trial.row() for trial in trials)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
