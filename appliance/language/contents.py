"""Lines of a table of contents: a title, a row of dots, the number of a page. They point at what is said and say nothing."""

from __future__ import annotations

import re

LEADER = r"(?:[.·](?:[ \t\u00a0]{1,3}[.·]){3,}+|[.·]{5,}+|…(?:[ \t\u00a0]{0,3}…)++)"
"""Pattern of the dots that lead from a title to its page; four full stops without spaces are an ellipsis at a sentence's end."""
CONTENTS_END = LEADER + r"[ \t\u00a0]*+[\w-]{0,8}[ \t]*+(?=\n|$)"
"""Pattern of the end of such a line, without the line end."""

_LEADER = re.compile(LEADER)


def is_contents_line(text: str) -> bool:
    """Whether `text` holds a leader: it is not worth quoting."""
    return _LEADER.search(text) is not None
