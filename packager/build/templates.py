"""Prompt templates: Ollama's Go templates, and the tokens that end a completion."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.packager.model_description import Setting
from starfreight.recipe import Recipe

_FIM = "{{- if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>{{- else }}"

TEMPLATES = {
    "completion": _FIM + "{{ .Prompt }}{{- end }}",
    # No dash before the last end: it would remove the newline that the training data have there.
    "instruct": (
        f"{_FIM}{{{{ if .System }}}}{{{{ .System }}}}\n\n{{{{ end }}}}"
        "### Instruction\n{{ .Prompt }}\n\n### Response\n{{ end }}"
    ),
}
"""By the values of ``package.template``. ``.Suffix`` gives a model Ollama's ``insert`` capability."""

# llama.cpp ignores StarCoder2's sliding window, so its output drifts beyond this many tokens.
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


def template_text(recipe: Recipe) -> str:
    """The recipe's template; ``auto`` follows the formats of its data."""
    choice = recipe.package.template
    if choice == "auto":
        choice = "instruct" if any(data.format == "instruct" for data in recipe.data) else "completion"
    return TEMPLATES.get(choice, choice)


def settings(recipe: Recipe, architecture: str, context_length: int) -> Mapping[str, Setting]:
    """Ollama's parameters: the stops, a safe context length, and the recipe's own."""
    return {
        "num_ctx": min(context_length, _WINDOW),
        "stop": _STOPS[architecture],
        **recipe.package.parameters,
    }
