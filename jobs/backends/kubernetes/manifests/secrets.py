"""A recipe goes into the cluster for many to read, so a secret in it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from starfreight.errors import RecipeError
from starfreight.jobs.data.filters.secrets import find_secrets
from starfreight.recipe import Recipe

_USER_IN_URL = re.compile(r"https?://[^/\s@]+@|[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_WHOLE_DIGEST = re.compile(r"[0-9a-f]{40}|(\S+@)?sha256:[0-9a-f]{64}")


def refuse_secrets(recipe: Recipe) -> None:
    """Looks at every text of a recipe.

    Raises:
        RecipeError: names the key, and never quotes what stands there.
    """
    for path, key, text in _texts(recipe.model_dump(mode="json"), "", ""):
        found = _USER_IN_URL.search(text) or (
            # With its key before it, as a password is recognised in a line of code.
            not _WHOLE_DIGEST.fullmatch(text) and find_secrets(f'{key} = "{text}"\n')
        )
        if found:
            raise RecipeError(
                "The recipe holds what looks like a key or a password, and a cluster shows recipes to many.",
                where=f"key {path}",
                fix="take it out, and have it replaced where it was issued if anybody has seen the recipe; "
                "credentials for a registry go into a Secret (run.kubernetes.push_secret, pull_secret)",
            )


def _texts(value: Any, path: str, key: str) -> Iterator[tuple[str, str, str]]:
    """The texts in plain data, each with its key path and its last key."""
    if isinstance(value, str):
        yield path, key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}" if path else str(name), str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{number}]", key)
