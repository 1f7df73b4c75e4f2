"""Prompt templates and parameters: the text at use is the text of training.

Ollama runs a Go template without ``.Messages`` once for each turn, up to an answer, and cuts the last turn
after ``.Response`` (its ``template/template.go``). llama-server reads a Jinja template in the GGUF file. Both
render a conversation as ``starfreight.jobs.data.formats.instruct`` does; a test compares the token ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from starfreight.package import Package
from starfreight.packager.model_description import Setting
from starfreight.recipe import Recipe
from starfreight.recipe.ollama_parameters import shipped_parameters

_FIM = "{{- if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>{{- else }}"
_SYSTEM = "{{ if .System }}{{ .System }}\n\n{{ end }}"
_USER = "### Instruction\n{{ .Prompt }}\n\n### Response\n"

TEMPLATES = {
    "completion": _FIM + "{{ .Prompt }}{{- end }}",
    # A dash in front of an end would remove the newlines that the training data have there.
    "instruct": (
        f"{_FIM}{_SYSTEM}{{{{ if .Prompt }}}}{_USER}{{{{ end }}}}"
        "{{ .Response }}{{ if .Response }}<|endoftext|>{{ end }}{{ end }}"
    ),
}
"""By the values of ``package.template``. ``.Suffix`` gives a model Ollama's ``insert`` capability."""

EARLIER_TEMPLATES = {
    "instruct": f"{_FIM}{_SYSTEM}{_USER}{{{{ end }}}}",
}
"""Of early packages, which continue to verify."""

CHAT_TEMPLATES = {
    # As in training: consecutive messages of one role are one message, empty ones are left out. Only
    # expressions write text, because llama.cpp and transformers trim the newlines around blocks. Ollama would
    # prefer a template that mentions tools or thinking to its own, which has `insert`.
    "instruct": r"""
{%- set ns = namespace(role='', text='') -%}
{%- for message in messages + [{'role': 'end', 'content': 'end'}] -%}
  {%- set role = 'system' if message['role'] == 'developer' else message['role'] -%}
  {%- if role not in ['system', 'user', 'assistant', 'end'] -%}
    {{- raise_exception('The roles of this model are system, user and assistant.') -}}
  {%- endif -%}
  {%- set text = message['content'] or '' -%}
  {%- if text | trim and role == ns.role -%}
    {%- set ns.text = ns.text + '\n\n' + text -%}
  {%- elif text | trim -%}
    {%- if ns.role == 'system' -%}
      {{- ns.text + '\n\n' -}}
    {%- elif ns.role == 'user' -%}
      {{- '### Instruction\n' + ns.text + '\n\n### Response\n' -}}
    {%- elif ns.role == 'assistant' -%}
      {{- ns.text + '<|endoftext|>' -}}
    {%- endif -%}
    {%- set ns.role = role -%}
    {%- set ns.text = text -%}
  {%- endif -%}
{%- endfor -%}
""".strip(),
}
"""Jinja templates of conversations, for GGUF files. A completion model has no conversations."""

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
_NO_STOPS: tuple[str, ...] = ()
"""Of an architecture that only a forged record names."""

_MOST_BYTES = 1 << 20

_EARLIER_NUM_CTX = 4096
"""Largest default ``num_ctx`` of early packages, whatever the model's window."""


def template_text(recipe: Recipe) -> str:
    """The recipe's template; ``auto`` follows the formats of its data."""
    choice = _template_choice(recipe)
    return TEMPLATES.get(choice, choice)


def chat_template(recipe: Recipe) -> str | None:
    """The Jinja template of a conversation: the recipe's, or the built-in one; ``None`` without either."""
    return recipe.package.chat_template or CHAT_TEMPLATES.get(_template_choice(recipe))


def settings(
    recipe: Recipe, architecture: str, context_length: int, sliding_window: int | None = None
) -> Mapping[str, Setting]:
    """Ollama's parameters: the stops, the longest safe context, and the recipe's own, which replace these.

    Args:
        recipe: the recipe.
        architecture: ``starcoder2`` or ``starcoder``.
        context_length: of the model, in tokens.
        sliding_window: of the model, in tokens. llama.cpp ignores it, so output drifts beyond it.
    """
    return {
        "num_ctx": min(context_length, sliding_window or context_length),
        "stop": _STOPS.get(architecture, _NO_STOPS),
        **shipped_parameters(recipe.package.parameters),
    }


def has_current_template(folder: Path, package: Package, recipe: Recipe) -> bool:
    """False if a package of this recipe has the template of an earlier version.

    Args:
        folder: the package's directory, verified.
        package: its record.
        recipe: the recipe of its run.
    """
    from starfreight.image_layout.reader import ImageLayout

    current = template_text(recipe).encode()
    return package.template is None or ImageLayout(folder).read(package.template, _MOST_BYTES) == current


def possible_templates(recipe: Recipe) -> Iterator[str]:
    """The template in a package of this recipe: the current one, then those of earlier versions."""
    yield template_text(recipe)
    earlier = EARLIER_TEMPLATES.get(_template_choice(recipe))
    if earlier is not None:
        yield earlier


def possible_settings(
    recipe: Recipe, architecture: str, context_length: int, num_ctx: object
) -> Iterator[Mapping[str, Setting]]:
    """The parameters in a package of this recipe: the current ones, then those of earlier versions.

    Args:
        recipe: the recipe.
        architecture: as in the package's record.
        context_length: the same.
        num_ctx: the package's own. A package does not record the model's window, so any length up to the
            model's context is possible.
    """
    window = num_ctx if type(num_ctx) is int and 1 <= num_ctx <= context_length else None
    yield settings(recipe, architecture, context_length, window)
    yield {
        "num_ctx": min(context_length, _EARLIER_NUM_CTX),
        "stop": _STOPS.get(architecture, _NO_STOPS),
        **recipe.package.parameters,
    }


def _template_choice(recipe: Recipe) -> str:
    choice = recipe.package.template
    if choice == "auto":
        return "instruct" if any(data.format == "instruct" for data in recipe.data) else "completion"
    return choice
