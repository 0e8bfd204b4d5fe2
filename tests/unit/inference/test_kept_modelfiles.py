"""Modelfiles at the import: whatever would have no effect with this model is refused, with a reason for each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.errors import InvalidInput
from appliance.inference.modelfile import parse_modelfile
from appliance.inference.store.modelfiles import check_usable, modelfile_of, prompt_of, with_context
from appliance.inference.store.versions import Facts

FACTS = Facts("gguf", "language", "tiny", "llama", "Q4_0", 135, 2048, 100, 1000, chat_template=True, licence="")
SAID = "FROM x\nSYSTEM Be brief.\nPARAMETER temperature 0.5\nPARAMETER stop a\nPARAMETER num_ctx 1024\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("PARAMETER num_gpu 1", "modelfile.parameter"),
        ("PARAMETER num_thread 4", "modelfile.parameter"),
        ("PARAMETER mirostat 1", "modelfile.parameter"),
        ("PARAMETER use_mmap true", "modelfile.parameter"),
        ("PARAMETER warmth 1", "modelfile.parameter"),
        ("PARAMETER num_ctx 4096", "modelfile.context"),
        ("PARAMETER num_ctx 100", "modelfile.context"),
        ("PARAMETER temperature 3", "modelfile.value"),
        ("PARAMETER temperature -1", "modelfile.value"),
        ("PARAMETER seed -1", "modelfile.value"),
        ("PARAMETER num_predict 0", "modelfile.value"),
        ("PARAMETER top_p 0", "modelfile.value"),
        ("PARAMETER top_k -1", "modelfile.value"),
        ("PARAMETER min_p 1", "modelfile.value"),
        ("PARAMETER repeat_penalty 9", "modelfile.value"),
        ("PARAMETER repeat_last_n -1", "modelfile.value"),
        (f"PARAMETER stop {'x' * 101}", "modelfile.value"),
        ("PARAMETER stop a\n" * 17, "modelfile.value"),
        (f"SYSTEM {'x' * 4001}", "modelfile.too_long"),
        (f"SYSTEM {'x' * 3000}\nMESSAGE user {'x' * 999}\nMESSAGE assistant xx", "modelfile.too_long"),
        ("SYSTEM a\u202eb", "modelfile.text"),
        ("MESSAGE user \u0007", "modelfile.text"),
        ("MESSAGE user only", "modelfile.messages"),
        ("MESSAGE assistant a\nMESSAGE user b", "modelfile.messages"),
        ("TEMPLATE {{ .Prompt }}", "modelfile.template"),
        ("TEMPLATE {{ .System }} {{ .Prompt", "modelfile.template"),
    ],
)
def test_what_would_have_no_effect_is_refused(text, code):
    with pytest.raises(InvalidInput) as refused:
        check_usable(parse_modelfile(f"FROM x\n{text}\n"), FACTS)
    assert refused.value.stable_code == code


def test_each_format_takes_what_its_runtimes_follow():
    genai = replace(FACTS, format="genai")
    for text in ("PARAMETER top_k 3", "TEMPLATE {{ .System }} {{ .Prompt }}"):
        modelfile = parse_modelfile(f"FROM x\n{text}\n")
        check_usable(modelfile, FACTS)
        with pytest.raises(InvalidInput):
            check_usable(modelfile, genai)
    check_usable(parse_modelfile(SAID), genai)
    with pytest.raises(InvalidInput) as refused:
        check_usable(parse_modelfile(SAID), replace(FACTS, kind="embedding"))
    assert refused.value.stable_code == "modelfile.kind"


def test_what_is_kept_is_what_was_said():
    modelfile = parse_modelfile(SAID + "MESSAGE system Kindly.\nMESSAGE user a\nMESSAGE assistant b\n")
    check_usable(modelfile, FACTS)
    assert modelfile_of(prompt_of(modelfile)) == replace(modelfile, source=".")
    assert with_context(FACTS, modelfile).context_tokens == 1024
    assert with_context(FACTS, parse_modelfile("FROM x\n")) == FACTS
    assert modelfile_of({}) is None
