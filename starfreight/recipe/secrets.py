"""Refuses secrets in a recipe: it is written to packages, records and, in a cluster, to a ConfigMap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from starfreight.errors import RecipeError

_USER_IN_URL = re.compile(r"https?://[^/\s@]+@|[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
# References of images have no scheme. In image:tag@sha256:... there is no password.
_USER_IN_REFERENCE = re.compile(r"(?!mailto:)[^/\s:@]+:[^/\s@]+@(?!sha\d+:)", re.IGNORECASE)
_BLANK = re.compile(r"\s")
_WHOLE_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}|(\S+@)?sha256:[0-9a-f]{64}")
_KEYS_OF_NAMES = ("image_pull_secrets", "pull_secret", "push_secret", "results_secret")
"""Their values are names of Secrets in a cluster, not secrets."""
_PATH = re.compile(r"(\.{0,2}|~)/\S*")


def refuse_secrets(data: Any, where: str) -> None:
    """Checks every text and every key of a recipe's plain data.

    Raises:
        RecipeError: a text looks like a secret. The error names the key but does not quote the value.
    """
    for path, key, text in _texts(data, "", ""):
        if _is_secret(key, text.strip()):
            raise RecipeError(
                "The recipe has a value that looks like a key or a password. Recipes are published with "
                "packages, and many can read them.",
                where=f"{where}, key {path}",
                fix="remove it, and revoke it if others may have seen the recipe; credentials of a registry "
                "belong in the environment or in docker login, in a cluster in a Secret "
                "(run.kubernetes.push_secret, pull_secret)",
            )


def _is_secret(key: str, text: str) -> bool:
    # An address is one word. Code in a system prompt may contain postgres://user:password@host.
    if not _BLANK.search(text) and (_USER_IN_URL.search(text) or _USER_IN_REFERENCE.match(text)):
        return True
    if _WHOLE_DIGEST.fullmatch(text):
        return False
    from starfreight.secrets import find_secrets

    # A long path looks like a key in base64. None of its parts does.
    values = text.split("/") if _PATH.fullmatch(text) else [text]
    # The detectors of secrets in code recognize passwords by the name of the variable.
    variable = "name" if key in _KEYS_OF_NAMES else key
    return any(find_secrets(f'{variable} = "{value}"\n') for value in values)


def _texts(value: Any, path: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Yields the key path, the last key and the value of each text in plain data; a key is a text, too."""
    if isinstance(value, str):
        yield path, key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield path or "(the whole recipe)", key, str(name)
            yield from _texts(inner, f"{path}.{name}" if path else str(name), str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{number}]", key)
