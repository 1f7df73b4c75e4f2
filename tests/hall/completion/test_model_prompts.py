"""Prompts of packaged models: the frame of a template, the first token, and texts that are too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from starfreight.completion.model_prompts import ModelPrompts
from starfreight.completion.model_source import ModelSource
from starfreight.errors import InputError

SPECIAL = {"<PRE>": 1001, "<SUF>": 1002, "<MID>": 1003, "<s>": 1004}
PLAIN = {"general.architecture": "llama"}
BEGINS = {"tokenizer.ggml.bos_token_id": 1004, "tokenizer.ggml.add_bos_token": True}
FIM = {f"tokenizer.ggml.fim_{name}_token_id": 1001 + at for at, name in enumerate(("pre", "suf", "mid"))}
INFILL = "{{ if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ else }}{{ .Prompt }}{{ end }}"


def encode(text: str, *, special: bool = False) -> list[int]:
    """A token for each character, and for each special token."""
    ids: list[int] = []
    while text:
        name = next((each for each in SPECIAL if special and text.startswith(each)), text[0])
        ids.append(SPECIAL.get(name, ord(text[0])))
        text = text[len(name) :]
    return ids


def prompts(template: str | None = None, system: str | None = None, **keys: Any) -> ModelPrompts:
    source = ModelSource("m", Path("absent.gguf"), template=template, system=system)
    return ModelPrompts(source, encode, PLAIN | keys)


def test_a_frame_is_the_templates() -> None:
    assert list(prompts(INFILL).fill("ab", "cd", 50).ids) == [1001, 97, 98, 1002, 99, 100, 1003]
    # Suffix first, as some models want it.
    other = "<PRE><SUF>{{ .Suffix }}<MID>{{ .Prompt }}"
    assert prompts(other).fill_form is None and prompts(other, **FIM).fill_form == "tokens"


@pytest.mark.parametrize(
    "template",
    [
        "{{ .Prompt }}{{ .Suffix }}{{ .Prompt }}", "{{ .Prompt }}{{ if .Suffix }}x{{ end }}", "{{ .Prompt }}",
        "{{ .Suffix }}", None,
    ],
)  # fmt: skip
def test_a_template_without_the_two_texts_is_left_out(template: str | None) -> None:
    assert prompts(template).fill_form is None
    with pytest.raises(InputError, match="no fill-in-the-middle"):
        prompts(template).fill("a", "b", 50)
    assert list(prompts(template, **FIM).fill("a", "b", 50).ids) == [1001, 97, 1002, 98, 1003]


def test_the_first_token_is_llama_cpps() -> None:
    assert prompts(**BEGINS).resume("ab", 50).ids == (1004, 97, 98)
    assert prompts(**BEGINS, **FIM).fill("a", "b", 50).ids[:2] == (1004, 1001)
    assert prompts(INFILL, **BEGINS).fill("a", "b", 50).ids[:2] == (1004, 1001)
    assert prompts("<s>[{{ .Prompt }}]", **BEGINS).instruct("a", 50).ids == (1004, 91, 97, 93)  # Once.
    by_type = {"tokenizer.ggml.bos_token_id": 1004, "tokenizer.ggml.model": "llama"}
    assert prompts(**by_type).resume("a", 50).ids == (1004, 97)
    assert prompts(**by_type | {"tokenizer.ggml.model": "gpt2"}).resume("a", 50).ids == (97,)
    assert prompts(**{"tokenizer.ggml.eos_token_id": 7}).resume("", 50).ids == (7,)
    assert prompts().resume("", 50).ids == ()


@pytest.mark.parametrize("keys", [{}, BEGINS])
@pytest.mark.parametrize("length", [10, 29, 30, 31, 200])
def test_texts_that_are_too_long_are_shortened(length: int, keys: dict[str, Any]) -> None:
    room = 32
    text, suffix = "a" * length + "z", "y" + "b" * length
    model = prompts(INFILL, **keys, **FIM)
    filled, resumed = model.fill(text, suffix, room), model.resume(text, room)
    instructed = prompts("[{{ .Prompt }}]", **keys).instruct(text, room)
    for found, whole in ((filled, 2 * length + 5), (resumed, length + 1), (instructed, length + 3)):
        whole += len(keys) // 2
        assert len(found.ids) == min(whole, room) and found.shortened == (whole > room)
        assert ord("z") in found.ids  # The end of the prefix is kept,
    assert ord("y") in filled.ids  # and the beginning of the suffix.
    assert chr(instructed.ids[-1]) == "]"


def test_an_instruction_has_the_system_prompt() -> None:
    template = "{{ if .System }}<{{ .System }}>{{ end }}{{ .Prompt }}"
    ids = prompts(template, "Be brief.").instruct("Go.", 50).ids
    assert "".join(map(chr, ids)) == "<Be brief.>Go."
    assert prompts(template, "Be brief.").instructs and not prompts(template).instructs
