"""Check a recipe's own ``package.template`` before training, by rendering it as Ollama does."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from starfreight.errors import RecipeError
from starfreight.ollama_template.go_template import NO_VALUE, TemplateError, UnsupportedTemplate
from starfreight.ollama_template.template import FIELDS, Message, OllamaTemplate
from starfreight.packager.build.templates import TEMPLATES
from starfreight.recipe import Recipe

_NESTED = (
    "Role", "Content", "Thinking", "Images", "ToolCalls", "ToolName", "ToolCallID", "Function", "Name",
    "Description", "Parameters", "Type", "Properties", "Required", "Arguments", "Index", "Items", "Enum",
    "ID", "Defs", "AnyOf",
)  # fmt: skip
"""The fields of messages and tools."""

_KEY = "package.template"
_END = "<|endoftext|>"
_FIM_FORMATS = ("fim", "repository")

_SYSTEM: Message = ("system", "Say `aleph`.")
_ASK: Message = ("user", "Write `beth`.")
_ANSWER: Message = ("assistant", "It is `gimel`.")
_AGAIN: Message = ("user", "Write `daleth`.")
_PREFIX, _SUFFIX = "def he(", "return `vav`"


@dataclass(frozen=True)
class _Rendered:
    """The prompts of a template."""

    one: str
    with_system: str
    two: str
    fill: str


def template_notes(recipe: Recipe) -> tuple[str, ...]:
    """Notes on a template that works but differs from training, one sentence each.

    Args:
        recipe: the recipe; the built-in templates have no notes.

    Raises:
        RecipeError: Ollama would refuse the template, or send prompts without the request.
    """
    text = recipe.package.template
    if text == "auto" or text in TEMPLATES:
        return ()
    try:
        template = OllamaTemplate(text)
        notes = _unknown_fields(template)
        rendered = _Rendered(
            template.chat([_ASK]),
            template.chat([_SYSTEM, _ASK]),
            template.chat([_ASK, _ANSWER, _AGAIN]),
            template.insert(_PREFIX, _SUFFIX) if template.inserts else "",
        )
    except UnsupportedTemplate as error:
        return (f"{_KEY} cannot be rendered here, so it is not checked: it uses {error}.",)
    except TemplateError as error:
        raise RecipeError(
            f"The key {_KEY!r} is not a template that Ollama can render: {error}.",
            where=f"key {_KEY}",
            fix="correct it, or use completion or instruct",
        ) from error
    _check(rendered, template)
    return (*notes, *_turn_notes(recipe, rendered), *_fill_notes(recipe, template, rendered))


def _unknown_fields(template: OllamaTemplate) -> list[str]:
    known = {*FIELDS, *_NESTED}
    names = {name.lower(): name for name in known}
    notes = []
    for name, line in template.fields:
        if name in known:
            continue
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.75)
        if near:
            raise RecipeError(
                f"Ollama has no template field .{name[:80]}.",
                where=f"key {_KEY}, line {line} of it",
                fix=f"did you mean .{names[near[0]]}?",
            )
        notes.append(f"{_KEY} uses .{name[:80]}, which Ollama does not have: it is empty.")
    return notes


def _check(rendered: _Rendered, template: OllamaTemplate) -> None:
    def refused(problem: str, fix: str) -> RecipeError:
        return RecipeError(f"The key {_KEY!r} is not valid: {problem}.", where=f"key {_KEY}", fix=fix)

    for prompt in (rendered.one, rendered.with_system, rendered.two, rendered.fill):
        if NO_VALUE in prompt:
            raise refused(
                f"a prompt contains {NO_VALUE!r}, printed for a field without a value",
                "put the field in an if, such as {{ if .Suffix }}{{ .Suffix }}{{ end }}",
            )
    if _ASK[1] not in rendered.one or _ASK[1] not in rendered.with_system or _AGAIN[1] not in rendered.two:
        raise refused("the prompt does not contain the request", "add {{ .Prompt }}")
    if template.inserts and (_PREFIX not in rendered.fill or _SUFFIX not in rendered.fill):
        raise refused(
            "with a suffix, the prompt does not contain the texts before and after the cursor",
            f"use {TEMPLATES['completion']}",
        )


def _turn_notes(recipe: Recipe, rendered: _Rendered) -> list[str]:
    notes = []
    if recipe.package.system and _SYSTEM[1] not in rendered.with_system:
        notes.append(f"{_KEY} has no .System, so package.system is never sent.")
    if not any(data.format == "instruct" for data in recipe.data):
        return notes
    if _ANSWER[1] not in rendered.two:
        notes.append(f"{_KEY} leaves earlier answers of a conversation out: add {{{{ .Response }}}}.")
    elif not rendered.two.split(_ANSWER[1], 1)[1].lstrip().startswith(_END):
        notes.append(
            f"{_KEY} has no end mark after an answer, where training has {_END}: from the second turn on, "
            "prompts differ from those of training."
        )
    return notes


def _fill_notes(recipe: Recipe, template: OllamaTemplate, rendered: _Rendered) -> list[str]:
    if not template.inserts:
        if any(data.format in _FIM_FORMATS for data in recipe.data):
            return [f"{_KEY} has no .Suffix, so Ollama cannot fill in between two texts (insert)."]
        return []
    trained = f"<fim_prefix>{_PREFIX}<fim_suffix>{_SUFFIX}<fim_middle>"
    if rendered.fill.strip() != trained:
        return [f"{_KEY} fills in with another prompt than training has: {TEMPLATES['completion']}"]
    if rendered.fill != trained:
        return [f"{_KEY} has white space around the fill-in-the-middle prompt, which training has not."]
    return []
