"""A recipe's own template is rendered before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.errors import RecipeError
from starfreight.packager.build.check_template import template_notes
from starfreight.packager.build.package_plan import plan_package
from starfreight.packager.build.templates import TEMPLATES
from starfreight.recipe import Recipe, validate_recipe

FIM = "{{ if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>{{ else }}"


def recipe(template: str, format: str = "fim", **package: Any) -> Recipe:
    return validate_recipe(
        {
            "version": 1,
            "name": "t",
            "base": {"model": "./base", "license": "MIT"},
            "data": [{"source": "./src", "format": format}],
            "package": {"template": template, **package},
        },
        "recipe",
    )


@pytest.mark.parametrize("format", ["fim", "instruct"])
@pytest.mark.parametrize("template", ["auto", "completion", "instruct", *TEMPLATES.values()])
def test_the_built_in_templates_and_their_texts_are_right(template: str, format: str) -> None:
    if template == TEMPLATES["completion"] and format == "instruct":
        return  # Not meant for conversations.
    assert template_notes(recipe(template, format)) == ()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ .Prompt", "line 1: an action is not closed"),
        ("\n\n{{ if .System }}{{ .Prompt }}", r"line 3: {{ if }} without {{ end }}"),
        ("{{ upper .Prompt }}", "line 1: the function 'upper' does not exist"),
        ("{{ .Prompt }}{{ end }}", "{{ end }} without a beginning"),
        ("{{ .Promt }}", r"no template field \.Promt"),
        ("{{ .prompt }}", r"no template field \.prompt"),
        ("{{ .Prompt.Text }}", "a field .Text of a str"),
        ("{{ .Prompt }}{{ .Suffix }}", "contains '<no value>'"),
        ("Hello", "does not contain the request"),
        ("{{ .System }}", "does not contain the request"),
        ("{{ if .System }}{{ .Prompt }}{{ end }}", "does not contain the request"),
        ("{{ range .Messages }}{{ .Contents }}{{ end }}", r"no template field \.Contents"),
        ("{{ range .Messages }}{{ .Role }}{{ end }}", "does not contain the request"),
        ("{{ if .Suffix }}{{ .Prompt }}{{ else }}{{ .Prompt }}{{ end }}", "texts before and after"),
        ("{{ if .Prompt }}{{ .Prompt }}{{ .Response }}{{ else }}x{{ end }}", "fails at an else"),
        ("{{ $x }}", r"undefined variable \$x"),
        ('{{ template "x" }}{{ .Prompt }}', "without a value"),
        ('{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}{{ .Messages }}',
         "call each other without end"),
        ("{{ json .Prompt }}", "not defined where Ollama renders the last turn"),
        ("{{ range 1000000 }}{{ end }}{{ .Prompt }}", "too many steps"),
        ("{{ if .Prompt }}" * 5000, "nested too deeply"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_work_is_refused(template: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as refused:
        template_notes(recipe(template))
    assert (refused.value.where or "").startswith("key package.template")


@pytest.mark.parametrize(
    ("template", "package", "note"),
    [
        ("{{ .Prompt }}", {}, "no .Suffix"),
        ("{{ .Prompt }}", {"format": "instruct"}, "no end mark after an answer"),
        ("{{ range .Messages }}{{ if eq .Role `user` }}{{ .Content }}{{ end }}{{ end }}",
         {"format": "instruct"}, "leaves earlier answers"),
        (FIM + "{{ .Prompt }}{{ end }}", {"system": "Be brief."}, "package.system is never sent"),
        ("{{ if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ else }}{{ .Prompt }}{{ end }}", {},
         "another prompt than training"),
        (FIM.replace("<fim_prefix>", "\n<fim_prefix>") + "{{ .Prompt }}{{ end }}", {}, "white space around"),
        ("{{ .Prompt }}{{ if .Weather }}{{ end }}", {"format": "instruct"}, "uses .Weather"),
        ("{{ currentDate }}{{ range .Messages }}{{ .Content }}{{ end }}", {}, "cannot be rendered here"),
        ("{{ html .Prompt }}", {}, "cannot be rendered here"),
    ],
)  # fmt: skip
def test_a_template_unlike_training_is_noted(template: str, package: dict[str, Any], note: str) -> None:
    assert note in " ".join(template_notes(recipe(template, **package)))


def test_the_plan_refuses_and_notes(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    shape = dataclasses.replace(open_checkpoint(make_checkpoint(tmp_path / "base")).shape)
    assert "no .Suffix" in plan_package(recipe("{{ .Prompt }}"), shape, 1).notes[0]
    with pytest.raises(RecipeError, match="Promt"):
        plan_package(recipe("{{ .Promt }}"), shape, 1)
