"""One document of every kind that the box reads, each full of references to places outside. Made here, of nothing but text.

Each kind names a host of its own, so that an attempt tells which document asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.egress.proof.samples_office import docx, epub, odt, pptx, xlsx
from appliance.egress.proof.samples_pdf import pdf

SENTENCE = "The lamp of the north lighthouse is serviced every 40 days by the keeper on duty."
QUESTION = "How often is the lamp of the north lighthouse serviced?"


def files() -> Mapping[str, bytes]:
    """Contents by name."""
    makers: dict[str, Callable[[], bytes]] = {
        "plan.pdf": lambda: pdf(SENTENCE, _url("pdf")),
        "plan.docx": lambda: docx(SENTENCE, _url("docx")),
        "plan.pptx": lambda: pptx(SENTENCE, _url("pptx")),
        "plan.xlsx": lambda: xlsx(SENTENCE, _url("xlsx")),
        "plan.odt": lambda: odt(SENTENCE, _url("odt")),
        "plan.epub": lambda: epub(SENTENCE, _url("epub")),
        "plan.html": lambda: _html(_url("html")).encode(),
        "plan.md": lambda: _markdown(_url("md")).encode(),
        "plan.txt": lambda: _text(_url("txt")).encode(),
        "plan.csv": lambda: _csv(_url("csv")).encode(),
        "plan.eml": lambda: _mail(_url("eml")).encode(),
        "entities.xhtml": lambda: _entities(_url("xhtml")).encode(),
    }
    return {name: make() for name, make in makers.items()}


def _url(kind: str) -> str:
    return f"http://{kind}.cloister-proof.example"


def _text(url: str) -> str:
    return f"{SENTENCE}\n\n{url}/readme and \\\\txt.cloister-proof.example\\share\\plan\n"


def _html(url: str) -> str:
    return (
        f'<!doctype html><html><head><title>Plan</title><base href="{url}/">'
        f'<meta http-equiv="refresh" content="0;url={url}/refresh"><link rel="stylesheet" href="{url}/style.css">'
        f'<link rel="preconnect" href="{url}"><style>@import url({url}/more.css); body {{background: url({url}/a.png)}}</style>'
        f'<script src="{url}/script.js"></script></head><body><h1>Lights</h1><p>{SENTENCE}</p>'
        f'<img src="{url}/picture.png" srcset="{url}/large.png 2x"><iframe src="{url}/frame"></iframe>'
        f'<object data="{url}/object"></object><video src="{url}/video" poster="{url}/poster.png"></video>'
        f'<svg><image href="{url}/vector.svg"/></svg></body></html>'
    )


def _markdown(url: str) -> str:
    return (
        f"# Lights\n\n{SENTENCE}\n\n![picture]({url}/picture.png)\n\n![other][far]\n\n<img src='{url}/raw.png'>\n\n"
        f"[far]: {url}/far.png\n\n<{url}/auto>\n"
    )


def _csv(url: str) -> str:
    return f'Light,Rule\nNorth,"{SENTENCE}"\nSouth,"=WEBSERVICE(""{url}/cell"")"\nEast,"=IMAGE(""{url}/image"")"\n'


def _mail(url: str) -> str:
    return (
        "From: Keeper <keeper@lights.example>\r\nTo: all@lights.example\r\nSubject: Plan\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        f'--b\r\nContent-Type: text/html\r\n\r\n<p>{SENTENCE}</p><img src="{url}/pixel.gif">\r\n'
        f'--b\r\nContent-Type: message/external-body; access-type=URL; URL="{url}/body"\r\n\r\n'
        "Content-Type: text/plain\r\n\r\n\r\n--b--\r\n"
    )


def _entities(url: str) -> str:
    return (
        f'<?xml version="1.0"?><!DOCTYPE html SYSTEM "{url}/outer.dtd" [<!ENTITY far SYSTEM "{url}/entity">'
        f'<!ENTITY % more SYSTEM "{url}/more.dtd"> %more;]>'
        f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{SENTENCE} &far;</p></body></html>'
    )
