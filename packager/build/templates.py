"""What turns a request into a prompt: Ollama's Go templates, and the tokens that end an answer."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.recipe import Recipe

_FIM = "{{- if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>{{- else }}"

TEMPLATES = {
    "completion": _FIM + "{{ .Prompt }}{{- end }}",
    # No dash before the last end: it would take away the newline that training had there.
    "instruct": (
        f"{_FIM}{{{{ if .System }}}}{{{{ .System }}}}\n\n{{{{ end }}}}"
        "### Instruction\n{{ .Prompt }}\n\n### Response\n{{ end }}"
    ),
}
"""By the names that ``package.template`` takes. ``.Suffix`` is what makes Ollama offer ``insert``."""

# llama.cpp ignores StarCoder2's sliding window, so past this many tokens its output drifts away.
_WINDOW = 4096

_STOPS = {
    "starcoder2": (
        "<|endoftext|>",
        "<file_sep>",
        "<repo_name>",
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
    ),
    "starcoder": (
        "<|endoftext|>",
        "<filename>",
        "<reponame>",
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
    ),
}

Setting = bool | int | float | str | tuple[str, ...]


def template_text(recipe: Recipe) -> str:
    """The template that a recipe asks for; ``auto`` follows the formats of its data."""
    choice = recipe.package.template
    if choice == "auto":
        choice = "instruct" if any(data.format == "instruct" for data in recipe.data) else "completion"
    return TEMPLATES.get(choice, choice)


def settings(recipe: Recipe, architecture: str, context_length: int) -> Mapping[str, Setting]:
    """Ollama's parameters: the stops, a context length that is safe, and what the recipe adds."""
    return {
        "num_ctx": min(context_length, _WINDOW),
        "stop": _STOPS[architecture],
        **recipe.package.parameters,
    }
