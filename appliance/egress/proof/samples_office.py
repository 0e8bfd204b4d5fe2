"""Office documents and a book, as ZIP archives of XML, with pictures, templates and tables that lie elsewhere."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_MAIN = "application/vnd.openxmlformats-officedocument"


def docx(sentence: str, url: str) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = (
        f'{_XML}<w:document xmlns:w="{word}" xmlns:r="{_OFFICE}" xmlns:a="{_DRAWING}"><w:body><w:p><w:r><w:t>{sentence}</w:t>'
        f'</w:r></w:p><w:p><w:r><w:drawing><a:blip r:link="rId1"/></w:drawing></w:r></w:p>'
        f'<w:p><w:r><w:instrText>INCLUDEPICTURE "{url}/field.png" \\d</w:instrText></w:r></w:p></w:body></w:document>'
    )
    elsewhere = {"image": f"{url}/picture.png", "attachedTemplate": f"{url}/template.dotx", "subDocument": f"{url}/part.docx"}
    return _package("word/document.xml", f"{_MAIN}.wordprocessingml.document.main+xml", body, _links(elsewhere))


def pptx(sentence: str, url: str) -> bytes:
    show = "http://schemas.openxmlformats.org/presentationml/2006/main"
    names = f'xmlns:p="{show}" xmlns:r="{_OFFICE}" xmlns:a="{_DRAWING}"'
    body = f'{_XML}<p:presentation {names}><p:sldIdLst><p:sldId id="256" r:id="rId9"/></p:sldIdLst></p:presentation>'
    slide = (
        f"{_XML}<p:sld {names}><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>{sentence}</a:t></a:r></a:p></p:txBody></p:sp>"
        '<p:pic><p:blipFill><a:blip r:link="rId1"/></p:blipFill></p:pic></p:spTree></p:cSld></p:sld>'
    )
    more = f'<Relationship Id="rId9" Type="{_OFFICE}/slide" Target="slides/slide1.xml"/>'
    return _package(
        "ppt/presentation.xml",
        f"{_MAIN}.presentationml.presentation.main+xml",
        body,
        _links({"video": f"{url}/video.mp4"}, more),
        parts={
            "ppt/slides/slide1.xml": slide,
            "ppt/slides/_rels/slide1.xml.rels": _links({"image": f"{url}/a.png", "audio": f"{url}/a.mp3"}),
        },
        kinds={"ppt/slides/slide1.xml": f"{_MAIN}.presentationml.slide+xml"},
    )


def xlsx(sentence: str, url: str) -> bytes:
    table = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    body = (
        f'{_XML}<workbook xmlns="{table}" xmlns:r="{_OFFICE}"><sheets><sheet name="Lights" sheetId="1" r:id="rId9"/></sheets>'
        '<externalReferences><externalReference r:id="rId8"/></externalReferences></workbook>'
    )
    sheet = (
        f'{_XML}<worksheet xmlns="{table}"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{sentence}</t></is></c>'
        f'<c r="B1"><f>WEBSERVICE("{url}/cell")</f><v>0</v></c><c r="C1"><f>[1]Other!A1</f><v>0</v></c></row>'
        "</sheetData></worksheet>"
    )
    more = (
        f'<Relationship Id="rId9" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId8" Type="{_OFFICE}/externalLink" Target="externalLinks/externalLink1.xml"/>'
    )
    link = f'{_XML}<externalLink xmlns="{table}" xmlns:r="{_OFFICE}"><externalBook r:id="rId1"/></externalLink>'
    return _package(
        "xl/workbook.xml",
        f"{_MAIN}.spreadsheetml.sheet.main+xml",
        body,
        _links({"connections": f"{url}/connection"}, more),
        parts={
            "xl/worksheets/sheet1.xml": sheet,
            "xl/externalLinks/externalLink1.xml": link,
            "xl/externalLinks/_rels/externalLink1.xml.rels": _links({"externalLinkPath": f"{url}/other.xlsx"}),
        },
        kinds={
            "xl/worksheets/sheet1.xml": f"{_MAIN}.spreadsheetml.worksheet+xml",
            "xl/externalLinks/externalLink1.xml": f"{_MAIN}.spreadsheetml.externalLink+xml",
        },
    )


def odt(sentence: str, url: str) -> bytes:
    kind = "application/vnd.oasis.opendocument.text"
    names = "".join(
        f' xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in (("office", "office"), ("text", "text"), ("draw", "drawing"), ("manifest", "manifest"))
    )
    body = (
        f'{_XML}<office:document-content{names} xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2"><office:body>'
        f'<office:text><text:p>{sentence}</text:p><text:p><draw:frame><draw:image xlink:href="{url}/picture.png" '
        f'xlink:actuate="onLoad"/></draw:frame></text:p><text:section text:name="s"><text:section-source '
        f'xlink:href="{url}/section.odt"/></text:section></office:text></office:body></office:document-content>'
    )
    manifest = (
        f'{_XML}<manifest:manifest{names}><manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    return _archive({"mimetype": kind, "content.xml": body, "META-INF/manifest.xml": manifest})


def epub(sentence: str, url: str) -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    book = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<dc:title>Lights</dc:title><link rel="record" href="{url}/record.xml"/></metadata><manifest>'
        '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
        f'<item id="b" href="{url}/chapter.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    chapter = (
        f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml"><head><link rel="stylesheet" href="{url}/style.css"/></head>'
        f'<body><p>{sentence}</p><img src="{url}/picture.png"/><script src="{url}/script.js"></script></body></html>'
    )
    return _archive(
        {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "book.opf": book, "a.xhtml": chapter}
    )


def _links(elsewhere: Mapping[str, str], more: str = "") -> str:
    """Relationships (ECMA-376 part 2) with targets outside the package."""
    listed = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}" TargetMode="External"/>'
        for number, (kind, target) in enumerate(elsewhere.items(), 1)
    )
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{listed}{more}</Relationships>'


def _package(
    main: str,
    kind: str,
    body: str,
    links: str,
    *,
    parts: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> bytes:
    directory, _, name = main.rpartition("/")
    listed = {main: kind, **(kinds or {})}
    overrides = "".join(f'<Override PartName="/{part}" ContentType="{what}"/>' for part, what in listed.items())
    types = (
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/><Default '
        f'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>'
    )
    start = f'<Relationship Id="rId9" Type="{_OFFICE}/officeDocument" Target="{main}"/>'
    members = {
        "[Content_Types].xml": types,
        "_rels/.rels": _links({}, start),
        main: body,
        f"{directory}/_rels/{name}.rels": links,
        **(parts or {}),
    }
    return _archive(members)


def _archive(members: Mapping[str, str]) -> bytes:
    """The first member is not compressed, as open documents and books want their type to stand."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(members.items()):
            archive.writestr(name, content, zipfile.ZIP_STORED if number == 0 else None)
    return out.getvalue()
