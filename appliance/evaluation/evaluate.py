"""`cloister evaluate`: index a question set in a throw-away data directory, search every question, report shares."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bootstrap import Appliance, open_appliance
from appliance.chat.finding import best_answerability
from appliance.errors import InvalidInput
from appliance.evaluation.answers import chosen, grade_answers
from appliance.evaluation.corpus import Corpus, index_dataset
from appliance.evaluation.dataset import Dataset, load_dataset, withhold
from appliance.evaluation.measures import RankingMeasures
from appliance.evaluation.trade_off import trade_off
from appliance.identity.models import Principal
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.models import Hit
from appliance.retrieval.pieces import embedded_question
from appliance.retrieval.terms import question_terms
from appliance.settings import Settings

_DEPTH = 100  # passages looked at per question
_HITS = 10
_RANKINGS = ("vector", "words", "fused")


def evaluate(
    dataset: Path,
    *,
    settings: Settings,
    answers: int = 0,
    withheld_share: float = 0.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The figures for `dataset`; models come from `settings.models_dir`, everything else is thrown away.

    `withheld_share` of the answerable questions lose their gold paragraphs, drawn by `seed`. Raises `InvalidInput` for a file
    that is not in SQuAD format, a negative number of answers and a share that is none.
    """
    if answers < 0:
        raise InvalidInput("The number of answers cannot be negative.", code="evaluation.answers")
    loaded = withhold(load_dataset(dataset), withheld_share, seed)
    with tempfile.TemporaryDirectory(prefix="cloister-evaluate-") as directory:
        data_dir = Path(directory) / "data"
        data_dir.mkdir(mode=0o700)
        (data_dir / "models").symlink_to(settings.models_dir)
        appliance = open_appliance(replace(settings, data_dir=data_dir), create=True)
        try:
            person = appliance.setup.complete(appliance.setup.make_link(), "evaluation", secrets.token_urlsafe(32))
            corpus = index_dataset(appliance, person, loaded, progress)
            report = _retrieval(appliance, person, corpus, loaded, progress)
            report["silence"] = _silence(appliance, person, corpus, loaded)
            if answers:
                questions = chosen(loaded.questions, answers)
                report["answers"] = grade_answers(appliance, person, corpus, questions, progress)
            return report
        finally:
            appliance.close()


def _retrieval(
    appliance: Appliance, person: Principal, corpus: Corpus, dataset: Dataset, progress: Callable[[str], None]
) -> dict[str, Any]:
    index = SearchIndex()
    scope = {corpus.collection_number}
    measures = {name: RankingMeasures() for name in _RANKINGS}
    by_language: dict[str, dict[str, RankingMeasures]] = {}
    answerable = [question for question in dataset.questions if question.answers]
    elapsed_ms = []
    for at, question in enumerate(answerable, 1):
        started = time.perf_counter()
        appliance.search.search(person, question.text, _HITS, collection_id=corpus.collection_id)
        elapsed_ms.append(1_000 * (time.perf_counter() - started))
        vector = embedded_question(appliance.embedder, question.text).vector
        with appliance.database.read() as connection:
            view = index.view(connection, scope, made_by=appliance.embedder.sha256)
            rankings = {
                "vector": view.nearest(vector, _DEPTH).ids,
                "words": view.matching(question_terms(question.text), _DEPTH).ids,
            }
        rankings["fused"] = appliance.search.rank(scope, question.text).ids[:_DEPTH]
        for name, ids in rankings.items():
            ranked = [corpus.passages[chunk_id] for chunk_id in ids.tolist()]
            relevant, lengths = [passage.holds_answer(question) for passage in ranked], [item.token_count for item in ranked]
            measures[name].add(relevant, lengths)
            language = dataset.articles[question.article].language
            if language:
                own = by_language.setdefault(language, {name: RankingMeasures() for name in _RANKINGS})
                own[name].add(relevant, lengths)
        if at % 100 == 0:
            progress(f"Searched for {at} of {len(answerable)} questions")
    return {
        "questions": len(dataset.questions),
        "answerable": len(answerable),
        "chunks": len(corpus.passages),
        "documents": len(dataset.articles),
        "retrieval": {name: measure.report() for name, measure in measures.items()},
        "languages": {
            language: {name: measure.report() for name, measure in own.items()} for language, own in sorted(by_language.items())
        },
        "search_ms": {
            f"p{share}": round(float(np.percentile(elapsed_ms, share)), 2) if elapsed_ms else 0.0 for share in (50, 95)
        },
    }


def _silence(appliance: Appliance, person: Principal, corpus: Corpus, dataset: Dataset) -> dict[str, Any]:
    """Of the questions with and without an answer in the set, the shares that are met with silence (`trade_off`)."""
    scores: dict[bool, list[float]] = {True: [], False: []}

    def search(query: str) -> list[Hit]:
        return appliance.search.search(person, query, appliance.settings.passages_limit, collection_id=corpus.collection_id)

    for question in dataset.questions:
        scores[bool(question.answers)].append(best_answerability(question.text, search))
    return trade_off(scores[True], scores[False], appliance.silence.threshold)
