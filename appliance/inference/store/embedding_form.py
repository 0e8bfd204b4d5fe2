"""How an embedding model makes one vector of a text, as its file and the catalogue say it; kept with its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from appliance.errors import InvalidInput

MEAN, CLS, LAST = "mean", "cls", "last"
LONGEST_PREFIX = 200  # characters
LEAST_DIMENSIONS, MOST_DIMENSIONS = 8, 4_096

_KEY = "embedding"
_ARCHITECTURES = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert", "t5encoder",
     "gemma-embedding", "llama-embed"}
)  # fmt: skip
_NO_POOLING = 0
_POOLINGS: Mapping[int, str] = {1: MEAN, 2: CLS, 3: LAST}  # llama.h, llama_pooling_type; 4 is a ranking of pairs


@dataclass(frozen=True, slots=True)
class EmbeddingForm:
    """`pooling` joins the vectors of tokens, of `dimensions` numbers; the result is always brought to length 1.

    The prefixes are what its makers put before questions and passages; they count as tokens of the text.
    """

    pooling: str = MEAN
    dimensions: int = 0
    question_prefix: str = ""
    passage_prefix: str = ""

    @property
    def sentence(self) -> str:
        """For people: how long, how joined, what is read before texts."""
        told = ", ".join(
            f"{prefix.strip()} before {what}"
            for prefix, what in zip(self.prefixes, ("questions", "passages"), strict=True)
            if prefix
        )
        joined = f"{self.dimensions:,} numbers, {self.pooling}"
        return f"{joined}, {told}" if told else joined

    @property
    def prefixes(self) -> tuple[str, str]:
        return self.question_prefix, self.passage_prefix


def is_embedder(architecture: str, metadata: Mapping[str, Any]) -> bool:
    """By what it was built as, or by the pooling it names; never by what it is called."""
    return architecture in _ARCHITECTURES or metadata.get(f"{architecture}.pooling_type", _NO_POOLING) != _NO_POOLING


def form_of(architecture: str, metadata: Mapping[str, Any]) -> EmbeddingForm:
    """Of a GGUF header; the mean where it names no pooling. Raises `InvalidInput`: `model.pooling`, `model.dimensions`."""
    said = metadata.get(f"{architecture}.pooling_type")
    if said is not None and (not isinstance(said, int) or isinstance(said, bool) or said not in _POOLINGS):
        raise InvalidInput(
            "This model joins its vectors in a way that is not known here, or ranks pairs of texts instead of giving vectors; "
            "mean, CLS and last are known.",
            code="model.pooling",
        )
    told = metadata.get(f"{architecture}.embedding_length_out") or metadata.get(f"{architecture}.embedding_length")
    dimensions = told if isinstance(told, int) else 0
    require_dimensions(dimensions)
    return EmbeddingForm(MEAN if said is None else _POOLINGS[said], dimensions)


def with_prefixes(form: EmbeddingForm | None, question: str, passage: str) -> EmbeddingForm | None:
    """With what the catalogue says, unless the model itself says something."""
    if not (question or passage) or (form is not None and (form.question_prefix or form.passage_prefix)):
        return form
    return replace(form or EmbeddingForm(), question_prefix=question, passage_prefix=passage)


def require_dimensions(dimensions: int) -> None:
    """Raise `InvalidInput` (`model.dimensions`) for vectors that the index is not made for."""
    if not LEAST_DIMENSIONS <= dimensions <= MOST_DIMENSIONS:
        raise InvalidInput(
            f"The vectors of this model have {dimensions:,} numbers; {LEAST_DIMENSIONS} to {MOST_DIMENSIONS:,} can be indexed.",
            code="model.dimensions",
        )


def recorded(form: EmbeddingForm) -> Mapping[str, Any]:
    """As the version holds it, beside what a Modelfile adds."""
    return {_KEY: asdict(form)}


def recorded_form(prompt: Mapping[str, Any]) -> EmbeddingForm | None:
    """What `recorded` stored; None for models whose folder says everything."""
    return EmbeddingForm(**prompt[_KEY]) if _KEY in prompt else None
