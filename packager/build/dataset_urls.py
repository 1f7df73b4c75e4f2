"""Addresses of a recipe's training data, for people who look for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from starfreight.recipe import Recipe

_HUB = "https://huggingface.co/datasets/"


def dataset_urls(recipe: Recipe) -> tuple[str, ...]:
    """The https addresses of git repositories and hub datasets, each once. Local files have none."""
    found = (_url(data.source) for data in recipe.data)
    return tuple(dict.fromkeys(url for url in found if url is not None))


def _url(source: str) -> str | None:
    kind, _, name = source.partition(":")
    if kind == "git":
        try:
            parts = urlsplit(name)
        except ValueError:
            return None
        # A user name in an address is nobody else's business.
        return name if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc else None
    if kind == "dataset" and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _HUB + name
    return None
