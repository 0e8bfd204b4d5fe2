"""Modelfiles: what is refused, with its line; and that what is written is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from appliance.inference.modelfile import PARAMETERS, Modelfile, parse_modelfile, render_modelfile
from appliance.inference.models import PromptMessage


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "modelfile.no_source", 0),
        ("# only a comment\n", "modelfile.no_source", 0),
        ("FROM a\nRUN rm\n", "modelfile.instruction", 2),
        ("FROM a\n\n# x\nPARAMETER warmth 1\n", "modelfile.parameter", 4),
        ("FROM a\nPARAMETER num_ctx many\n", "modelfile.value", 2),
        ("FROM a\nPARAMETER temperature nan\n", "modelfile.value", 2),
        ("FROM a\nPARAMETER use_mmap perhaps\n", "modelfile.value", 2),
        ("FROM a\nPARAMETER\n", "modelfile.parameter", 2),
        ("FROM a\nPARAMETER stop\n", "modelfile.value", 2),
        ("FROM a\nPARAMETER seed 1\nPARAMETER seed 2\n", "modelfile.repeated", 3),
        ("FROM a\nFROM b\n", "modelfile.repeated", 2),
        ("FROM a\nSYSTEM x\nSYSTEM y\n", "modelfile.repeated", 3),
        ("FROM\n", "modelfile.value", 1),
        ("FROM a\nADAPTER\n", "modelfile.value", 2),
        ("FROM a\nMESSAGE tool hello\n", "modelfile.role", 2),
        ('FROM a\nSYSTEM """never\nclosed\n', "modelfile.quotes", 2),
        ('FROM a\nSYSTEM """closed""" and more\n', "modelfile.quotes", 2),
        ('FROM a\nSYSTEM "open\n', "modelfile.quotes", 2),
        ("FROM a\nSYSTEM one\ntwo\n", "modelfile.instruction", 3),
        ("F" * 1_000_001, "modelfile.too_long", None),
    ],
)
def test_what_is_not_known_is_refused_with_its_line(text: str, code: str, line: int | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_modelfile(text)
    assert (refused.value.stable_code, refused.value.data.get("line")) == (code, line)


def test_three_quotes_inside_a_text_cannot_be_written() -> None:
    with pytest.raises(InvalidInput, match="three quotes"):
        render_modelfile(Modelfile("a", system='one\n""" two'))


def test_all_instructions_are_read() -> None:
    text = '''\ufeff# made by hand
from  ./weights.gguf
ADAPTER ./lora.gguf
PARAMETER temperature 0.2
PARAMETER num_ctx 8192
PARAMETER stop "<|im_end|>"
PARAMETER stop <|im_start|>
PARAMETER use_mmap FALSE
TEMPLATE """{{ .System }}
# not a comment
{{ .Prompt }}"""
SYSTEM You answer briefly.
MESSAGE user "Is Vienna in Austria?"
MESSAGE assistant """yes, it "is""""
LICENSE """
line one

line two
"""
'''
    assert parse_modelfile(text.replace("\nSYSTEM", "\r\nSYSTEM")) == Modelfile(
        source="./weights.gguf",
        parameters=(
            ("temperature", 0.2),
            ("num_ctx", 8192),
            ("stop", "<|im_end|>"),
            ("stop", "<|im_start|>"),
            ("use_mmap", False),
        ),
        system="You answer briefly.",
        template="{{ .System }}\n# not a comment\n{{ .Prompt }}",
        adapters=("./lora.gguf",),
        licences=("\nline one\n\nline two\n",),
        messages=(PromptMessage("user", "Is Vienna in Austria?"), PromptMessage("assistant", 'yes, it "is"')),
    )


def test_parameters_are_looked_up_by_name() -> None:
    read = parse_modelfile("FROM a\nPARAMETER num_ctx 512\nPARAMETER stop x\n")
    assert (read.parameter("num_ctx"), read.parameter("seed"), read.stops) == (512, None, ("x",))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: '"""' not in text)
filled = texts.filter(bool)
values = {
    int: st.integers(-(2**31), 2**31),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    str: filled,
}


@st.composite
def modelfiles(draw: st.DrawFn) -> Modelfile:
    once = draw(st.lists(st.sampled_from([name for name in PARAMETERS if name != "stop"]), unique=True, max_size=5))
    names = once + ["stop"] * draw(st.integers(0, 3))
    message = st.builds(PromptMessage, st.sampled_from(["system", "user", "assistant"]), texts)
    return Modelfile(
        source=draw(filled),
        parameters=tuple((name, draw(values[PARAMETERS[name]])) for name in names),
        system=draw(texts),
        template=draw(texts),
        adapters=tuple(draw(st.lists(filled, max_size=2))),
        licences=tuple(draw(st.lists(filled, max_size=2))),
        messages=tuple(draw(st.lists(message, max_size=3))),
    )


@given(modelfiles())
def test_what_is_written_is_what_is_read(modelfile: Modelfile) -> None:
    assert parse_modelfile(render_modelfile(modelfile)) == modelfile


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_modelfile("FROM a\n" + text)
    except InvalidInput as refused:
        assert refused.stable_code.startswith("modelfile.")
