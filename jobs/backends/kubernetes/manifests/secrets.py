"""Refuses secrets in a recipe: many users of a cluster can read it in the ConfigMap."""

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
    """Checks every text of a recipe.

    Raises:
        RecipeError: a text looks like a secret. The error names the key but does not quote the value.
    """
    for path, key, text in _texts(recipe.model_dump(mode="json"), "", ""):
        found = _USER_IN_URL.search(text) or (
            # The detectors of secrets in code recognize passwords by the name of the variable.
            not _WHOLE_DIGEST.fullmatch(text) and find_secrets(f'{key} = "{text}"\n')
        )
        if found:
            raise RecipeError(
                "The recipe has a value that looks like a key or a password, and many can read recipes.",
                where=f"key {path}",
                fix="remove it, and revoke it if others may have seen the recipe; "
                "credentials of a registry belong in a Secret (run.kubernetes.push_secret, pull_secret)",
            )


def _texts(value: Any, path: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Yields the key path, the last key and the value of each text in plain data."""
    if isinstance(value, str):
        yield path, key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}" if path else str(name), str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{number}]", key)
