"""A crowd at the language model: what 1, 4, 16 and 32 people get who ask at the same moment, as shares of one run.

Each asks with 300 tokens of prompt, 120 of them everybody's, and is told 64. Every answer has to come, whatever the number; how
long each waits for the first token, and how many tokens come in a second for all together, are told as multiples of what one
person gets. `fair` is of one who asks eight things at the moment seven others ask one each: how much later than the mean
of the seven the mean of the eight begins (above 1: those who ask little come first).
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading

from appliance.inference.cores import available_cores
from appliance.inference.llamacpp.runtime import LlamaCppRuntime
from bench.inference import ANSWER, conversation, middle
from bench.inference_ways import Told, at_once, default_weights, figures_of, runtime, through

CROWDS = (1, 4, 16, 32)
_MANY, _OTHERS = 8, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    engine = runtime(default_weights(), drafting=False)
    at_once(through(engine), [conversation(0, 0)], ANSWER)  # warms up
    figures: dict[int, list[dict[str, float]]] = {crowd: [] for crowd in CROWDS}
    fair = []
    for number in range(1, given.rounds + 1):
        for crowd in CROWDS:
            prompts = [conversation(crowd * 100 + number, person) for person in range(crowd)]
            told = at_once(through(engine), prompts, ANSWER)
            assert len(told) == crowd, "an answer did not come"
            figures[crowd].append(figures_of(told))
        fair.append(_fairness(engine, number))
    engine.close()
    one = {name: middle([figure[name] for figure in figures[1]]) for name in ("rate", "first")}
    print(
        json.dumps(
            {
                "bench": "crowd",
                "cores": available_cores(),
                "rounds": given.rounds,
                "one": {"tokens_per_s": round(one["rate"], 1), "first_token_s": round(one["first"], 2)},
                "tokens_per_s_of_one": _shares(figures, "rate", one["rate"]),
                "first_token_of_one": _shares(figures, "first", one["first"]),
                "worst_first_token_s": {crowd: middle([figure["worst"] for figure in figures[crowd]], 1) for crowd in CROWDS},
                "fair": middle(fair),
            }
        )
    )


def _shares(figures: dict[int, list[dict[str, float]]], name: str, of: float) -> dict[int, float]:
    return {crowd: round(middle([figure[name] for figure in figures[crowd]]) / of, 2) for crowd in CROWDS}


def _fairness(engine: LlamaCppRuntime, number: int) -> float:
    """One person's eight questions, put in line before seven other people's."""
    ask, begun = through(engine), threading.Barrier(_MANY + 1)
    told: dict[int, Told] = {}

    def one(place: int, person: str) -> None:
        if person == "many":
            begun.wait()
        told[place] = ask(conversation(900 + number, place), ANSWER, person)

    many = [threading.Thread(target=one, args=(place, "many")) for place in range(_MANY)]
    for thread in many:
        thread.start()
    begun.wait()
    others = [threading.Thread(target=one, args=(_MANY + place, f"other {place}")) for place in range(_OTHERS)]
    for thread in others:
        thread.start()
    for thread in (*many, *others):
        thread.join()
    late = statistics.mean(told[place].first for place in range(_MANY))
    return late / statistics.mean(told[place].first for place in range(_MANY, _MANY + _OTHERS))


if __name__ == "__main__":
    main()
