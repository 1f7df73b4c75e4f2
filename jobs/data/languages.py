"""The language of a file, by its name.

``languages.json`` holds 800 endings and names of files, taken from Pygments 2.21 where one language alone
claims them and decided by hand where several do (``.h`` is C, ``.m`` Objective-C). It is a file here and no
question to a library because the answer goes into the record of a run, which must be the same whatever is
installed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files


def language_of(path: str | None) -> str | None:
    """``Python`` for ``src/app.py``, ``Makefile`` for ``Makefile``; ``None`` for what is not known."""
    if path is None:
        return None
    extensions, names = _tables()
    name = path.rsplit("/", 1)[-1].lower()
    if name in names:
        return names[name]
    parts = name.split(".")
    endings = (".".join(parts[start:]) for start in range(max(1, len(parts) - 3), len(parts)))
    return next((extensions[ending] for ending in endings if ending in extensions), None)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    table = json.loads(files("starfreight.jobs.data").joinpath("languages.json").read_text("utf-8"))
    return table["extensions"], table["names"]
