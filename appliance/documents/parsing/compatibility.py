"""What Office writes twice, for programs that know a feature and for those that do not, read once (ECMA-376 part 3)."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def read_once(root: etree._Element, *tags: str) -> Iterator[etree._Element]:
    """`root` and what is below it, in document order: elements of `tags`, or all, but nothing that stands in a fallback."""
    walk = etree.iterwalk(root, events=("start",))
    for _, node in walk:
        if node.tag == _FALLBACK:
            walk.skip_subtree()
        elif not tags or node.tag in tags:
            yield node
