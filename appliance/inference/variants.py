"""One language model in several formats: which is fastest on this machine without answering worse than its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import SetupError
from appliance.inference.cores import available_cores
from appliance.inference.quality import MARGIN, load_questions

Progress = Callable[[str], None]
Step = Callable[..., dict[str, Any]]

# llama.cpp's numbers (enum llama_ftype) of formats whose kernels are rearranged for the processor
CONVERSIONS: Mapping[str, int] = {"Q4_0": 2, "Q8_0": 7}
# worth making of weights that have the bits to lose
FROM_MANY_BITS: Mapping[str, int] = {"Q4_0": 2, "Q4_K_M": 15, "Q8_0": 7}
_MANY_BITS = frozenset({"F32", "F16", "BF16", "Q8_0"})
# a typical answer, which the formats are compared by: so many tokens are read, so many written
_TYPICAL_PROMPT, _TYPICAL_ANSWER = 1000, 100
_RATES = ("prefill_tokens_per_s", "decode_tokens_per_s")
_PASSES = 3
"""How often all formats are timed, each in its turn: what else the machine does must not fall on one of them alone."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A format that was measured; `measured` gains `quality` and `questions` once it was asked."""

    format: str
    path: Path
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def typical_answer_s(self) -> float:
        prefill, decode = (self.measured[rate] for rate in _RATES)
        return _TYPICAL_PROMPT / prefill + _TYPICAL_ANSWER / decode

    def row(self) -> dict[str, Any]:
        """As the table of trials holds it."""
        return {"format": self.format} | {name: value for name, value in self.measured.items() if name != "context_tokens"}


def conversions_of(quantisation: str) -> Mapping[str, int]:
    """The formats worth trying for a source in this one."""
    wanted = FROM_MANY_BITS if quantisation in _MANY_BITS else CONVERSIONS
    return {name: number for name, number in wanted.items() if name != quantisation}


def try_formats(
    source: Path, shipped: str, conversions: Mapping[str, int], *, scratch: Path, progress: Progress, step: Step
) -> list[Trial]:
    """Convert and time each format, the source first; what fails on this machine is left out. Raises where nothing works."""
    trials, refused = [], list[SetupError]()
    for number, name in enumerate((shipped, *conversions), start=1):
        progress(f"Measuring the language model as {name} ({number} of {len(conversions) + 1})")
        try:
            path = source
            if name != shipped:
                path = scratch / f"{name}.gguf"
                step("requantise", source, path, conversions[name])
            trials.append(Trial(name, path, step("measure", path, available_cores(), 1)))
        except SetupError as error:
            progress(f"  {name} does not work on this machine: {error.sentence}")
            refused.append(error)
    if not trials:
        raise refused[0]
    for number in range(2, _PASSES + 1):
        progress(f"Measuring all of them again, in turns ({number} of {_PASSES})")
        for trial in trials:
            again = step("measure", trial.path, available_cores(), 1)
            trial.measured.update({rate: max(trial.measured[rate], again[rate]) for rate in _RATES})
    for trial in trials:
        prefill, decode = (trial.measured[rate] for rate in _RATES)
        progress(f"  {trial.format} reads {prefill:.0f}, writes {decode:.0f} tokens a second")
    return trials


def choose(trials: Sequence[Trial], shipped: str, questions: int | None, progress: Progress, step: Step) -> Trial:
    """The fastest that answers as well as the source, but for `MARGIN` or one question; asked in order of speed.

    Where the source itself does not work here there is nothing to compare with, and the one that answers best is taken.
    """
    by_speed = sorted(trials, key=lambda trial: trial.typical_answer_s)
    source = next((trial for trial in trials if trial.format == shipped), None)
    if source is None:
        return max(by_speed, key=lambda trial: ask(trial, questions, progress, step))
    if by_speed[0] is source:
        return source
    margin = max(MARGIN, 1 / len(load_questions(questions))) + 1e-6
    needed = ask(source, questions, progress, step) - margin
    for trial in by_speed:
        if trial is source or ask(trial, questions, progress, step) >= needed:
            return trial
        progress(f"  {trial.format} is faster and answers worse; it is not used")
    return source


def ask(trial: Trial, questions: int | None, progress: Progress, step: Step) -> float:
    """Share of the fixed questions answered rightly, asked once; a variant that fails at it answers nothing."""
    if "quality" not in trial.measured:
        progress(f"Asking {trial.format} the questions whose answers are known")
        try:
            trial.measured.update(step("quality", "llamacpp", trial.path, available_cores(), questions or 0))
        except SetupError as error:
            progress(f"  {trial.format} does not work on this machine: {error.sentence}")
            trial.measured["quality"] = 0.0
        progress(f"  {trial.measured['quality']:.0%} of {len(load_questions(questions))} answered rightly")
    return trial.measured["quality"]
