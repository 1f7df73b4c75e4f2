"""Go's ``text/template``, as far as templates of models use it.

parsed = parse_template("{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}", frozenset(FUNCTIONS))
render(parsed.nodes, {"System": "", "Prompt": "Hello"})

It has all actions, and all functions but ``call``, ``html``, ``js`` and ``urlquery``. Values have no methods.
"""

from starfreight.ollama_template.go_template.functions import FUNCTIONS, NO_VALUE, OLLAMAS
from starfreight.ollama_template.go_template.nodes import (
    TemplateError,
    UnsupportedTemplate,
    fields_of,
)
from starfreight.ollama_template.go_template.parse import Parsed, parse_template
from starfreight.ollama_template.go_template.render import Struct, render

__all__ = [
    "FUNCTIONS",
    "NO_VALUE",
    "OLLAMAS",
    "Parsed",
    "Struct",
    "TemplateError",
    "UnsupportedTemplate",
    "fields_of",
    "parse_template",
    "render",
]
