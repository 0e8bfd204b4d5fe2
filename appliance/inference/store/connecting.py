"""Models that stay inside a server: what is recorded of them, asked of the server itself where it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.egress.calls import Call
from appliance.egress.destinations import Dialect, Purpose
from appliance.errors import InvalidInput, Unavailable
from appliance.inference import openai_wire as wire
from appliance.inference.store.catalogue import Catalogue, Entry
from appliance.inference.store.embedding_form import form_of, is_embedder, recorded, with_prefixes
from appliance.inference.store.importing import Prepared, model_name
from appliance.inference.store.memory import box_mb, kv_bytes_per_token, needed_mb, require_room
from appliance.inference.store.modelfiles import check_usable, prompt_of, read_modelfile, with_context
from appliance.inference.store.versions import Facts, ModelVersion, VersionState, size_class

if TYPE_CHECKING:
    from appliance.egress.gate import Gate
    from appliance.inference.ollama.client import AnyClient

_LARGE_VOCABULARY = 256_000
"""Counted where a server does not say how large it is."""

_OK = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What an administrator says about a served model; what the server says itself counts more."""

    name: str = ""
    parameters_m: float | None = None
    context_tokens: int | None = None
    licence: str = ""
    modelfile: Path | None = None


def connected(
    source: str, told: Told, gate: Gate, *, person: str, catalogue: Catalogue | None = None, ollama_address: str = ""
) -> Prepared:
    """The version to record; nothing is stored. `person` (a principal's id) is on whose behalf a destination is asked.

    Raises `InvalidInput` (`model.source`, `.parameters`, `.context`, `.too_large`, `.embedder_elsewhere`, `.pooling`,
    `.dimensions`, `modelfile.*`), and what both raise: `Unavailable` (`inference.*`), `Denied` (`inference.remote_model`,
    `egress.refused`).
    """
    kind, _, rest = source.partition(":")
    place, _, name = rest.partition(":")
    if kind == "ollama" and rest:
        seen = _in_ollama(rest, ollama_address)
    elif kind == "destination" and place and name:
        seen = _at_destination(place, name, gate, person)
    else:
        raise InvalidInput("A served model is named ollama:NAME or destination:PLACE:NAME.", code="model.source")
    if seen.facts.kind == "embedding" and kind != "ollama":
        raise InvalidInput(
            "Embedding models are files, or models in the Ollama of this machine.",
            code="model.embedder_elsewhere",
        )
    entry = None if catalogue is None else catalogue.entry(_named(told, seen))
    if entry is not None and entry.kind == seen.facts.kind:
        told = _with_known(told, entry)
    version = _version(source, told, seen)
    if entry is not None and entry.kind == version.kind == "embedding":
        form = with_prefixes(version.form, entry.question_prefix, entry.passage_prefix)
        context_tokens = min(version.context_tokens, entry.context_tokens)
        version = replace(version, prompt=recorded(form) if form else {}, context_tokens=context_tokens)
    return Prepared(version, lambda: None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a server says of one of its models. `memory_mb` is what it takes of this box."""

    name: str
    facts: Facts
    memory_mb: int = 0
    size_bytes: int = 0
    sha256: str = ""


def _in_ollama(name: str, address: str) -> _Seen:
    from appliance.inference.ollama import open_client

    client = open_client(address)
    try:
        seen = _told_by_ollama(client, name)
    finally:
        client.close()
    require_room(name, seen.memory_mb, box_mb())
    return seen


def _told_by_ollama(client: AnyClient, name: str) -> _Seen:
    from appliance.inference.ollama.models import describe_model, list_models
    from appliance.inference.ollama.names import same_name

    details = describe_model(client, name)
    listed = next((model for model in list_models(client) if same_name(model.name, name)), None)
    if listed is None:
        raise Unavailable(f"Ollama has no model named {name}.", code="inference.no_model")
    facts = _facts(details.about, listed.quantisation, details.context_tokens)
    return _Seen(name, facts, needed_mb(facts, listed.size_bytes), listed.size_bytes, listed.digest)


def _facts(about: Mapping[str, Any], quantisation: str, context_tokens: int) -> Facts:
    architecture = str(about.get("general.architecture") or "")

    def number(entry: str) -> int:
        value = about.get(f"{architecture}.{entry}")
        return value if isinstance(value, int) else 0

    heads = number("attention.head_count") or 1
    length = number("attention.key_length") or number("embedding_length") // heads
    cache = kv_bytes_per_token(
        layers=number("block_count"),
        kv_heads=number("attention.head_count_kv") or heads,
        key_length=length,
        value_length=number("attention.value_length") or length,
    )
    embeds = is_embedder(architecture, about)
    return Facts(
        format="served",
        kind="embedding" if embeds else "language",
        title="",
        architecture=architecture[:60],
        quantisation=quantisation,
        parameters_m=int(about.get("general.parameter_count") or 0) / 1e6,
        context_tokens=context_tokens,
        kv_bytes_per_token=cache,
        vocabulary=number("vocab_size") or _LARGE_VOCABULARY,
        chat_template=not embeds,
        licence=str(about.get("general.license") or ""),
        form=form_of(architecture, about) if embeds else None,
    )


def _at_destination(place: str, name: str, gate: Gate, person: str) -> _Seen:
    destination = gate.destinations.get(place)
    if destination is not None and destination.dialect is Dialect.OLLAMA:
        from appliance.inference.ollama.gated import GatedClient

        return replace(_told_by_ollama(GatedClient(gate, place, person=person), name), memory_mb=0)
    with gate.open(Call(place, Purpose.INFERENCE, "/v1/models", person=person)) as reply:
        answer = reply.read()
        if reply.status != _OK:
            raise wire.failure(reply.status, answer)
    found = [model for model in wire.decoded(answer).get("data") or [] if isinstance(model, dict) and model.get("id") == name]
    if not found:
        raise Unavailable(f"{place} has no model named {name}.", code="inference.no_model")
    context = found[0].get("max_model_len")
    return _Seen(name.rpartition("/")[2], _unknown(context if isinstance(context, int) else 0))


def _unknown(context_tokens: int) -> Facts:
    """A model of which nothing is known but how much it holds."""
    return Facts(
        format="served",
        kind="language",
        title="",
        architecture="",
        quantisation="",
        parameters_m=0,
        context_tokens=context_tokens,
        kv_bytes_per_token=0,
        vocabulary=0,
        chat_template=True,
        licence="",
    )


def _named(told: Told, seen: _Seen) -> str:
    return model_name((told.name or seen.name).replace(":", "-"))


def _with_known(told: Told, entry: Entry) -> Told:
    """What neither the server nor the administrator says of a model of the catalogue."""
    return replace(
        told,
        parameters_m=told.parameters_m or entry.parameters_m,
        context_tokens=told.context_tokens or entry.context_tokens,
        licence=told.licence or entry.licence,
    )


def _version(source: str, told: Told, seen: _Seen) -> ModelVersion:
    facts = seen.facts
    parameters_m, context_tokens = facts.parameters_m or told.parameters_m, facts.context_tokens or told.context_tokens
    if not parameters_m or parameters_m <= 0:
        raise InvalidInput(
            "How many million parameters has it? The server does not say: use --parameters.", code="model.parameters"
        )
    if not context_tokens or context_tokens <= 0:
        raise InvalidInput("How many tokens does it hold? The server does not say: use --context.", code="model.context")
    modelfile = None if told.modelfile is None else read_modelfile(told.modelfile)
    if modelfile is not None:
        if modelfile.adapters:
            raise InvalidInput("ADAPTER belongs to a model whose file is on this box.", code="model.adapter")
        facts = replace(facts, context_tokens=context_tokens)
        check_usable(modelfile, facts)
        context_tokens = with_context(facts, modelfile).context_tokens
    return ModelVersion(
        id="",
        kind=facts.kind,
        name=_named(told, seen),
        number=0,
        format="served",
        quantisation=facts.quantisation[:24],
        architecture=facts.architecture,
        parameters_m=parameters_m,
        size_class=size_class(parameters_m),
        context_tokens=context_tokens,
        memory_mb=seen.memory_mb,
        licence=(facts.licence or told.licence)[:200],
        sha256=seen.sha256,
        size_bytes=seen.size_bytes,
        source=source[:500],
        state=VersionState.CANDIDATE,
        prompt=prompt_of(modelfile) if modelfile else recorded(facts.form) if facts.form else {},
    )
