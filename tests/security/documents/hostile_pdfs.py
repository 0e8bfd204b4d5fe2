"""PDF files written by hand, object by object, so that each can break exactly one rule."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from tests.documents_samples import KETTLE

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
SHOWN = b"BT /F1 12 Tf 72 700 Td (" + KETTLE.encode() + b") Tj ET"


def stream(content: bytes, entries: bytes = b"", *, length: int | None = None) -> bytes:
    said = len(content) if length is None else length
    return b"<<" + entries + b"/Length %d>>\nstream\n" % said + content + b"\nendstream"


def file(objects: Mapping[int, bytes], *, trailer: bytes = b"", header: bytes = b"%PDF-1.7\n") -> bytes:
    """A PDF of these objects; number 1 is its catalogue."""
    out = bytearray(header)
    places = {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        out += b"%d 1\n%010d 00000 n \n" % (number, place)
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, trailer, table)
    return bytes(out)


def page(
    content: bytes = SHOWN,
    *,
    catalogue: bytes = b"",
    entries: bytes = b"",
    resources: bytes = b"",
    box: bytes = b"[0 0 595 842]",
    content_object: bytes | None = None,
    more: Mapping[int, bytes] | None = None,
    trailer: bytes = b"",
) -> bytes:
    """One page; further objects are numbered from 10."""
    return file(
        {
            1: b"<</Type/Catalog/Pages 2 0 R" + catalogue + b">>",
            2: b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox"
            + box
            + b"/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>"
            + resources
            + b">>"
            + entries
            + b">>",
            4: content_object or stream(content),
            5: FONT,
            **(more or {}),
        },
        trailer=trailer,
    )


def pages(count: int, *, said: int | None = None) -> bytes:
    """So many pages, each an object of its own."""
    kids = b" ".join(b"%d 0 R" % number for number in range(10, 10 + count))
    body = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
    return file(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Count %d/Kids[" % (said or count) + kids + b"]>>",
            4: stream(SHOWN),
            5: FONT,
            **dict.fromkeys(range(10, 10 + count), body),
        }
    )


def one_page_many_times(count: int) -> bytes:
    body = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
    kids = b"3 0 R " * count
    tree = b"<</Type/Pages/Count %d/Kids[" % count + kids + b"]>>"
    return file({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: tree, 3: body, 4: stream(SHOWN), 5: FONT})


def tree_in_a_circle() -> bytes:
    return file(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Count 9/Kids[3 0 R]>>",
            3: b"<</Type/Pages/Count 9/Parent 2 0 R/Kids[2 0 R 3 0 R]>>",
        }
    )


def tree_without_end() -> bytes:
    nodes = {number: b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (number + 1) for number in range(2, 20_000)}
    return file({1: b"<</Type/Catalog/Pages 2 0 R>>", **nodes, 20_000: b"<</Type/Page/MediaBox[0 0 9 9]>>"})


def table_in_a_circle() -> bytes:
    whole = page()
    table = int(whole.rsplit(b"startxref\n", 1)[1].split()[0])
    return whole.replace(b"/Root 1 0 R", b"/Prev %d/Root 1 0 R" % table)


def deflated(megabytes: int, times: int = 1) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(megabytes)) + packer.flush()
    for _ in range(times - 1):
        packed = zlib.compress(packed, 9)
    return packed


def swelling_page(megabytes: int, times: int = 1) -> bytes:
    filters = b"/Filter[" + b"/FlateDecode" * times + b"]"
    return page(content_object=stream(deflated(megabytes, times), filters))


def filters_upon_filters(count: int) -> bytes:
    return page(content_object=stream(SHOWN, b"/Filter[" + b"/ASCIIHexDecode" * count + b"]"))


def runs(count: int) -> bytes:
    """Run lengths: two bytes for 128."""
    return page(content_object=stream(b"\x81 " * count + b"\x80", b"/Filter/RunLengthDecode"))


def flood(width: int, height: int, *, colours: bytes = b"/DeviceRGB", bits: int = 8) -> bytes:
    """A page with an image that is far larger than its bytes."""
    described = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace%s/BitsPerComponent %d/Filter/FlateDecode"
    image = stream(deflated(1), described % (width, height, colours, bits))
    return page(SHOWN + b" q 500 0 0 500 0 0 cm /I1 Do Q", resources=b"/XObject<</I1 10 0 R>>", more={10: image})


def bad_image(coding: bytes) -> bytes:
    described = b"/Type/XObject/Subtype/Image/Width 4000/Height 4000/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/" + coding
    image = stream(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\xff" * 5_000, described)
    return page(SHOWN + b" q 500 0 0 500 0 0 cm /I1 Do Q", resources=b"/XObject<</I1 10 0 R>>", more={10: image})


def form_in_itself(times: int) -> bytes:
    form = stream(b"/X1 Do " * times, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X1 10 0 R>>>>")
    return page(SHOWN + b" /X1 Do", resources=b"/XObject<</X1 10 0 R>>", more={10: form})


def forms_that_double(depth: int) -> bytes:
    """Each form draws the next one ten times."""
    forms = {}
    for number in range(10, 10 + depth):
        inner = b"/X1 Do " * 10 if number < 9 + depth else b"BT /F1 9 Tf (x) Tj ET"
        resources = b"/Resources<</Font<</F1 5 0 R>>/XObject<</X1 %d 0 R>>>>" % (number + 1)
        forms[number] = stream(inner, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]" + resources)
    return page(SHOWN + b" /X1 Do", resources=b"/XObject<</X1 10 0 R>>", more=forms)


def glyphs_that_draw_themselves() -> bytes:
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/FirstChar 97/LastChar 97/Widths[9]"
        b"/Encoding<</Differences[97/a]>>/CharProcs<</a 11 0 R>>/Resources<</Font<</F2 10 0 R>>>>>>"
    )
    glyph = stream(b"9 0 d0 BT /F2 9 Tf (aaaa) Tj ET")
    shown = SHOWN + b" BT /F2 9 Tf (aa) Tj ET"
    return page(shown, more={10: font, 11: glyph}).replace(b"/Font<</F1 5 0 R>>", b"/Font<</F1 5 0 R/F2 10 0 R>>", 1)


def nested_arrays(depth: int) -> bytes:
    return page(entries=b"/Rubbish " + b"[" * depth + b"]" * depth)


def nested_dictionaries(depth: int) -> bytes:
    return page(entries=b"/Rubbish " + b"<</A " * depth + b"0" + b">>" * depth)


def letters(count: int) -> bytes:
    """So many letters on one page."""
    packed = zlib.compress(b"BT /F1 1 Tf 1 0 0 1 0 9 Tm " + b"(abcdefgh ) Tj " * (count // 9) + b" ET")
    return page(content_object=stream(packed, b"/Filter/FlateDecode"))


def act(what: bytes) -> bytes:
    """Something to be done when the file is opened."""
    return page(catalogue=b"/OpenAction<<" + what + b">>/AA<</WC<<" + what + b">>>>")


def form_with_entities() -> bytes:
    template = b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY s SYSTEM 'file:///etc/passwd'>]><xdp:xdp>&s;</xdp:xdp>"
    return page(catalogue=b"/AcroForm<</Fields[]/XFA 10 0 R>>", more={10: stream(template)})


def objects_in_themselves() -> bytes:
    """An object stream that says it holds itself."""
    packed = stream(b"10 0 <</Type/ObjStm>>", b"/Type/ObjStm/N 1/First 5/Extends 10 0 R")
    return page(more={10: packed}, catalogue=b"/Names 10 0 R")


def title(megabytes: int) -> bytes:
    written = b"<</Title(" + b"title \x80 " * (megabytes * 120_000) + b")>>"
    return page(more={10: written}, trailer=b"/Info 10 0 R")
