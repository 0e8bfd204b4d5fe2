"""What is measured, as pure functions of rankings and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from appliance.language.squad import compared_words

_TOKEN_BUDGETS = (500, 1_000, 2_000)


@dataclass(slots=True)
class RankingMeasures:
    """Sums over questions of one way to rank. Each question tells which ranks hold its answer and how long the passages are."""

    questions: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    covered: Counter[int] = field(default_factory=Counter)
    reciprocal: float = 0.0

    def add(self, relevant: Sequence[bool], token_counts: Sequence[int]) -> None:
        """One question: for each passage, best first, whether it holds a gold span, and its length."""
        self.questions += 1
        rank = next((at for at, holds in enumerate(relevant, 1) if holds), None)
        if rank is None:
            return
        self.reciprocal += 1 / rank
        self.hits.update(depth for depth in (1, 5, 10) if rank <= depth)
        # a passage counts only if it and all before it fit whole
        needed = sum(token_counts[:rank])
        self.covered.update(budget for budget in _TOKEN_BUDGETS if needed <= budget)

    def report(self) -> dict[str, float | dict[str, float]]:
        """Shares of the questions seen."""
        total = max(self.questions, 1)
        return {
            **{f"hit_at_{depth}": round(self.hits[depth] / total, 4) for depth in (1, 5, 10)},
            "mrr": round(self.reciprocal / total, 4),
            "coverage_at_tokens": {str(budget): round(self.covered[budget] / total, 4) for budget in _TOKEN_BUDGETS},
        }


def exact_match(answer: str, gold: Iterable[str]) -> bool:
    """Whether the answer is one of the gold ones, after SQuAD's normalisation (Rajpurkar et al. 2016)."""
    return any(compared_words(answer) == compared_words(text) for text in gold)


def token_f1(answer: str, gold: Iterable[str]) -> float:
    """Best overlap of words with a gold answer, as the harmonic mean of precision and recall."""
    return max((_f1(compared_words(answer), compared_words(text)) for text in gold), default=0.0)


def _f1(ours: list[str], theirs: list[str]) -> float:
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0
