"""Why a file cannot become a document: one stable code and one sentence a person understands for each reason."""

from __future__ import annotations

from appliance.errors import DocumentRejected

SENTENCES: dict[str, str] = {
    "document.empty": "The file is empty.",
    "document.too_large": "The file holds more than this box is set to read.",
    "document.encrypted": "The file is protected by a password; save it without one and upload it again.",
    "document.corrupt": "The file is damaged and could not be read.",
    "document.mislabelled": "The content of the file does not match its name; check the file extension.",
    "document.unsupported": (
        "This kind of file cannot be read. Supported are PDF, DOCX, PPTX, XLSX, ODT, HTML, Markdown, plain text, CSV, EML"
        " and EPUB."
    ),
    "document.unsafe": "The file is built to exhaust or to mislead the program that opens it, so it was not read.",
    "document.macros": (
        "The file carries macros, which are programs. Save it without them (as DOCX, XLSX, PPTX or ODT) and upload it again."
    ),
    "document.too_many_pages": "The file has more than 6,000 pages. Divide it and upload its parts.",
    "document.no_text": "No text was found in the file. A scanned document has to go through text recognition (OCR) first.",
    "document.parser_timeout": "Reading the file took longer than allowed.",
    "document.parser_memory": "Reading the file needed more memory than allowed.",
    "document.parser_crashed": "The file made the program that reads it fail.",
}


def rejected(code: str) -> DocumentRejected:
    """The error for a reason; an unknown code counts as a failed parser, since codes also come from the child."""
    known = code if code in SENTENCES else "document.parser_crashed"
    return DocumentRejected(SENTENCES[known], code=known)
