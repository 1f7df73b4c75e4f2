"""The text of a first recipe, with comments on what was found."""

from __future__ import annotations

import glob
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.commands.first_recipe.base_look import BaseLook
from starfreight.commands.first_recipe.code_look import CodeLook
from starfreight.console import human_count, printable

_BYTES_PER_TOKEN = 3
_SHORTEST = 256
_LONGEST = {"cpu": 1024, "gpu": 4096}
_SMALL_CODE = 2_000_000
"""Tokens below which one pass over the code is too short."""
_MOST_NAMED = 20
PROPRIETARY = "LicenseRef-Proprietary"
"""License of code without a license: nobody else may use it."""


@dataclass(frozen=True)
class Choices:
    """The user's decisions.

    Attributes:
        name: of the model.
        code_license: of files that state none.
        base_license: of the base model.
        sequence_length: tokens per block.
        held_out: share of the files to hold out for evaluation, e.g. ``10%``.
    """

    name: str
    code_license: str
    base_license: str
    sequence_length: int
    held_out: str


def default_name(code: Path) -> str:
    """A valid name for a model, from the directory of its code: ``acme-billing`` for ``Acme Billing/src``."""
    resolved = code.resolve()
    generic = resolved.name.lower() in ("src", "lib", "source", "code", "app", "python")
    words = (resolved.parent.name if generic and resolved.parent.name else resolved.name).lower()
    return re.sub(r"[^a-z0-9._]+", "-", words).strip("-._")[:50] or "my-model"


def default_held_out(code: CodeLook) -> str:
    """Share of the files to hold out: more of a small directory."""
    return "20%" if code.files < 100 else "10%"


def default_sequence_length(code: CodeLook, base: BaseLook, *, gpu: bool) -> int:
    """Tokens per block: enough for three quarters of the files, within the context and the machine."""
    longest = min(_LONGEST["gpu" if gpu else "cpu"], base.context or _LONGEST["gpu"])
    length = _SHORTEST
    while length < longest and length * _BYTES_PER_TOKEN < code.typical_bytes:
        length *= 2
    return min(length, longest)


def recipe_text(code: CodeLook, base: BaseLook, choices: Choices, folder: Path) -> str:
    """The recipe as YAML; its relative paths start at ``folder``."""
    patterns = sorted({_pattern(suffix) for each in code.languages for suffix in each.suffixes})
    exclude = [glob.escape(name) for name in code.outward_links]
    languages = ", ".join(
        f"{each.name} ({human_count(each.files, 'files')}, {human_count(each.bytes, 'B')})"
        for each in code.languages
    )
    lines = [
        "# A Starfreight recipe, written by starfreight init. Keys commented out show their defaults or",
        "# examples; starfreight init without options writes one with more of them.",
        "# yaml-language-server: $schema=recipe.schema.json",
        "version: 1",
        f"name: {_quoted(choices.name)}",
        "",
        "base:",
        *_base_comment(base),
        f"  model: {_quoted(_model(base, folder))}",
        *([f"  revision: {_quoted(base.revision)}"] if base.revision else []),
        f"  license: {_quoted(choices.base_license)}",
        "",
        "data:",
        f"  # {printable(languages)}" + (", and more: the look was cut short" if code.partial else ""),
        f"  - source: {_quoted(_relative(code.folder, folder))}",
        "    format: fim                    # cut spans out of files, and learn to fill them in",
        f"    license: {_quoted(choices.code_license)}   # of files that state none",
        *_license_comment(code),
        f"    include: {_list(patterns)}",
        *([f"    exclude: {_list(exclude)}   # links out of the directory"] if exclude else []),
        f"    held_out: {choices.held_out:22} # for evaluation, by whole files",
        "    # filters:                     # see: starfreight docs data",
        "    #   licenses: any              # accept every license",
        "    #   secrets: replace           # default: leave_out, the whole file",
        "",
        "training:",
        f"  sequence_length: {choices.sequence_length}             # tokens per block",
        *_length(code, base),
        "  # rank: 16",
        "  # learning_rate: auto",
        "",
        "package:",
        "  quantizations: [Q4_K_M, Q8_0]    # all 16: starfreight docs press",
        "  # license: Apache-2.0            # of the tuned model; default: the base model's",
        "  card:",
        f"    title: {_quoted(choices.name)}",
        "    # description: The model in a sentence.",
        "",
        "# publish:",
        f"#   reference: ghcr.io/acme/{choices.name}:1.0",
        "",
    ]
    return "\n".join(lines)


def _base_comment(base: BaseLook) -> list[str]:
    if base.context is None or base.parameters is None:
        return ["  # The model is not on this machine yet."]
    size = f"{base.parameters / 1e9:.1f} billion" if base.parameters >= 1e8 else f"{base.parameters:,}"
    return [f"  # {base.architecture}, {size} parameters, context of {base.context:,} tokens."]


def _license_comment(code: CodeLook) -> list[str]:
    if code.license_from is None:
        lines = ["    # No license was found. Correct this unless the code is your own."]
    else:
        lines = [f"    # The license is from {printable(code.license_from)}."]
    return lines + [
        f"    # {printable(name)} has a LICENSE file of its own ({found}); exclude it if need be."
        for name, found in code.other_licenses[:_MOST_NAMED]
    ]


def _length(code: CodeLook, base: BaseLook) -> list[str]:
    if base.parameters is not None and base.parameters < 10_000_000:
        return [
            "  steps: 60                        # for a real base model: epochs: 1",
            "  batch_size: 4",
            "  gradient_accumulation: 1",
        ]
    small = code.bytes < _SMALL_CODE * _BYTES_PER_TOKEN
    return [f"  epochs: {3 if small else 1}                        # passes over the data"]


def _pattern(suffix: str) -> str:
    return f"*{glob.escape(suffix)}" if suffix.startswith(".") else glob.escape(suffix)


def _model(base: BaseLook, folder: Path) -> str:
    return _relative(Path(base.model), folder) if base.model.startswith("/") else base.model


def _relative(path: Path, folder: Path) -> str:
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def _list(items: list[str]) -> str:
    return "[" + ", ".join(map(_quoted, items)) + "]"


def _quoted(text: str) -> str:
    """A YAML scalar: plain if that is safe, otherwise as a JSON string."""
    plain = re.fullmatch(r"[A-Za-z./](?:[A-Za-z0-9./_:-]*[A-Za-z0-9./_-])?", text)
    reserved = text.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan")
    return text if plain and not reserved else json.dumps(text, ensure_ascii=False)
