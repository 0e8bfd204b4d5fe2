"""No text of a document, a heading, a question or an earlier answer becomes a special token, whoever writes the prompt down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from appliance.chat.prompt import RULES, Exchange, build_prompt
from appliance.inference.folder_tokenizer import ChatTokenizer
from appliance.inference.llamacpp.dialect import dialect_of
from appliance.inference.llamacpp.native import NativeModel
from appliance.inference.llamacpp.template import Template
from appliance.inference.models import PromptMessage
from appliance.inference.onnx_folder import convert
from appliance.inference.onnx_folder.gguf import GgufFile
from appliance.inference.sources import LANGUAGE_MODEL, locate
from appliance.inference.store import ModelStore
from appliance.retrieval.models import Hit
from tests.security.injection_corpus import INJECTED, Injected

pytestmark = pytest.mark.models
BOUNDARY = "b0und4"
MODELFILE = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
Writer = Callable[[Sequence[PromptMessage]], int]
"""How many special tokens are in the prompt that somebody writes of these messages."""


@pytest.fixture(scope="module")
def native(models_dir: Path) -> Iterator[NativeModel]:
    store = ModelStore(models_dir)
    opened = NativeModel(store.verified_path(store.active("language")), context_tokens=64, threads=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """The tokenizer of a model folder, as GenAI and Foundry Local have it."""
    directory = tmp_path_factory.mktemp("folder")
    tokenizer, described = convert._tokenizer(GgufFile(locate(LANGUAGE_MODEL)).settings)
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    (directory / "tokenizer_config.json").write_text(json.dumps(described))
    return ChatTokenizer(directory)


def chatml(messages: Sequence[PromptMessage]) -> str:
    turns = "".join(f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n" for message in messages)
    return f"{turns}<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def writers(native: NativeModel, folder: ChatTokenizer) -> dict[str, Writer]:
    specials = set(folder._markers.values())

    def plain(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
        return [PromptMessage(message.role, folder.without_markers(message.text)) for message in messages]

    def control(tokens: Sequence[int]) -> int:
        return sum(not native.piece(token) for token in tokens)

    def marked(tokens: Sequence[int]) -> int:
        return sum(token in specials for token in tokens)

    return {
        "our own ChatML": lambda messages: control(dialect_of(native).render(messages)),
        "the template of the file": lambda messages: control(Template(native, native.template()).render(messages)),
        "the template of a Modelfile": lambda messages: control(dialect_of(native, MODELFILE).render(messages)),
        "a model folder": lambda messages: marked(folder.render(messages)),
        "a library that takes text": lambda messages: marked(folder._reading.encode(chatml(plain(messages))).ids),
        # a server that reads whatever looks like a token of its own: nothing that does may be in the prompt at all
        "a server that trusts all text": lambda messages: control(native.tokenise(chatml(messages), special=True)),
    }


def prompt_of(document: Injected) -> tuple[PromptMessage, ...]:
    hits = [Hit(1, "d", document.text, "c", 1, 0, len(document.text), document.text, document.text, 10, 1.0, 0.5, 1.0)] * 2
    return build_prompt(document.text, hits, [Exchange(document.text, document.text)], BOUNDARY)


def test_all_text_of_a_prompt_stays_text(writers: dict[str, Writer]):
    harmless = build_prompt("Why?", [], [Exchange("Who?", "I.")], BOUNDARY)
    for name, specials in writers.items():
        frame = specials(harmless)
        assert frame >= 2 * len(harmless) - 1, name
        wrong = [document.name for document in INJECTED if specials(prompt_of(document)) != frame]
        assert wrong == [], name


def test_also_unescaped_text_stays_text_where_we_write_the_prompt_ourselves(writers: dict[str, Writer]):
    def raw(text: str) -> list[PromptMessage]:
        return [PromptMessage("system", RULES), PromptMessage("user", text), PromptMessage("assistant", text)]

    ours = [name for name in writers if name != "a server that trusts all text"]
    for name in ours:
        frame = writers[name](raw("Why?"))
        tokens = [document for document in INJECTED if document.family in {"token", "invisible"}]
        assert [document.name for document in tokens if writers[name](raw(document.text)) != frame] == [], name
    trusting = writers["a server that trusts all text"]
    assert any(trusting(raw(document.text)) != trusting(raw("Why?")) for document in INJECTED), "the attacks are real"
