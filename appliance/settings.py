"""What can be set, in one frozen table; the only reader of the environment.

Order, later wins: the defaults below, `settings.toml` in the data directory, the environment (`REDIS_URL`, `CLOISTER_<NAME>`),
the command line. Unknown keys are refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from appliance.errors import SetupError

PREFIX = "CLOISTER_"


def _setting(default: Any, explanation: str) -> Any:
    return field(default=default, metadata={"explanation": explanation})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its unit in its name; `explanation` in the metadata says what it does."""

    data_dir: Path
    host: str = _setting("127.0.0.1", "address the front door listens on")
    port: int = _setting(8080, "port the front door listens on")
    redis_url: str = _setting("", "an existing Redis to use; empty starts one on a UNIX socket in the data directory")
    upload_limit_mb: int = _setting(200, "largest file accepted, in megabytes of 1,000,000 bytes")
    parse_timeout_s: int = _setting(600, "wall-clock limit for parsing one file")
    parse_memory_mb: int = _setting(2_048, "address space of the child that parses one file")
    parse_output_mb: int = _setting(64, "largest text taken from one file")
    chunk_tokens: int = _setting(160, "target size of a chunk, in the embedder's tokens")
    passages_limit: int = _setting(8, "passages looked up for a question; how many fit is decided per answer")
    context_tokens: int = _setting(4_096, "context of the language model")
    answer_tokens: int = _setting(320, "longest answer")
    answer_timeout_s: int = _setting(480, "longest that the work on one answer may take; then it fails and is not tried again")
    threads: int = _setting(0, "threads of each model; 0 takes the cores of this box")
    answers_at_once: int = _setting(0, "questions answered at the same time; 0 goes by the cores of this box")
    questions_limit: int = _setting(100, "questions of everybody that may wait for answers at a time; further ones are refused")
    session_idle_min: int = _setting(60, "a session ends after this long without a request; a page that stays up to date asks")
    session_max_h: int = _setting(12, "a session ends after this long in any case")
    second_factor_roles: str = _setting("", "roles that must have a second factor, with commas between; empty asks it of nobody")
    require_seal: bool = _setting(False, "refuse to start where a layer of the seal is missing (docs/threat-model.md)")
    ollama_program: str = _setting("", "start this Ollama inside the seal: the path of its program, or find; empty starts none")
    cookie_secure: bool = _setting(False, "send the session cookie over HTTPS only; set it behind a TLS front")
    own_address: str = _setting("", "where browsers find this box, as in https://box.example.org; for sign-in through a provider")
    trusted_proxy: str = _setting("", "address of the TLS front, whose X-Forwarded-For is believed; empty believes nobody")

    @property
    def database_path(self) -> Path:
        return self.data_dir / "cloister.db"

    @property
    def root_key_path(self) -> Path:
        return self.data_dir / "keys" / "root.key"

    @property
    def identity_secret_path(self) -> Path:
        """By which the identity provider knows this box; put there by an administrator."""
        return self.data_dir / "keys" / "identity.secret"

    @property
    def blobs_dir(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def copies_dir(self) -> Path:
        """Databases as they were before an upgrade."""
        return self.data_dir / "before-upgrade"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def box_lock_path(self) -> Path:
        """Locked by the supervisor for as long as the box runs."""
        return self.run_dir / "lock"

    @property
    def ollama_dir(self) -> Path:
        """Models of the Ollama that the box starts itself, and the only other thing it may write."""
        return self.data_dir / "ollama"

    @property
    def ollama_socket(self) -> Path:
        return self.ollama_dir / "ollama.sock"

    @property
    def gate_path(self) -> Path:
        """Where the gate listens, while the box runs and destinations are named."""
        return self.run_dir / "gate.sock"


def load_settings(data_dir: Path, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings for `data_dir`; `overrides` that are None count as not given. Raises `SetupError` for what it does not know."""
    given = os.environ if environment is None else environment
    known = {item.name: item for item in fields(Settings) if item.name != "data_dir"}
    values: dict[str, Any] = {}
    file = data_dir / "settings.toml"
    if file.exists():
        try:
            values.update(tomllib.loads(file.read_text()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SetupError(f"{file} is not valid TOML: {error}", code="setup.settings") from error
    # the first is what the rest of the world calls it
    names = {"REDIS_URL": "redis_url"} | {PREFIX + name.upper(): name for name in known}
    values.update({name: given[variable] for variable, name in names.items() if variable in given})
    values.update({name: value for name, value in overrides.items() if value is not None})
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SetupError(f"Unknown setting: {', '.join(unknown)}.", code="setup.settings")
    settings = Settings(data_dir=data_dir.absolute())
    return replace(settings, **{name: _typed(name, known[name].type, value) for name, value in values.items()})


def _typed(name: str, kind: Any, value: Any) -> Any:
    """`value` as it is, or read from the text that environments hold; nothing else is converted."""
    words = {"bool": "true or false", "int": "a whole number", "str": "a text"}
    if type(value).__name__ == kind:
        return value
    try:
        if isinstance(value, str):
            return int(value) if kind == "int" else {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    except (KeyError, ValueError):
        pass
    raise SetupError(f"Setting {name} must be {words[kind]}, not {value!r}.", code="setup.settings")


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """`CLOISTER_DATA`, else the user's data home (XDG base directory specification)."""
    given = os.environ if environment is None else environment
    if "CLOISTER_DATA" in given:
        return Path(given["CLOISTER_DATA"])
    home = Path(given.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "cloister"


def environment_says(name: str) -> bool:
    """Whether the variable is set to 1; for what is no setting."""
    return os.environ.get(name) == "1"


def set_environment(variables: Mapping[str, str]) -> bool:
    """Set `variables` for this process, its native libraries and its children; says whether anything changed."""
    missing = {name: value for name, value in variables.items() if os.environ.get(name) != value}
    os.environ.update(missing)
    return bool(missing)
