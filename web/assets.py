"""Style sheet, scripts and icon, read once and served from memory: a name that was not there at start is not there at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

STYLE_SHEET = "cloister.css"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as browsers get it."""

    content: bytes
    media_type: str
    etag: str


def load_assets(directory: Path) -> dict[str, Asset]:
    """All of `directory/static`, and the one style sheet made of `directory/styles/*.css` in the order of their names."""
    assets = {
        path.name: _asset(path.name, path.read_bytes())
        for path in sorted((directory / "static").iterdir())
        if path.suffix in MEDIA_TYPES
    }
    sheet = b"\n".join(path.read_bytes() for path in sorted((directory / "styles").glob("*.css")))
    return {**assets, STYLE_SHEET: _asset(STYLE_SHEET, sheet)}


def _asset(name: str, content: bytes) -> Asset:
    return Asset(content, MEDIA_TYPES[Path(name).suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
