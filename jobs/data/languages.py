"""The language of a file, by its name.

``languages.json`` lists 800 extensions and file names: those that Pygments 2.21 assigns to a single
language, and ambiguous ones decided by hand (``.h`` is C, ``.m`` Objective-C). It is a table rather than a
call to a library, because the language is part of a run's record, which must not depend on installed
versions.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files


def language_of(path: str | None) -> str | None:
    """Return ``Python`` for ``src/app.py``, ``Makefile`` for ``Makefile``; ``None`` if it is unknown."""
    if path is None:
        return None
    extensions, names = _tables()
    name = path.rsplit("/", 1)[-1].lower()
    if name in names:
        return names[name]
    parts = name.split(".")
    endings = (".".join(parts[start:]) for start in range(max(1, len(parts) - 3), len(parts)))
    return next((extensions[ending] for ending in endings if ending in extensions), None)


def language_names() -> frozenset[str]:
    """Return all names of languages."""
    extensions, names = _tables()
    return frozenset((*extensions.values(), *names.values()))


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    table = json.loads(files("starfreight.jobs.data").joinpath("languages.json").read_text("utf-8"))
    return table["extensions"], table["names"]
