"""A bounded look at a directory of code: its languages, sizes, licenses and secrets."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError

_MOST_ENTRIES = 200_000
_MOST_SECONDS = 8.0
_MOST_READ = 64 << 20
"""Bytes of the files to read for license notices and secrets."""
_MOST_CHECKED = 4 << 20
"""Bytes of the files to search for secrets, the slowest search."""
_SMALLEST_SHARE = 0.05
"""Share of the code below which a language is left out."""
_MOST_LICENSED = 100
"""Subdirectories whose LICENSE files are read."""
_NOT_CODE = frozenset(
    (
        "CSS", "CSV", "Diff", "DTD", "Gettext Catalog", "HTML", "INI", "JSON", "Markdown",
        "Properties", "reStructuredText", "SCSS", "SVG", "TOML", "TeX", "Text", "Text only", "XML", "YAML",
    )
)  # fmt: skip
_NOTEBOOK = "Jupyter Notebook"
"""Counts only without other code: most of its bytes are pictures, and would hide the shares of the rest."""


@dataclass(frozen=True)
class Language:
    """A language of the code.

    Attributes:
        name: as in the project's table.
        files: their number.
        bytes: their size.
        suffixes: of their names, such as ``.py``; a whole name such as ``Makefile`` for a file without one.
    """

    name: str
    files: int
    bytes: int
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class CodeLook:
    """Facts about a directory of code.

    Attributes:
        folder: the directory.
        languages: to train on, the largest first.
        left_out: small languages.
        license: an SPDX expression; ``None`` if there is none, or an unrecognised one.
        license_from: the place that states it.
        other_licenses: subdirectories with LICENSE files of their own, each with its license (``unknown`` for
            an unrecognised text), unless it is the same.
        repository: root of the git repository around the directory, if that is another directory.
        with_secrets: number of files with a key, a token or a password, among those searched.
        outward_links: links that leave the directory, as patterns to exclude.
        partial: true if the directory is larger than the look.
        typical_bytes: size of a file that three quarters of the files do not exceed.
    """

    folder: Path
    languages: tuple[Language, ...]
    left_out: tuple[Language, ...]
    license: str | None
    license_from: str | None
    other_licenses: tuple[tuple[str, str], ...]
    repository: Path | None
    with_secrets: int
    outward_links: tuple[str, ...]
    partial: bool
    typical_bytes: int

    @property
    def files(self) -> int:
        """Number of files to train on."""
        return sum(each.files for each in self.languages)

    @property
    def bytes(self) -> int:
        """Size of the files to train on."""
        return sum(each.bytes for each in self.languages)


def look_at_code(folder: Path) -> CodeLook:
    """Look at the code in a directory, within bounds of time and memory.

    Raises:
        InputError: not a directory, or it has no code in a known language.
    """
    from starfreight.commands.first_recipe.code_license import license_of_code, other_licenses
    from starfreight.jobs.data.languages import language_of

    if not folder.is_dir():
        raise InputError(
            "The code is not a directory." if folder.exists() else "The directory of code does not exist.",
            where=str(folder),
            fix="name the directory that holds your code: --code ./src",
        )
    walk = _Walk(folder)
    files: dict[str, list[tuple[str, int]]] = {}
    for name, size in walk.files():
        language = language_of(name)
        if language is not None and language not in _NOT_CODE:
            files.setdefault(language, []).append((name, size))
    if files.keys() != {_NOTEBOOK}:
        files.pop(_NOTEBOOK, None)
    found = sorted((_language(name, each) for name, each in files.items()), key=lambda one: -one.bytes)
    total = sum(each.bytes for each in found)
    if not total:
        raise InputError(
            "The directory holds no code in a language that Starfreight knows.",
            where=str(folder),
            fix="name the directory of the source files; hidden, vendored, empty and very large files "
            "do not count",
        )
    kept = tuple(each for each in found if each.bytes >= _SMALLEST_SHARE * total)
    sizes = sorted(size for each in kept for _, size in files[each.name])
    headers, with_secrets = _read(folder, [name for each in kept for name, _ in files[each.name]])
    root = _repository_of(folder)
    stated, stated_by = license_of_code(folder, root, headers)
    return CodeLook(
        folder=folder,
        languages=kept,
        left_out=tuple(found[len(kept) :]),
        license=stated,
        license_from=stated_by,
        other_licenses=other_licenses(folder, walk.licensed, stated),
        repository=root if root != folder.resolve() else None,
        with_secrets=with_secrets,
        outward_links=tuple(sorted(walk.outward)),
        partial=walk.partial,
        typical_bytes=sizes[(3 * len(sizes)) // 4],
    )


class _Walk:
    """The files that training would read, by their relative names.

    Attributes:
        outward: links that leave the directory.
        licensed: subdirectories with a LICENSE file.
        partial: true if the walk was cut short.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self.outward: set[str] = set()
        self.licensed: set[str] = set()
        self.partial = False

    def files(self) -> Iterator[tuple[str, int]]:
        from starfreight.commands.first_recipe.code_license import is_license_text
        from starfreight.jobs.data.filters.vendored import vendored_because
        from starfreight.jobs.data.sources.text_files import is_skipped, most_bytes

        ends, seen, waiting = time.monotonic() + _MOST_SECONDS, 0, [""]
        while waiting:
            prefix = waiting.pop()
            try:
                entries = os.scandir(self._folder / prefix)
            except OSError as error:
                raise InputError(
                    f"The directory cannot be read: {error.strerror or error}.",
                    where=str(self._folder / prefix),
                    fix="check its permissions, or name a directory without it",
                ) from error
            with entries:
                for entry in entries:
                    seen += 1
                    if seen > _MOST_ENTRIES or time.monotonic() > ends:
                        self.partial = True
                        return
                    name = prefix + entry.name
                    if is_skipped(entry.name) or not entry.name.isprintable():
                        continue
                    if entry.is_symlink():
                        self._link(name)
                    elif entry.is_dir(follow_symlinks=False):
                        if not vendored_because(name + "/"):
                            waiting.append(name + "/")
                    elif entry.is_file(follow_symlinks=False):
                        size = entry.stat(follow_symlinks=False).st_size
                        if prefix and is_license_text(entry.name) and len(self.licensed) < _MOST_LICENSED:
                            self.licensed.add(prefix.rstrip("/"))
                        if 0 < size <= most_bytes(name) and not vendored_because(name):
                            yield name, size

    def _link(self, name: str) -> None:
        try:
            inside = (self._folder / name).resolve().is_relative_to(self._root)
        except (OSError, RuntimeError):  # A loop of links.
            return
        if not inside and len(self.outward) < 100:
            self.outward.add(name)


def _language(name: str, files: list[tuple[str, int]]) -> Language:
    suffixes = Counter(_suffix(path) for path, _ in files)
    return Language(name, len(files), sum(size for _, size in files), tuple(sorted(suffixes)))


def _suffix(path: str) -> str:
    name = Path(path)
    return name.suffix or name.name


def _read(folder: Path, names: list[str]) -> tuple[Counter[str], int]:
    """The licenses stated in the files themselves, and the number of files with secrets."""
    from starfreight.files import open_regular
    from starfreight.jobs.data.filters.license import license_of
    from starfreight.jobs.data.sources.file_text import file_text
    from starfreight.jobs.data.sources.text_files import most_bytes
    from starfreight.recipe.data import Data
    from starfreight.secrets import find_secrets

    headers: Counter[str] = Counter()
    read, with_secrets, ends = 0, 0, time.monotonic() + _MOST_SECONDS
    for name in sorted(names):
        if read > _MOST_READ or time.monotonic() > ends:
            break
        try:
            with open_regular(folder / name, follow=False) as stream:
                content = stream.read(most_bytes(name) + 1)
        except (OSError, InputError):  # Not readable, or replaced in the meantime.
            continue
        read += len(content)
        found = file_text(content, name)
        if isinstance(found, str):
            continue
        stated = license_of(found.text, None, Data(source="."))
        headers[stated or ""] += 1
        if read <= _MOST_CHECKED and any(True for _ in find_secrets(found.text)):
            with_secrets += 1
    return headers, with_secrets


def _repository_of(folder: Path) -> Path | None:
    here = folder.resolve()
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), None)
