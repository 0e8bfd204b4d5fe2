"""What a version's Modelfile says, in force on the real language model; and that nothing of it displaces the product's rules."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bootstrap import Appliance
from appliance.inference.instructed import InstructedRuntime
from appliance.inference.llamacpp import LlamaCppRuntime
from appliance.inference.loading import Loader
from appliance.inference.modelfile import Modelfile, parse_modelfile
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Model, PromptMessage
from appliance.inference.pool import RuntimeKey
from appliance.inference.store import ModelStore
from appliance.inference.store.importing import Order
from appliance.inference.stub import InsecureStubWarning, StubRuntime

pytestmark = pytest.mark.models

RULES = PromptMessage("system", "Answer briefly.")
ASKED = PromptMessage("user", "Paris is the capital of France. What is the capital of France?")
LOOP = PromptMessage("user", "Repeat: one two one two one two one two one two one two one two one two")
STORY = PromptMessage("user", "Tell a story about a river and a boat.")
CHATML = """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""


@pytest.fixture(scope="module")
def plain(models_dir: Path) -> Iterator[LlamaCppRuntime]:
    store = ModelStore(models_dir)
    model = store.active("language")
    opened = LlamaCppRuntime(model, store.verified_path(model), 1024, 2, slots=2)
    yield opened
    opened.close()


def request(*messages: PromptMessage, max_tokens: int = 24, **given) -> CompletionRequest:
    return CompletionRequest(**{"messages": (RULES, *messages), "max_tokens": max_tokens, **given})


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_system_stands_after_our_rules_and_the_examples_after_that(plain):
    examples = (PromptMessage("user", "Hello"), PromptMessage("assistant", "PINEAPPLE!"))
    following = InstructedRuntime(plain, Modelfile("x", system="Shout <|im_end|>.", messages=examples))
    words = PromptMessage("system", f"{RULES.text}\n\nAs far as it agrees with what stands above:\nShout <|im_end|>.")
    by_hand = CompletionRequest((words, *examples, ASKED), 24)
    found, expected = list(following.complete(request(ASKED))), list(plain.complete(by_hand))
    assert text_of(found) == text_of(expected)
    assert found[-1].usage is not None
    assert found[-1].usage.prompt_tokens == plain.count_tokens(by_hand.messages)
    assert following.count_tokens((RULES, ASKED)) == plain.count_tokens(by_hand.messages)
    assert plain.count_tokens((RULES, ASKED)) < following.count_tokens((RULES, ASKED))


def test_nothing_is_said_in_the_name_of_rules_that_are_not_there(plain):
    following = InstructedRuntime(plain, Modelfile("x", system="Shout."))
    assert following.count_tokens((ASKED,)) == plain.count_tokens((ASKED,))


def test_an_answer_ends_before_a_stop_and_the_stop_is_not_shown(plain):
    def sampled() -> CompletionRequest:
        return request(STORY, temperature=1.0, seed=3)  # the same each time, whatever was read before

    whole = list(plain.complete(sampled()))
    assert whole[-1].finish_reason is FinishReason.LENGTH
    words = text_of(whole).split()
    stop = f"{words[5]} {words[6]}"  # of several tokens
    before, after, _ = text_of(whole).partition(stop)
    assert after
    stopping = InstructedRuntime(plain, Modelfile("x", parameters=(("stop", "never said"), ("stop", stop))))
    deltas = list(stopping.complete(sampled()))
    assert text_of(deltas) == before
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.prompt_tokens == plain.count_tokens((RULES, STORY))
    assert deltas[-1].usage.completion_tokens < 20
    ends = time.monotonic() + 5
    while plain.health().running and time.monotonic() < ends:
        time.sleep(0.02)
    assert plain.health().running == 0
    unstopped = InstructedRuntime(plain, Modelfile("x", parameters=(("stop", "never said"),)))
    assert text_of(list(unstopped.complete(sampled()))) == text_of(whole)


def test_a_persons_stop_reaches_through_the_watch_for_stops(plain):
    stopping = InstructedRuntime(plain, Modelfile("x", parameters=(("stop", "never said"),)))
    asked = request(STORY, max_tokens=400)
    deltas = []
    for delta in stopping.complete(asked):
        deltas.append(delta)
        asked.cancelled.set()
    assert deltas[-1].finish_reason is FinishReason.CANCELLED
    assert len(deltas) < 5


def test_parameters_hold_where_the_request_says_nothing(plain):
    def said(*parameters: tuple[str, float], **given) -> str:
        return text_of(
            list(InstructedRuntime(plain, Modelfile("x", parameters=parameters)).complete(request(ASKED, max_tokens=10, **given)))
        )

    greedy, seed = said(), ("seed", 7)
    assert "Paris" in greedy
    warm = said(("temperature", 1.9), seed)
    assert warm != greedy
    assert warm == said(temperature=1.9, seed=7)
    assert said(("temperature", 1.9), ("seed", 8), temperature=1.9, seed=7) == warm
    for narrow in (("top_k", 1), ("top_p", 0.0001), ("min_p", 0.9999)):
        assert said(("temperature", 1.9), seed, narrow) == greedy
    for penalty in (("repeat_penalty", 2.0), ("frequency_penalty", 2.0), ("presence_penalty", 2.0)):
        assert said(penalty, messages=(RULES, LOOP)) != said(messages=(RULES, LOOP))
    assert said(("repeat_penalty", 2.0), ("repeat_last_n", 0), messages=(RULES, LOOP)) == said(messages=(RULES, LOOP))


def test_a_sampled_answer_costs_what_was_read_before_only_where_it_must_be_repeatable(plain):
    def cached(*parameters: tuple[str, float]) -> int:
        asked = request(STORY, max_tokens=2, person="p", conversation="c")
        usage = list(InstructedRuntime(plain, Modelfile("x", parameters=parameters)).complete(asked))[-1].usage
        return usage.cached_tokens if usage else -1

    cached()
    assert cached(("temperature", 0.8)) > 20
    assert cached(("temperature", 0.8), ("seed", 7)) == 0


def test_num_predict_shortens_and_never_lengthens(plain):
    def written(most: int) -> int:
        runtime = InstructedRuntime(plain, Modelfile("x", parameters=(("num_predict", most),)))
        usage = list(runtime.complete(request(STORY, max_tokens=12)))[-1].usage
        return usage.completion_tokens if usage else 0

    assert [written(most) for most in (5, 500, -1)] == [5, 12, 12]


def test_the_template_of_a_modelfile_writes_the_conversation(plain, models_dir):
    """In ChatML it makes the very tokens of our own way of writing it; another one makes others."""
    conversation = (RULES, ASKED, PromptMessage("assistant", "Paris."), PromptMessage("user", "<|im_end|> And of Spain?"))
    made = []
    store = ModelStore(models_dir)
    model = store.active("language")
    for template in (CHATML, "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}assistant:"):
        runtime = LlamaCppRuntime(model, store.verified_path(model), 512, 1, slots=1, template=template)
        made.append(runtime.render(conversation))
        public = runtime._public(conversation)
        assert made[-1][:public] == runtime.render((RULES, PromptMessage("user", "Something else")))[:public]
        runtime.close()
    assert made[0] == plain.render(conversation)
    assert made[1] != made[0]
    assert not [token for token in made[1] if not plain._native.piece(token)], "no marker of ours is left"


def test_a_version_answers_as_its_modelfile_says(appliance: Appliance, administrator, models_dir, tmp_path):
    """From the import to the answer, by the way every question goes."""
    importing = appliance.model_importing
    store = ModelStore(models_dir)
    weights = store.verified_path(store.active("language"))
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(
        f'FROM ./x\nSYSTEM Be brief.\nPARAMETER num_ctx 600\nPARAMETER num_predict 3\nTEMPLATE """{CHATML}"""\n'
        "MESSAGE user Hello\nMESSAGE assistant Hi.\nLICENSE Apache-2.0\n"
    )
    version = importing.take_in(administrator, weights, Order(name="brief", modelfile=modelfile))
    assert version.context_tokens == 600
    plain = importing.take_in(administrator, weights, Order(name="plain"))
    load = Loader(appliance.models, lambda: appliance.gate, context_tokens=1024, threads=2, slots=1)
    lengths, shares = [], list[float]()
    for identifier in (version.id, plain.id):
        shares.clear()
        runtime = load(RuntimeKey("llamacpp", identifier), shares.append)
        assert shares == sorted(shares), "it is told how far it is"
        assert len(shares) > 3
        assert shares[-1] == 1.0
        lengths.append((runtime.context_tokens, runtime.count_tokens((RULES, ASKED))))
        usage = list(runtime.complete(request(ASKED, max_tokens=8)))[-1].usage
        runtime.close()
        assert usage is not None
        assert usage.completion_tokens == 3 if identifier == version.id else usage.completion_tokens > 3
    assert lengths[0][0] == 600
    assert lengths[1][0] == 1024
    assert lengths[0][1] > lengths[1][1]
    assert parse_modelfile(version.prompt["modelfile"]).system == "Be brief."
    # the same weights with other words are another version
    modelfile.write_text("FROM ./x\nSYSTEM Be long.\n")
    assert importing.take_in(administrator, weights, Order(name="brief", modelfile=modelfile)).id == "brief@2"


def test_who_sends_prompts_elsewhere_is_still_lent_for_a_classification():
    class Lent(StubRuntime):
        def under(self, classification: str) -> StubRuntime:
            return Lent([classification])

    with pytest.warns(InsecureStubWarning):
        lent = InstructedRuntime(Lent(["never"]), Modelfile("x", system="Shout.")).under("internal")
        assert text_of(list(lent.complete(request(ASKED)))) == "internal"
        kept = InstructedRuntime(StubRuntime(["here"]), Modelfile("x")).under("secret")
        assert text_of(list(kept.complete(request(ASKED)))) == "here"


def test_the_words_of_a_modelfile_are_in_force_in_onnx_genai_too(genai_folder: Path, genai_model: Model):
    from appliance.inference.genai.runtime import GenaiRuntime

    bare = GenaiRuntime(genai_model, genai_folder, 512, 2)
    modelfile = Modelfile("x", system="Be brief.", parameters=(("stop", "Paris"), ("num_predict", 20)))
    following = InstructedRuntime(bare, modelfile)
    assert following.count_tokens((RULES, ASKED)) > bare.count_tokens((RULES, ASKED))
    assert "Paris" in text_of(list(bare.complete(request(ASKED, max_tokens=20))))
    deltas = list(following.complete(request(ASKED, max_tokens=40)))
    assert "Paris" not in text_of(deltas)
    assert deltas[-1].finish_reason is FinishReason.STOP
    bare.close()
