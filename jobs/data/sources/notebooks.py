"""Jupyter notebooks as scripts: their code, with the text between it as comments.

This is the form of StarCoder's and StarCoder2's "Jupyter scripts", which were made with Jupytext (Li et al.
2023, section 3.2; Lozhkov et al. 2024, section 2.2). Outputs, pictures, attachments and metadata are dropped.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from starfreight.jobs.data.languages import language_names

SUFFIX = ".ipynb"

_ALIASES = {
    "bash": "Shell", "c++11": "C++", "c++14": "C++", "c++17": "C++", "c++20": "C++", "cpp": "C++",
    "csharp": "C#", "fsharp": "F#", "ipython": "Python", "ir": "R", "js": "JavaScript", "node": "JavaScript",
    "pwsh": "PowerShell", "pyspark": "Python", "sage": "Python", "sagemath": "Python", "sh": "Shell",
    "zsh": "Shell",
}  # fmt: skip
_COMMENTS = {
    "//": ("C", "C#", "C++", "D", "Dart", "F#", "Go", "Groovy", "Java", "JavaScript", "Kotlin", "PHP", "Rust",
           "Scala", "Swift", "TypeScript"),
    "--": ("Ada", "Elm", "Haskell", "Lua", "SQL"),
    ";;": ("Clojure", "Common Lisp", "Racket", "Scheme"),
    "%": ("Erlang", "Prolog", "TeX"),
    "!": ("Fortran",),
    "*": ("Stata",),
    "'": ("Visual Basic .NET",),
}  # fmt: skip
_PREFIXES = {language: prefix for prefix, languages in _COMMENTS.items() for language in languages}
# Lines and cells in other languages than that of the kernel: %matplotlib inline, !pip install x, %%bash.
# Such a line goes on after a backslash at its end. A line inside a string is none.
_TEXT = (
    r"(?P<text>\"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z)|'{3}(?:\\.|[^\\])*?(?:'{3}|\Z)"
    r"|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|#[^\n]*)"
)
_MAGIC_LINE = re.compile(
    r"^[ \t]*(?:(?:%{1,2}[A-Za-z]|!(?!=)|\?{1,2}\w)(?:[^\n]*\\\n)*[^\n]*|[\w.]+\?{1,2}[ \t]*$)|" + _TEXT,
    re.MULTILINE | re.DOTALL,
)
_FOREIGN_CELL = re.compile(
    r"\s*%%(?:(?:ada|athena|bash|bigquery|c|cmd|configure|cpp|csharp|cu|cuda|cypher|cython|dot|duckdb|file|fortran"
    r"|go|graphviz|gremlin|groovy|html|java|javascript|js|julia|kql|latex|lua|markdown|matlab|mermaid|nvcc|ocaml"
    r"|octave|perl|php|plantuml|postgresql|powershell|pwsh|pypy|r|ruby|rust|sas|scala|script|sh|spark|sparkr|sparksql"
    r"|sparql|sql|sqlite|stata|svg|system|trino|typescript|ts|verilog|writefile|yaml)\b|!)"
    # Databricks has the magics of whole cells with one mark.
    r"|\s*%(?:md\b|md-sandbox\b|(?:sql|sh|scala|r|fs)[ \t]*\n)",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(r"(data:[\w.+-]{1,50}/[\w.+-]{1,80};base64,)[A-Za-z0-9+/=]{64,}")


def notebook_script(text: str) -> tuple[str, str | None] | None:
    """Return a notebook as a script, and the language of its kernel (``None`` if that is unknown).

    Args:
        text: JSON of nbformat 3 or 4.

    Returns:
        ``None`` if it is not a notebook. The script is empty if no cell has text.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(notebook, dict):
        return None
    cells = _cells(notebook)
    if cells is None:
        return None
    language = _language(notebook, cells)
    prefix = _PREFIXES.get(language or "", "#")
    has_magics = language in (None, "Python")
    parts = []
    for cell in cells:
        source = _source(cell)
        if source is None:
            return None
        kind = cell.get("cell_type")
        source = _EMBEDDED.sub(r"\1", source.strip("\r\n").rstrip())
        if not source.strip() or kind not in ("code", "markdown", "heading"):
            continue
        if kind != "code" or (has_magics and _FOREIGN_CELL.match(source)):
            source = _commented(source, prefix)
        elif has_magics:
            source = _MAGIC_LINE.sub(
                lambda found: found[0] if found["text"] else _commented(found[0], prefix), source
            )
        parts.append(source)
    return ("\n\n".join(parts) + "\n" if parts else ""), language


def _cells(notebook: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = notebook.get("cells")
    if found is None and isinstance(sheets := notebook.get("worksheets"), list):  # nbformat 3
        parts = [sheet.get("cells") if isinstance(sheet, dict) else None for sheet in sheets]
        found = [cell for part in parts for cell in (part if isinstance(part, list) else [None])]
    if not isinstance(found, list) or not all(isinstance(cell, dict) for cell in found):
        return None
    return found


def _source(cell: Mapping[str, Any]) -> str | None:
    """Return the text of a cell: of one string, or of its lines."""
    value = cell.get("source", cell.get("input", ""))
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else None


def _commented(source: str, prefix: str) -> str:
    return "\n".join(f"{prefix} {line}".rstrip() for line in source.splitlines())


def _language(notebook: Mapping[str, Any], cells: list[Mapping[str, Any]]) -> str | None:
    """Return the first known language: the kernel's, its code's, that in its name, or the first cell's."""
    for name in _stated_languages(notebook.get("metadata"), cells):
        name = name.strip().lower()
        found = _names().get(name) or _names().get(name.rstrip("0123456789. -"))
        if found:
            return found
    return None


def _stated_languages(metadata: Any, cells: list[Mapping[str, Any]]) -> Iterator[str]:
    for part, key in (("kernelspec", "language"), ("language_info", "name"), ("kernelspec", "name")):
        values = metadata.get(part) if isinstance(metadata, dict) else None
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and (part == "language_info" or key == "language" or len(value) > 1):
            yield value[:100]
    of_cells = (cell["language"][:100] for cell in cells if isinstance(cell.get("language"), str))
    yield from itertools.islice(of_cells, 1)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    names = {name.lower(): name for name in language_names()}
    return names | {alias: name for alias, name in _ALIASES.items() if name in names.values()}
