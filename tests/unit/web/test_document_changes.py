"""Progress tells what changed and nothing else; downloads keep their names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.documents.models import Document, DocumentStatus
from appliance.retention.rules import Rule
from appliance.retention.terms import Stays
from web.document_events import difference
from web.downloads import content_disposition

STAYS = Stays({"c": Rule(10)}, moment_ms=2)
FIRST = Document("a", "c", "a.txt", "text/plain", 1, "0" * 64, "p", 1, DocumentStatus.PENDING, "Waiting", 0, None, None, 0, 0)


def test_nothing_is_told_where_nothing_changed() -> None:
    changes = difference([FIRST], [FIRST], STAYS)
    assert (changes.changed, changes.removed) == ([], [])


def test_changed_new_and_removed_documents_are_told() -> None:
    second, third = replace(FIRST, id="b"), replace(FIRST, id="c")
    changes = difference([FIRST, second], [replace(FIRST, percent=40), third], STAYS)
    assert [(item.id, item.percent) for item in changes.changed] == [("a", 40), ("c", 0)]
    assert changes.removed == ["b"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plan.pdf", "attachment; filename=\"plan.pdf\"; filename*=UTF-8''plan.pdf"),
        ('a"b\\c;d.txt', "attachment; filename=\"a_b_c_d.txt\"; filename*=UTF-8''a%22b%5Cc%3Bd.txt"),
        ("überblick 1.txt", "attachment; filename=\"uberblick 1.txt\"; filename*=UTF-8''%C3%BCberblick%201.txt"),
        ("计划.md", "attachment; filename=\".md\"; filename*=UTF-8''%E8%AE%A1%E5%88%92.md"),
        (
            "evil\r\nSet-Cookie: a=b.txt",
            "attachment; filename=\"evilSet-Cookie: a=b.txt\"; filename*=UTF-8''evilSet-Cookie%3A%20a%3Db.txt",
        ),
        ("\u202egpj.exe", "attachment; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"),
    ],
)
def test_names_survive_in_both_forms(name: str, expected: str) -> None:
    assert content_disposition(name) == expected
