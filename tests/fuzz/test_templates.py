"""Modelfiles, Ollama's templates and recorded completions."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.train.completions import COMPLETIONS_FILE, Completions
from starfreight.packager.build.check_template import template_notes
from starfreight.packager.modelfile import parse_modelfile
from starfreight.recipe import validate_recipe

MODELFILE = (
    b'\xef\xbb\xbf# c\r\nFROM x\nTEMPLATE """a\n"""\nparameter stop "a b"\nMESSAGE user hi\nLICENSE b\n'
)
PIECES = st.sampled_from(
    [
        "{{", "}}", "{{- ", " -}}", "{{ end }}", "{{ else }}", "{{ if .System }}", "{{ range .Messages }}",
        "{{ range $i, $x := .Messages }}", "{{ with .Prompt }}", "{{ .Prompt }}", "{{ .Response }}", ".",
        "{{ $x := print .Prompt .Prompt }}", "{{ $x = print $x $x }}", "{{ range 99 }}", "(", ")", "|", "`",
        "'", "\\", "printf `%99d` 1", "json .", "len", "index . 1", "slice", "{{/* */}}", "{{ break }}",
        '{{ define "t" }}', '{{ template "t" . }}', '{{ block "t" . }}', "a", "\n", "1e999", "0x", "é",
        "\u2028", "{{ continue }}", '"', "$x",
    ]
)  # fmt: skip
COMPLETIONS = {
    "version": 1,
    "places": [{"prefix": "a", "suffix": "b", "expected": "c", "before": "d", "after": "e"}],
}


@fuzz
@given(changed_bytes(MODELFILE))
def test_a_modelfile(data: bytes) -> None:
    holds(lambda: parse_modelfile(data).parameters())


@fuzz
@given(st.lists(PIECES, max_size=60).map("".join))
def test_a_template(text: str) -> None:
    def check() -> object:
        recipe = {"version": 1, "name": "t", "base": {"model": "./b", "license": "MIT"}}
        data = [{"source": "./src", "format": "instruct"}]
        return template_notes(
            validate_recipe({**recipe, "data": data, "package": {"template": text or "x"}}, "recipe")
        )

    holds(check)


@fuzz
@given(changed_json(COMPLETIONS))
def test_recorded_completions(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / COMPLETIONS_FILE).write_bytes(data)
        holds(lambda: Completions.load(Path(folder)))
