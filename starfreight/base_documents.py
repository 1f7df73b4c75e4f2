"""Documents of a base model that have to accompany every model made from it: its card and its notices.

    for document in base_documents(folder):
        print(document.name, document.path)

Licenses ask for them: Apache-2.0 for NOTICE, BigCode OpenRAIL-M 5.2(b) for the model's documentation. License
texts themselves are found by :mod:`starfreight.license_files`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

BASE_MODEL_CARD = "BASE_MODEL_CARD.md"
"""Name of the base's card in a package, whose own card is README.md."""

MAX_DOCUMENTS = 16
"""Of a base model."""

PATTERNS = (
    "README.md", "NOTICE*", "COPYING*", "COPYRIGHT*", "AUTHORS*", "ATTRIBUTION*", "ACKNOWLEDG*", "PATENTS*",
    "TRADEMARK*", "USE_POLICY*", "USE-POLICY*",
)  # fmt: skip
"""Patterns of their names on a hub, for a download."""

_CARDS = ("readme.md", "readme", "readme.txt", "readme.rst")
_NOTICE = re.compile(
    r"(notices?|copying|copyright|authors|attributions?|acknowledge?ments?|patents|trademarks?|use[-_]policy)"
    r"((\.[a-z0-9]{1,8})?|[-_][a-z0-9._-]{1,40})",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")


@dataclass(frozen=True)
class BaseDocument:
    """A document in a base model's directory.

    Attributes:
        name: its name in a package.
        path: the file.
    """

    name: str
    path: Path


def base_documents(folder: Path) -> tuple[BaseDocument, ...]:
    """The documents in a base model's directory, its card first.

    Files are neither opened nor followed if they are links: that is for the caller.

    Args:
        folder: the base model's directory.
    """
    found = {path.name: path for path in folder.iterdir() if _NAME.fullmatch(path.name) and _is_file(path)}
    lower = {name.casefold(): name for name in sorted(found, reverse=True)}
    card = next((lower[name] for name in _CARDS if name in lower), None)
    documents = [BaseDocument(BASE_MODEL_CARD, found[card])] if card else []
    taken = {BASE_MODEL_CARD.casefold()}
    for name in sorted(found):
        packaged = packaged_name(name)
        if packaged is not None and packaged.casefold() not in taken:
            taken.add(packaged.casefold())
            documents.append(BaseDocument(packaged, found[name]))
    return tuple(documents)


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def packaged_name(name: str) -> str | None:
    """The name in a package of a notice, ``NOTICE.txt`` for ``notice.txt``; ``None`` for any other file."""
    found = _NOTICE.fullmatch(name)
    return None if found is None else found[1].upper().replace("-", "_") + found[2]


def is_document_name(name: str) -> bool:
    """True for a name that a document has in a package."""
    return name == BASE_MODEL_CARD or (_NAME.fullmatch(name) is not None and packaged_name(name) == name)
