"""A PDF that would fetch, submit, launch and play from outside as soon as it is opened, in a reader that let it."""

from __future__ import annotations


def pdf(sentence: str, url: str) -> bytes:
    """One page that says `sentence`."""
    words = sentence.replace("(", "").replace(")", "")
    content = f"BT /F 11 Tf 72 700 Td ({words}) Tj ET /X Do".encode()
    action = f"<< /S /URI /URI ({url}/open) /Next << /S /JavaScript /JS (app.launchURL\\('{url}/script'\\);) >> >>"
    outside = f"<< /Type /Filespec /FS /URL /F ({url}/stream) >>"
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /OpenAction {action} /AcroForm << /Fields [] /XFA 7 0 R >> >>".encode(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Annots [8 0 R] "
        f"/AA << /O << /S /SubmitForm /F ({url}/submit) >> >> "
        f"/Resources << /Font << /F 5 0 R >> /XObject << /X 6 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        # a picture whose data lies elsewhere (ISO 32000-1, 7.3.8.2)
        f"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray "
        f"/F {outside} /Length 0 >>\nstream\n\nendstream".encode(),
        _stream(f'<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"><image href="{url}/form.png"/></xdp:xdp>'.encode()),
        f"<< /Type /Annot /Subtype /Link /Rect [0 0 595 842] /A << /S /Launch /F ({url}/launch) >> >>".encode(),
    ]
    return _file(objects)


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content)


def _file(objects: list[bytes]) -> bytes:
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
