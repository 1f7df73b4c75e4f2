"""Go's templates, by examples of its documentation and of templates for models."""

from __future__ import annotations

from typing import Any

import pytest

from starfreight.ollama_template.go_template import (
    FUNCTIONS,
    Struct,
    TemplateError,
    parse_template,
    render,
)
from starfreight.ollama_template.template import OllamaTemplate

DATA: dict[str, Any] = {
    "A": "a", "Empty": "", "Zero": 0, "Yes": True, "List": ["x", "y", "z"], "Map": {"k": "v", "b": 2},
    "Messages": [Struct(Role="user", Content="Hi"), Struct(Role="assistant", Content="Ho")],
}  # fmt: skip


def shown(text: str) -> str:
    parsed = parse_template(text, frozenset(FUNCTIONS))
    return render(parsed.nodes, DATA, parsed.defined)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{23 -}} < {{- 45}}", "23<45"),
        ("{{- 3}}{{-3}}", "3-3"),
        ("a {{- .A -}} b", "aab"),
        ("a {{- /* a }} comment */ -}} b", "ab"),
        ("a{{/* x */}}b", "ab"),
        ('{{ "}}" }}', "}}"),
        ("{{ `a\nb` }}", "a\nb"),
        ('{{ "a\\n\\"\\u00e9\\x41" }}', 'a\n"éA'),
        ("{{ 'x' }}", "120"),
        ("{{ 0x10 }} {{ 1_000 }} {{ 1.50 }} {{ 2e3 }} {{ true }}", "16 1000 1.5 2000 true"),
        ("{{ .Missing }}", "<no value>"),
        ("{{ if .Missing }}a{{ else if .A }}b{{ else }}c{{ end }}", "b"),
        ("{{ if .Empty }}a{{ else }}c{{ end }}{{ if .Zero }}d{{ end }}", "c"),
        ("{{ if and .A .Yes }}1{{ end }}{{ or .Empty .A }}{{ and .Empty .A }}{{ not .A }}", "1afalse"),
        ("{{ if or .A .A.B }}short{{ end }}", "short"),
        ("{{ with .A }}{{ . }}{{ $.A }}{{ end }}{{ with .Empty }}x{{ else }}y{{ end }}", "aay"),
        ("{{ range .List }}{{ . }},{{ end }}", "x,y,z,"),
        ("{{ range $i, $x := .List }}{{ $i }}{{ $x }}{{ end }}", "0x1y2z"),
        ("{{ range $x := .List }}{{ $x }}{{ end }}", "xyz"),
        ("{{ range .Missing }}a{{ else }}none{{ end }}", "none"),
        ("{{ range $k, $v := .Map }}{{ $k }}{{ $v }}{{ end }}", "b2kv"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range .List }}{{ if eq . `y` }}{{ continue }}{{ end }}{{ . }}{{ end }}", "xz"),
        ("{{ range .List }}{{ if eq . `y` }}{{ break }}{{ end }}{{ . }}{{ end }}", "x"),
        ("{{ $x := 1 }}{{ if .A }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if .A }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
        ("{{ len .List }}{{ len .A }}{{ index .List 1 }}{{ index .Map `k` }}", "31yv"),
        ("{{ range $i, $m := .Messages }}{{ if eq (len (slice $.Messages $i)) 1 }}last {{ .Role }}{{ end }}"
         "{{ end }}", "last assistant"),
        ("{{ (index .Messages 0).Content }}", "Hi"),
        ("{{ printf `%s-%d|%5s|%-4s|%05d|%q|%v` .A 7 `r` `l` 42 `q` .Yes }}",
         'a-7|    r|l   |00042|"q"|true'),
        ("{{ 7 | printf `%d` | len }}", "1"),
        ("{{ json .List }}{{ json `<&>` }}", '["x","y","z"]"\\u003c\\u0026\\u003e"'),
        ("{{ eq 1 2 1 }}{{ ne `a` `b` }}{{ lt 1 2 }}{{ ge `b` `a` }}", "truetruetruetrue"),
        ('{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" .A }}', "[a]"),
        ('{{ block "t" .A }}<{{ . }}>{{ end }}', "<a>"),
        ("{{ .List }}", "[x y z]"),
        ("{ {.A} }", "{ {.A} }"),
        ("{{ .Map.k }}{{ .Map.none }}", "v<no value>"),
        ("x\n{{- if .A }}\ny\n{{- end }}\n", "x\ny\n"),
    ],
)  # fmt: skip
def test_a_template_renders_as_in_go(template: str, text: str) -> None:
    assert shown(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{", "{{ }}", "{{ .A", "{{ /* x }}", "{{ if }}{{ end }}", "{{ if .A }}", "{{ end }}", "{{ else }}",
        "{{ if .A }}{{ else }}{{ else }}{{ end }}", "{{ range .A }}{{ end }}", "{{ break }}", "{{ nope }}",
        "{{ $x }}", "{{ $x = 1 }}", "{{ .A.B }}", "{{ .A .A }}", "{{ 1 2 }}", "{{ (1 }}", "{{ 1) }}",
        "{{ .A | }}", "{{ | .A }}", "{{ .A | .A }}", "{{ 'ab' }}", '{{ "a', '{{ "\\q" }}', "{{ # }}",
        "{{ len 3 }}", "{{ index .List 9 }}", "{{ slice .List 2 1 }}", "{{ lt 1 `a` }}", "{{ eq 1 }}",
        "{{ eq .A 1 }}", "{{ not }}", '{{ template "no" . }}', "{{ define x }}{{ end }}", "{{ printf }}",
        "{{ range .Messages }}{{ .Nope }}{{ end }}", "{{ .Missing.Field }}", '{{ "\\uD800" }}', "{{ 1.2.3 }}",
        "{{ range .List }}{{ end }}{{ range 99999999999 }}{{ end }}", "{{ printf `%d` }}{{ printf `x` 1 }}",
        '{{ "\\U00110000" }}', "{{ if .A }}{{ end .A }}", "{{ printf `%9999s` 1 2 }}",
        "{{ $x := `aaaa` }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}",
        "{{ range 99999 }}{{ printf `%9999s` `x` }}{{ end }}",
    ],
)  # fmt: skip
def test_what_go_refuses_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        shown(template)


def test_a_template_with_messages_is_rendered_once() -> None:
    template = OllamaTemplate(
        "{{ if .System }}S:{{ .System }}\n{{ end }}{{ range .Messages }}{{ .Role }}:{{ .Content }}\n{{ end }}"
    )
    messages = [("system", "s"), ("user", "a"), ("user", "b"), ("assistant", "c")]
    assert template.chat(messages) == "S:s\nsystem:s\nuser:a\n\nb\nassistant:c\n"
    assert not template.inserts


def test_the_last_turn_ends_at_the_response() -> None:
    template = OllamaTemplate("[{{ .Prompt }}]{{ .Response }}<end>")
    assert template.chat([("user", "a"), ("assistant", "b"), ("user", "c")]) == "[a]b<end>[c]"
    assert (
        OllamaTemplate("[{{ .Prompt }}]").chat([("user", "a"), ("assistant", "b"), ("user", "c")])
        == "[a]b[c]"
    )
    assert template.chat([]) == "[]"


def test_ollamas_functions_are_not_there_in_the_last_turn() -> None:
    with pytest.raises(TemplateError, match="last turn"):
        OllamaTemplate("{{ json .Prompt }}").chat([("user", "a")])


def test_without_a_text_before_the_cursor_ollama_does_not_insert() -> None:
    template = OllamaTemplate("{{ if .Suffix }}<{{ .Prompt }}|{{ .Suffix }}>{{ else }}{{ .Prompt }}{{ end }}")
    assert template.insert("a", "b") == "<a|b>"
    assert template.insert("", "b") == ""
