"""Drawings are written twice by Office; nothing of them is read twice, and nothing beside them is lost."""

from __future__ import annotations

from lxml import etree

from appliance.documents.parsing.compatibility import read_once

MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def test_fallbacks_are_left_out_and_everything_else_stays():
    pairs = "".join(
        f"<mc:AlternateContent><mc:Choice><sp n='box{at}'/></mc:Choice><mc:Fallback><g><sp n='again{at}'/></g></mc:Fallback>"
        f"</mc:AlternateContent><sp n='plain{at}'/>"
        for at in range(50)
    )
    root = etree.fromstring(f"<slide xmlns:mc='{MC}'>{pairs}</slide>")
    expected = [name for at in range(50) for name in (f"box{at}", f"plain{at}")]
    assert [node.get("n") for node in read_once(root, "sp")] == expected
    assert [node.get("n") for node in read_once(root) if node.tag == "sp"] == expected
    assert next(read_once(root)) is root


def test_only_what_is_below_the_element_is_read():
    root = etree.fromstring("<body><p><t>one</t></p><p><t>two</t></p></body>")
    assert [node.text for node in read_once(root[0], "t")] == ["one"]
