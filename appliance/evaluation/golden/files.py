"""Golden questions as files: SQuAD's JSON as `cloister evaluate` reads it, and CSV for spreadsheets.

In JSON an article is a document. Where its title is the name of a document of the collection, or that name without its ending,
that document is expected; else the answers alone are. CSV has a first line that names the columns `question`, `answers` (several
separated by a vertical bar, which no answer can hold), `document`, `page` and `silent` (yes or no); `question` must be there, the
others may be missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from appliance.administration.golden.checking import SEPARATOR
from appliance.administration.golden.models import Expected
from appliance.errors import InvalidInput
from appliance.evaluation.dataset import parse_dataset

COLUMNS = ("question", "answers", "document", "page", "silent")
_WORDS = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True, "silent": True}


def read(content: bytes, form: str, documents: Collection[str]) -> list[Expected]:
    """The questions of a file; `form` is "json" or "csv". Raises `InvalidInput` with a sentence that names the place."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("The file is not text in UTF-8.", code="golden.file") from None
    if form == "json":
        return _from_json(text, documents)
    if form == "csv":
        try:
            return list(_from_csv(text))
        except csv.Error as error:
            raise InvalidInput(f"The file cannot be read as CSV: {error}.", code="golden.file") from None
    raise InvalidInput("Golden questions are read from JSON and from CSV files.", code="golden.file")


def written(questions: Sequence[Expected]) -> str:
    """The questions as CSV, which says all of them: SQuAD's form knows neither pages nor documents without an answer."""
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(COLUMNS)
    for item in questions:
        fields = (item.text, f" {SEPARATOR} ".join(item.answers), item.document, item.page or "", "yes" if item.silent else "no")
        writer.writerow([_harmless(str(field)) for field in fields])
    return content.getvalue()


def _from_json(text: str, documents: Collection[str]) -> list[Expected]:
    dataset = parse_dataset(text, "The file")
    names = {PurePosixPath(name).stem.casefold(): name for name in documents} | {name.casefold(): name for name in documents}
    found = []
    for question in dataset.questions:
        document = names.get(dataset.articles[question.article].title.casefold(), "")
        answers = tuple(dict.fromkeys(span.text for span in question.answers))
        found.append(Expected(question.text, answers, document if answers else "", None, silent=not answers))
    return found


def _from_csv(text: str) -> Iterable[Expected]:
    head = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    named = [name.strip().lower() for name in rows.fieldnames or ()]
    if "question" not in named or not set(named) <= set(COLUMNS):
        raise InvalidInput(f"The first line of the file must name columns among {', '.join(COLUMNS)}.", code="golden.file")
    rows.fieldnames = named
    for row in rows:
        if any(row.get(None) or ()):  # where csv keeps what no column is named for
            raise InvalidInput(
                f"Line {rows.line_num} has more fields than the first line names; what holds a comma stands in quotes.",
                code="golden.file",
            )
        values = {name: (value or "").strip() for name, value in row.items() if name}
        silent, page = _WORDS.get(values.get("silent", "").lower()), values.get("page", "")
        if silent is None or (page and not (page.isascii() and page.isdigit())):
            raise InvalidInput(f"Line {rows.line_num}: silent is yes or no, page a number.", code="golden.file")
        answers = tuple(part.strip() for part in values.get("answers", "").split(SEPARATOR) if part.strip())
        yield Expected(values["question"], answers, values.get("document", ""), int(page) if page else None, silent)


def _harmless(field: str) -> str:
    """A spreadsheet would take such a field for a formula; `_from_csv` strips the space again."""
    return f" {field}" if field[:1] in {"=", "+", "-", "@", "\t", "\r"} else field
