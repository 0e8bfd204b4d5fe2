"""How the parts of an Office Open XML package point to each other (ECMA-376 part 2)."""

from __future__ import annotations

from posixpath import dirname, join, normpath

from appliance.documents.parsing.archives import Archive

_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_CORE = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def targets(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Relation id to (kind, part) for the relations of `part` that stay inside the package; kind is the last word of its type."""
    folder, _, name = part.rpartition("/")
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.names:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for relation in archive.xml(relations).iter(_RELATION):
        if relation.get("TargetMode") == "External":
            continue
        target = relation.get("Target", "")
        absolute = target.lstrip("/") if target.startswith("/") else normpath(join(dirname(part), target))
        if absolute in archive.names:
            found[relation.get("Id", "")] = (relation.get("Type", "").rsplit("/", 1)[-1], absolute)
    return found


def package_title(archive: Archive) -> str:
    """The title in the package's properties."""
    if _CORE not in archive.names:
        return ""
    return archive.xml(_CORE).findtext(_TITLE, default="") or ""
