"""TEMPLATEs of Modelfiles: what they write, and what is refused rather than half understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from appliance.inference.conversation_template import ConversationTemplate
from appliance.inference.go_template import GoTemplate
from appliance.inference.models import PromptMessage

CONVERSATION = [
    PromptMessage("system", "s"),
    PromptMessage("user", "u"),
    PromptMessage("assistant", "a"),
    PromptMessage("user", "q"),
]
CHATML = "<|im_start|>system\n0<|im_end|>\n<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n3<|im_end|>\n<|im_start|>assistant\n"  # noqa: E501
BY_EXCHANGES = """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
BY_MESSAGES = """{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- /* one turn after the other */ -}}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" "model" }}<|im_start|>assistant
{{ if .Content }}{{ .Content }}{{ else if .ToolCalls }}
{{- range .ToolCalls }}{"name": "{{ .Function.Name }}"}{{ end }}{{ end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- end }}
{{- if and (ne .Role "assistant") $last }}<|im_start|>assistant
{{ end }}
{{- end }}"""


@pytest.mark.parametrize("template", [BY_EXCHANGES, BY_MESSAGES])
def test_both_kinds_write_a_whole_conversation(template):
    assert "".join(map(str, ConversationTemplate(template).parts(CONVERSATION))) == CHATML


def test_an_answer_belongs_at_the_end_of_one_that_does_not_say_where():
    parts = ConversationTemplate("[INST] {{ .System }} {{ .Prompt }} [/INST]").parts(CONVERSATION[:2])
    assert parts == ["[INST] ", 0, " ", 1, " [/INST]"]


@pytest.mark.parametrize(
    "template",
    [
        "",
        "no fields at all",
        "{{ .Prompt }}",  # leaves out the system's words
        "{{ .System }}{{ .Prompt }}{{ .Prompt }}",
        "{{ .Prompt }}{{ .System }}",
        "{{ range .Messages }}{{ end }}",
        '{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}{{ end }}{{ end }}',
        "{{ .System }}{{ .Prompt }}{{ if false }}{{ .Response }}{{ end }}",
        "{{ .System }}{{ .Prompt }}{{ .Secret }}",
        "{{ .System }}{{ .Prompt }}{{ env `HOME` }}",
        "{{ .System }}{{ .Prompt }}{{ if .Prompt }}",
        "{{ .System }}{{ .Prompt }}{{ end }}",
        "{{ .System }}{{ .Prompt }}{{ else }}",
        "{{ .System }}{{ .Prompt }}{{ $x }}",
        "{{ .System }}{{ .Prompt }}{{ $x = 1 }}",
        "{{ .System }}{{ .Prompt }}{{ }}",
        "{{ .System }}{{ .Prompt }}{{ (.System }}",
        "{{ .System }}{{ .Prompt }}{{ .System",
        "{{ .System }}{{ .Prompt }}{{ 1 | 2 }}",
        "{{ .System }}{{ .Prompt }}{{ len 3 }}",
        "{{ .System }}{{ .Prompt }}{{ range 3 }}{{ end }}",
        '{{ .System }}{{ .Prompt }}{{ template "x" }}',
        "{{ .System }}{{ .Prompt }}" + "{{ if true }}" * 60 + "{{ end }}" * 60,
        "{{ .System }}{{ .Prompt }}{{ " + "(" * 60 + "1" + ")" * 60 + " }}",
        "{{ .System }}{{ .Prompt }}" + "x" * 50_000,
        "{{ range .Messages }}{{ range $.Messages }}{{ range $.Messages }}" + "x" * 40_000 + "{{ end }}{{ end }}{{ end }}",
    ],
)
def test_what_would_write_another_conversation_is_refused(template):
    with pytest.raises(InvalidInput) as refused:
        ConversationTemplate(template)
    assert refused.value.stable_code == "modelfile.template"


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ("a {{- 1 -}} b", "a1b"),
        ("a {{ 1 }} b", "a 1 b"),
        ("{{ $n := 1 }}{{ if true }}{{ $n = 2 }}{{ $m := 3 }}{{ end }}{{ $n }}", "2"),
        ("{{ with .name }}{{ . }}{{ else }}none{{ end }}", "Ada"),
        ("{{ with .nothing }}{{ . }}{{ else }}none{{ end }}", "none"),
        ("{{ range .none }}x{{ else }}empty{{ end }}", "empty"),
        ("{{ range $n := .list }}{{ $n }},{{ end }}", "1,2,"),
        ("{{ range $i, $n := .list }}{{ $i }}{{ $n }}{{ end }}", "0112"),
        ("{{ .list | len | print }}{{ index .list 1 }}", "22"),
        ("{{ or .nothing .name }} {{ and .name 0 }} {{ not 0 }}", "Ada 0 true"),
        ("{{ if and (gt 2 1) (le 1 1) (lt 1 2) (ge 2 2) }}yes{{ end }}", "yes"),
        ('{{ "a\\n\\"b" }}{{ `c\\n` }}', 'a\n"bc\\n'),
        ("{{ json .list }}{{ .deep.er.still }}{{ (index .rows 0).name }}", "[1, 2]Eve"),
        ("{{ true }}{{ nil }}{{ -3 }}", "true-3"),
        ("{{/* nothing */}}x", "x"),
    ],
)
def test_the_language_means_what_it_means_in_go(template, written):
    values = {"name": "Ada", "list": [1, 2], "rows": [{"name": "Eve"}], "deep": {"er": {}}}
    assert GoTemplate(template).render(values) == written


@given(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "if", "end", "else", "range", ".Prompt", "$x", ":=", "(", ")", "|", "len", '"', " ", "1", "\\"]
        )
    )
)
def test_nonsense_is_refused_and_nothing_worse(pieces):
    try:
        GoTemplate(" ".join(pieces)).render({"Prompt": "p"})
    except InvalidInput as refused:
        assert refused.stable_code == "modelfile.template"
