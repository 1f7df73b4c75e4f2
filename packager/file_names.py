"""Names of GGUF files."""

from __future__ import annotations

import re

from starfreight.errors import RecipeError

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def model_stem(name: str, *, with_adapter: bool) -> str:
    """The part of a model file's name before the quantization; beside an adapter it names the base."""
    return f"{name}-base" if with_adapter else name


def lora_name(name: str, kind: str = "F16") -> str:
    """The name of an adapter's file."""
    return f"{name}-{kind}-LoRA.gguf"


def checked_name(name: str) -> str:
    """The name itself, if it is valid as the start of a file name on any system.

    Raises:
        RecipeError: it is not.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise RecipeError(
            f"The name {name[:40]!r} is not a valid file name.",
            fix="use letters, digits, dots, dashes and underscores",
        )
    return name
