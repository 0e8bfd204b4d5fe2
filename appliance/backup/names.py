"""What may stand in an archive, by name: a fixed list of shapes, so that no name leads anywhere else."""

from __future__ import annotations

import re

from appliance.backup.container import damaged

ABOUT = "about.json"
"""First: what this is and which key opens it."""
KEY = "root.key.sealed"
DATABASE = "cloister.db"
BOX = "box.sealed"
MANIFEST = "manifest.json"
"""Last: every other member with its length and SHA-256, under a MAC."""

_STORED = re.compile(r"(?:blobs|models/files|models/encrypted)/([0-9a-f]{2})/\1[0-9a-f]{62}")
_IN_FOLDER = re.compile(r"models/folders/[0-9a-f]{64}/[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,99}")


def blob_member(name: str) -> str:
    return f"blobs/{name[:2]}/{name}"


def require_known(name: str) -> None:
    """Raise `InvalidInput` for a name that no backup holds, `../x` and `/x` among them."""
    if name not in {ABOUT, KEY, DATABASE, BOX, MANIFEST} and not _STORED.fullmatch(name) and not _IN_FOLDER.fullmatch(name):
        raise damaged("it holds a file with a name that no backup has")
