"""`cloister evaluate`: how good are retrieval and answers on a file of questions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from appliance.cli.output import Output
from appliance.evaluation.evaluate import evaluate
from appliance.inference.preparation import prepare_models
from appliance.settings import load_settings


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="SQuAD format")
    parser.add_argument("--answers", type=int, default=0, metavar="N", help="also answer N of the questions")
    parser.add_argument(
        "--withhold",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="leave the gold paragraphs of this share of the questions out, so that nothing answers them",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which questions these are")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Index the file in a throw-away directory, never in the box's own; print the figures."""
    settings = load_settings(arguments.data)
    prepare_models(settings.models_dir, output.progress)
    report = evaluate(
        arguments.dataset,
        settings=settings,
        answers=arguments.answers,
        withheld_share=arguments.withhold,
        seed=arguments.seed,
        progress=output.progress,
    )
    lines = [f"{report['questions']} questions over {report['chunks']} chunks, {report['answerable']} with an answer there"]
    lines += _lines(report["retrieval"])
    for language, parts in report["languages"].items():
        lines += [f"in {language}:", *_lines(parts)]
    lines.append(f" search: p50 {report['search_ms']['p50']:.1f} ms, p95 {report['search_ms']['p95']:.1f} ms")
    silence = report["silence"]
    told = {"is an answer": silence["false"]} if report["answerable"] else {}
    if report["questions"] > report["answerable"]:
        told["is none"] = silence["right"]
    lines.append("silent " + ", ".join(f"where there {kind}: {share:.3f}" for kind, share in told.items()))
    if "answers" in report:
        answers = report["answers"]
        lines.append(f"answers that hold a gold answer: {answers['contains_answer']:.3f} of the questions with one")
        lines.append("answers: " + ", ".join(f"{name} {value}" for name, value in answers.items() if name != "contains_answer"))
        lines.append(
            "(exact_match and f1 hold whole sentences against gold answers of a few words, and are low even where all is right)"
        )
    output.result(report, *lines)
    return 0


def _lines(parts: dict[str, Any]) -> list[str]:
    return [
        f"{part:>7}: hit@1 {figures['hit_at_1']:.3f}  hit@5 {figures['hit_at_5']:.3f}  hit@10 {figures['hit_at_10']:.3f}  "
        f"MRR {figures['mrr']:.3f}  within 1000 tokens {figures['coverage_at_tokens']['1000']:.3f}"
        for part, figures in parts.items()
    ]
