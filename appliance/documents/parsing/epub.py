"""EPUB: the files of the spine in reading order, one page each (EPUB 3.3, sections 4 and 5).

Title pages and the like are among them, so that their numbers are not those of the book's chapters.
"""

from __future__ import annotations

from posixpath import dirname, join, normpath
from urllib.parse import unquote

from appliance.documents.parsing.archives import Archive, open_archive
from appliance.documents.parsing.dispatch import Report
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.encoding import declared_encoding, decode
from appliance.documents.parsing.html import add_html
from appliance.documents.parsing.messages import Progress
from appliance.documents.rejections import rejected

_CONTAINER = "META-INF/container.xml"
_MIME = b"application/epub+zip"
_ROOT_FILE = "{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"
_OPF = "{http://www.idpf.org/2007/opf}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_METHOD = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
_FONT_MASKS = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
_CHAPTER_TYPES = {"application/xhtml+xml", "text/html"}


def parse_epub(path: str, draft: Draft, report: Report) -> str:
    with open_archive(path, main=_CONTAINER) as archive:
        if "mimetype" in archive.names and archive.read("mimetype").strip() != _MIME:
            raise rejected("document.mislabelled")
        _refuse_protected(archive)
        root = archive.xml(_CONTAINER).find(f".//{_ROOT_FILE}")
        package_name = root.get("full-path", "") if root is not None else ""
        package = archive.xml(package_name)
        items = {
            item.get("id", ""): normpath(join(dirname(package_name), unquote(item.get("href", ""))))
            for item in package.iter(f"{_OPF}item")
            if item.get("media-type") in _CHAPTER_TYPES
        }
        spine = [entry.get("idref", "") for entry in package.iter(f"{_OPF}itemref")]
        chapters = [items[reference] for reference in spine if items.get(reference) in archive.names]
        if not chapters:
            raise rejected("document.corrupt")
        for number, chapter in enumerate(chapters, start=1):
            draft.page("Untitled section", keep_blank=True, untitled=True)
            content = archive.read(chapter)
            add_html(decode(content, declared=declared_encoding(content)), draft)
            report(Progress(number, len(chapters)))
        return package.findtext(f".//{_TITLE}", default="") or ""


def _refuse_protected(archive: Archive) -> None:
    """Fonts may be masked by rule; anything else that is encrypted is copy protection."""
    name = "META-INF/encryption.xml"
    if name in archive.names:
        methods = {method.get("Algorithm") for method in archive.xml(name).iter(_METHOD)}
        if methods - _FONT_MASKS:
            raise rejected("document.encrypted")
