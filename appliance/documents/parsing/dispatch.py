"""Which parser reads which format. Each is imported only when a file needs it: the less code in the child, the better."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from appliance.documents.media_types import MediaType
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.messages import Answer
from appliance.documents.rejections import rejected
from appliance.language.seen import one_line

Report = Callable[[Answer], None]
Parser = Callable[[str, Draft, Report], str]
"""Takes the path of a file, puts its pages on the draft, reports progress and returns the file's own title, or nothing."""

PARSERS: dict[MediaType, tuple[str, str]] = {
    MediaType.PDF: ("pdf", "parse_pdf"),
    MediaType.DOCX: ("word", "parse_docx"),
    MediaType.PPTX: ("slides", "parse_pptx"),
    MediaType.XLSX: ("sheets", "parse_xlsx"),
    MediaType.ODT: ("opendocument", "parse_odt"),
    MediaType.EPUB: ("epub", "parse_epub"),
    MediaType.HTML: ("html", "parse_html"),
    MediaType.MARKDOWN: ("markdown", "parse_markdown"),
    MediaType.TEXT: ("plain", "parse_text"),
    MediaType.CSV: ("plain", "parse_csv"),
    MediaType.EML: ("mail", "parse_mail"),
}


def parse(media_type: str, path: str, report: Report, *, output_bytes: int) -> str:
    """Report every page of the file and return the title it gives itself. Raises `DocumentRejected`."""
    module, function = PARSERS[MediaType(media_type)]
    parser: Parser = getattr(import_module(f"appliance.documents.parsing.{module}"), function)
    draft = Draft(report, output_bytes=output_bytes)
    title = parser(path, draft, report)
    draft.finish()
    if draft.blank:
        raise rejected("document.no_text" if media_type == MediaType.PDF else "document.empty")
    return one_line(title)
