from __future__ import annotations

import pytest

from appliance.documents.media_types import EXTENSIONS, MediaType, check_upload, file_name
from appliance.errors import DocumentRejected
from tests.documents_samples import SAMPLES, archive, pdf, text

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"", "document.empty"),
        ("a.txt", b" \r\n\t\n", "document.empty"),
        ("a.pdf", b"", "document.empty"),
        ("a.exe", b"MZ", "document.unsupported"),
        ("noextension", b"text", "document.unsupported"),
        ("a.doc", COMPOUND, "document.unsupported"),
        ("a.txt", pdf(), "document.mislabelled"),
        ("a.txt", PNG, "document.mislabelled"),
        ("a.md", archive({"x": "y"}), "document.mislabelled"),
        ("a.pdf", text(), "document.mislabelled"),
        ("a.pdf", archive({"x": "y"}), "document.mislabelled"),
        ("a.docx", text(), "document.mislabelled"),
        ("a.docx", pdf(), "document.mislabelled"),
        ("a.html", b"no markup here at all", "document.mislabelled"),
        ("a.eml", b"just a letter, not a mail", "document.mislabelled"),
        ("a.csv", b"a,b\x00c\n" * 10, "document.mislabelled"),
        ("a.xlsx", COMPOUND, "document.encrypted"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(name, content, code):
    with pytest.raises(DocumentRejected) as refused:
        check_upload(name, content[:4096])
    assert refused.value.stable_code == code
    assert refused.value.sentence.endswith(".")


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_what_its_name_says(name):
    assert check_upload(name, SAMPLES[name]()[:4096]) == EXTENSIONS["." + name.split(".")[1]]


def test_the_extension_may_be_in_capitals_and_text_in_utf_16():
    assert check_upload("A.TXT", "Grüße".encode("utf-16")) is MediaType.TEXT


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\x\\plan.pdf", "plan.pdf"),
        ("a\u202etxt.exe\n.pdf", "a txt.exe .pdf"),
        ("  two   spaces .md ", "two spaces .md"),
        ("/", ""),
    ],
)
def test_names_lose_their_path_and_their_tricks(given, kept):
    assert file_name(given) == kept


def test_long_names_keep_their_extension():
    shortened = file_name("n" * 400 + ".pdf")
    assert len(shortened) == 255
    assert shortened.endswith("n.pdf")
