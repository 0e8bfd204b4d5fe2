"""EML: the headers a reader looks at, the body, and the names of what is attached (RFC 5322, MIME)."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from pathlib import Path

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.html import add_html
from appliance.documents.parsing.plain import add_paragraphs
from appliance.documents.rejections import rejected

_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def parse_mail(path: str, draft: Draft, _report: object) -> str:
    message = BytesParser(policy=policy.default).parsebytes(Path(path).read_bytes())
    assert isinstance(message, EmailMessage)
    if not any(message[name] for name in _SHOWN):
        raise rejected("document.mislabelled")
    draft.page()
    for name in _SHOWN:
        if message[name]:
            draft.block(f"{name}: {_header(message, name)}", separator="\n")
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        text = _content(body)
        if body.get_content_subtype() == "html":
            add_html(text, draft)
        else:
            add_paragraphs(text, draft)
    names = [attached.get_filename() or attached.get_content_type() for attached in message.iter_attachments()]
    if names:
        draft.block("Attachments: " + ", ".join(names))
    return _header(message, "Subject")


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message[name] or "").split())


def _content(body: MIMEPart) -> str:
    try:
        return str(body.get_content())
    except (LookupError, UnicodeError):
        # an encoding nobody has heard of
        payload = body.get_payload(decode=True)
        return payload.decode("utf-8", errors="replace") if isinstance(payload, bytes) else ""
