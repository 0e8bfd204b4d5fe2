"""What the check of sentences lets through: sentences of documents, altered so that they are no longer true.

Target: of what is false, at most 2 % is taken for supported, strictly, as the default model is checked. Every sentence of the
sample handbook, or of the paragraphs of a file in SQuAD's form (`--dataset`), is altered in each way that it allows, by a fixed
seed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.administration.samples import HANDBOOK_DIR
from appliance.chat.grounding import find_support
from appliance.chat.sentences import split_sentences
from appliance.chat.words import content_terms, content_words, is_negated, numbers
from bench.handbook_content import STAFF_HANDBOOK

_LEAST_CONTENT, _LONGEST_WORDS, _PARAGRAPHS = 4, 60, 250
_VERB = re.compile(r"\b(is|are|may|must|has|have|can|will|was|were)\b")
_DENIAL = re.compile(r"\b(not|never|no)\b ?")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+")
_OPPOSITES = (
    "allowed forbidden|paid unpaid|open closed|rises falls|free charged|with without|up down|inside outside|daily monthly|"
    "begins ends|increase decrease|increased decreased|higher lower|inhibits promotes|positive negative|reduced raised|high low|"
    "common rare|effective useless|small large|may must|before after|above below|least most|more less|early late|new old|"
    "weeks days|hours days|months years|minutes hours"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, help="paragraphs of this file instead of the sample handbook")
    given = parser.parse_args()
    passages = _paragraphs(given.dataset) if given.dataset else _handbook()
    tried: Counter[str] = Counter()
    taken: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for kind, sentence, passage in altered(passages, random.Random(1)):
        tried[kind] += 1
        for strict, counted in taken.items():
            counted[kind] += find_support(sentence, [passage], strict=strict) is not None
    false = tried.total() - tried["unchanged"]
    result = {"bench": "grounding", "altered": false}
    for strict, counted in taken.items():
        name = "strictly" if strict else "widely"
        result[name] = round((counted.total() - counted["unchanged"]) / false, 4)
        result[f"{name}_by_kind"] = {kind: round(counted[kind] / number, 3) for kind, number in sorted(tried.items())}
    print(json.dumps(result))


def altered(passages: Sequence[str], chance: random.Random) -> Iterator[tuple[str, str, str]]:
    """What was done, the sentence after it, and the passage it is from; first each as it stands."""
    vocabulary = [word for passage in passages for _, word in content_words(passage) if word.islower() and word.isalpha()]
    contrary = _contraries()
    for passage in passages:
        pieces = [piece.text.strip() for piece in split_sentences(passage) if not piece.row]
        amounts = sorted({number for piece in pieces for number in numbers(piece)})
        for text, following in zip(pieces, [*pieces[1:], ""], strict=True):
            held = content_words(text)
            if len(held) < _LEAST_CONTENT or len(text.split()) > _LONGEST_WORDS or text.endswith("?"):
                continue
            changes = {
                "unchanged": text,
                "negated": "" if is_negated(text) else _VERB.sub(r"\1 not", text, count=1),
                "negation gone": _DENIAL.sub("", text, count=1) if is_negated(text) else "",
                "number made up": _replaced(text, sorted(numbers(text)), [f"{chance.randint(3, 97)}7"], chance),
                "number of the passage": _replaced(text, sorted(numbers(text)), [n for n in amounts if n not in text], chance),
                "name of the passage": _replaced(
                    text, _NAME.findall(text), [name for name in _NAME.findall(passage) if name not in text], chance
                ),
                "word made up": _replaced(
                    text, [word for _, word in held if word.islower()], _foreign(vocabulary, passage), chance
                ),
                "opposite": _turned(text, contrary, chance),
                "crossed with the next": _crossed(text.split(), following.split()),
            }
            for kind, sentence in changes.items():
                if sentence and (sentence != text or kind == "unchanged"):
                    yield kind, sentence, passage


def _foreign(vocabulary: Sequence[str], passage: str) -> list[str]:
    own = set(content_terms(passage))
    return [word for word in vocabulary if own.isdisjoint(content_terms(word))]


def _replaced(text: str, parts: Sequence[str], others: Sequence[str], chance: random.Random) -> str:
    if not parts or not others:
        return ""
    part = re.escape(chance.choice(parts))
    return re.sub(rf"(?<!\w){part}(?!\w)", chance.choice(others), text, count=1)


def _turned(text: str, contrary: dict[str, str], chance: random.Random) -> str:
    found = [word for word in re.findall(r"[a-z]+", text) if word in contrary]
    word = chance.choice(found) if found else ""
    return _replaced(text, [word], [contrary[word]], chance) if word else ""


def _contraries() -> dict[str, str]:
    pairs = [pair.split() for pair in _OPPOSITES.split("|")]
    return {one: other for pair in pairs for one, other in (pair, pair[::-1])}


def _crossed(first: Sequence[str], second: Sequence[str]) -> str:
    """The beginning of a sentence and the end of the next."""
    if min(len(first), len(second)) <= _LEAST_CONTENT:
        return ""
    return " ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])


def _handbook() -> list[str]:
    pages = [
        " ".join(re.sub(r"</?b>", "", paragraph) for paragraph in paragraphs if isinstance(paragraph, str))
        for _, paragraphs in STAFF_HANDBOOK
    ]
    texts = [(HANDBOOK_DIR / name).read_text("utf-8") for name in ("leave-and-absence.md", "visitors-and-contractors.txt")]
    return pages + [
        part.replace("\n", " ") for text in texts for part in text.split("\n\n") if len(part.split()) > _LEAST_CONTENT
    ]


def _paragraphs(dataset: Path) -> list[str]:
    """Pieces of its paragraphs of eight sentences, evenly spread."""
    whole = [
        paragraph["context"] for article in json.loads(dataset.read_text("utf-8"))["data"] for paragraph in article["paragraphs"]
    ]
    parts = []
    for text in whole:
        pieces = split_sentences(text)
        parts += [text[pieces[at].start : pieces[min(at + 7, len(pieces) - 1)].end] for at in range(0, len(pieces), 8)]
    return parts[:: max(1, len(parts) // _PARAGRAPHS)]


if __name__ == "__main__":
    main()
