"""The machines the box may speak to, as an administrator wrote them down. What does not stand there cannot be reached."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from appliance.errors import SetupError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
_TYPES = {"name": str, "host": str, "port": int, "purpose": str, "dialect": str, "tls": bool, "ca_file": str, "path": str}
_NEEDED = ("name", "host", "port", "purpose")
_LAST_PORT = 65_535
_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_PATH_LIMIT = 500
_USUAL_PATH = "/audit"
_ENTRIES = {"destination", "maintenance"}


class Purpose(StrEnum):
    """What a destination is for."""

    IDENTITY = "identity"
    INFERENCE = "inference"
    LOG = "log"
    DOWNLOAD = "download"


class Dialect(StrEnum):
    """What an inference server speaks beside chat completions."""

    VLLM = "vllm"
    LLAMA_SERVER = "llama-server"
    OPENAI = "openai"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Destination:
    """One machine, one port, one purpose."""

    name: str
    host: str
    port: int
    purpose: Purpose
    dialect: Dialect = Dialect.OPENAI
    tls: bool = True
    ca_file: Path | None = None
    path: str = _USUAL_PATH
    """Where a collector of the log takes it; of no other purpose."""

    @property
    def address(self) -> str:
        """Scheme, host and port, as they stand before the path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def load_destinations(file: Path) -> Mapping[str, Destination]:
    """By name. Raises `SetupError` (`setup.destinations`) for a missing or wrong file: a guess here would be a leak."""
    found = [_destination(row) for row in read_destinations(file, "destination")]
    if len({destination.name for destination in found}) != len(found):
        raise wrong_entry("two destinations have the same name")
    if sum(destination.purpose is Purpose.LOG for destination in found) > 1:
        raise wrong_entry("two destinations have the purpose log, and the log goes to one collector")
    if sum(destination.purpose is Purpose.IDENTITY for destination in found) > 1:
        raise wrong_entry("two destinations have the purpose identity, and there is one identity provider")
    return {destination.name: destination for destination in found}


def read_destinations(file: Path, entry: str) -> list[dict[str, Any]]:
    """The rows of one kind, unchecked. Raises `SetupError` (`setup.destinations`)."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise SetupError(f"{file.name} cannot be read ({error.strerror}).", code="setup.destinations") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{file.name} is not valid TOML: {error}", code="setup.destinations") from error
    unknown = set(content) - _ENTRIES
    if unknown:
        raise wrong_entry(f"unknown entry {min(unknown)!r}")
    rows = content.get(entry, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise wrong_entry(f"{entry} is written as [[{entry}]]")
    return rows


def log_collector(destinations: Mapping[str, Destination]) -> Destination | None:
    """The one that the log is carried to, where one is named."""
    return next((each for each in destinations.values() if each.purpose is Purpose.LOG), None)


def identity_provider(destinations: Mapping[str, Destination]) -> Destination | None:
    """The one that people sign in through, where one is named."""
    return next((each for each in destinations.values() if each.purpose is Purpose.IDENTITY), None)


def valid_path(path: str) -> bool:
    """Whether this can be the path of a request: names between slashes, and no text in disguise."""
    return len(path) <= _PATH_LIMIT and _PATH.fullmatch(path) is not None


def valid_name(name: str) -> bool:
    """Whether this can be the name of a destination."""
    return _NAME.fullmatch(name) is not None


def _destination(row: dict[str, Any]) -> Destination:
    name = row.get("name")
    if not isinstance(name, str) or not valid_name(name):
        raise wrong_entry("a name is made of lower-case letters, digits and hyphens")
    for key, value in row.items():
        if key not in _TYPES or type(value) is not _TYPES[key]:
            raise wrong_entry(f"{name}: {key} is not known, or not of that type")
    missing = [key for key in _NEEDED if key not in row]
    if missing:
        raise wrong_entry(f"{name}: {missing[0]} is missing")
    host, port, tls = row["host"], row["port"], row.get("tls", True)
    if not _is_address(host) and not _HOST.fullmatch(host):
        raise wrong_entry(f"{name}: {host!r} is no host")
    if not 0 < port <= _LAST_PORT:
        raise wrong_entry(f"{name}: {port} is no port")
    if not tls and not (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        raise wrong_entry(f"{name}: without TLS only 127.0.0.1 and ::1 may be spoken to")
    if "dialect" in row and row["purpose"] != Purpose.INFERENCE:
        raise wrong_entry(f"{name}: only an inference server has a dialect")
    try:
        purpose, dialect = Purpose(row["purpose"]), Dialect(row.get("dialect", Dialect.OPENAI))
    except ValueError as error:
        raise wrong_entry(f"{name}: {error}") from error
    ca_file = Path(row["ca_file"]) if "ca_file" in row else None
    return Destination(name, host, port, purpose, dialect, tls, ca_file, _path(row, name, purpose))


def _path(row: dict[str, Any], name: str, purpose: Purpose) -> str:
    if "path" not in row:
        return _USUAL_PATH
    path = str(row["path"])
    if purpose is not Purpose.LOG or not valid_path(path):
        raise wrong_entry(f"{name}: only a collector of the log has a path, as in /audit")
    return path


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def wrong_entry(what: str) -> SetupError:
    return SetupError(f"destinations.toml: {what}.", code="setup.destinations")
