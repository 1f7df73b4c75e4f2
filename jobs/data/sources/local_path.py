"""Paths in the recipe's directory."""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.errors import RecipeError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,30}://|git@|git\+", re.IGNORECASE)


def existing_path(source: str, folder: Path) -> Path:
    """Return the path of a source below ``folder``.

    Raises:
        RecipeError: it does not exist.
    """
    path = folder / source
    if not path.exists():
        raise RecipeError(
            f"The data source {source!r} does not exist.",
            where=f"key data.source, looked for at {path}",
            fix="correct the path, which is relative to the recipe's directory"
            if _ADDRESS.match(source) is None
            else "write a git repository as git:https://HOST/ORGANISATION/NAME with its revision, and a "
            "dataset of the hub as dataset:ORGANISATION/NAME; starfreight docs data lists all sources",
        )
    return path
