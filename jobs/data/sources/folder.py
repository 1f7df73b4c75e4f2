"""A folder of code, or the source of an installed Python package."""

from __future__ import annotations

import collections
import fnmatch
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.data.sources.interface import Found, Listing, Sample, held_out_names
from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_bytes
from starfreight.recipe.models import Data

MAX_FILE_BYTES = 1 << 20
"""Larger files are generated or are data; people do not write them."""

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})


def locate_python_package(name: str) -> Path:
    """The folder of an installed package, which is found without importing it.

    Raises:
        RecipeError: no such package, or it is a single module.
    """
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise RecipeError(
            f"No package named {name!r} is installed.",
            where="key data.source",
            fix="install it, or name a folder",
        )
    return Path(locations[0]).resolve()


class FolderSource:
    """Text files below a folder. Hidden ones, empty ones, large ones and binary ones are left out.

    A symbolic link that points out of the folder is refused, since what it brings in has another
    origin than the folder's; one that stays inside is left out, since its file is there already.
    """

    def __init__(self, path: Path, data: Data) -> None:
        self._root = path
        self._data = data

    def list_files(self) -> Listing:
        """The files to use; which are held out is decided by their paths alone."""
        left_out: collections.Counter[str] = collections.Counter()
        found: list[tuple[str, str, int]] = []
        for path in self._walk(left_out):
            name = path.relative_to(self._root).as_posix()
            if not self._wanted(name):
                continue
            content, reason = self._read(path)
            if reason:
                left_out[reason] += 1
            else:
                found.append((name, sha256_bytes(content), len(content)))
        if not found:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
            raise InputError(
                "The folder holds no text file to train on" + (f" (left out: {counts})." if counts else "."),
                where=str(self._root),
                fix="check the path and the include and exclude patterns of this source",
            )
        apart = held_out_names([name for name, _, _ in found], self._data.held_out)
        files = (
            Found(name, digest, size, "held_out" if name in apart else "train")
            for name, digest, size in sorted(found)
        )
        return Listing(tuple(files), dict(sorted(left_out.items())))

    def samples(self, files: Sequence[Found]) -> Iterator[Sample]:
        """The text of each file."""
        for file in files:
            content, reason = self._read(self._root / file.path)
            if reason or sha256_bytes(content) != file.digest:
                raise InputError(
                    "The file has changed since the run was prepared.",
                    where=str(self._root / file.path),
                    fix="restore it, or start a new run",
                )
            yield Sample(
                file.path, "held_out" if file.split == "held_out" else "train", content.decode("utf-8")
            )

    def _wanted(self, name: str) -> bool:
        def matches(patterns: Sequence[str]) -> bool:
            base = name.rsplit("/", 1)[-1]
            return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(base, p) for p in patterns)

        return matches(self._data.include) and not matches(self._data.exclude)

    def _walk(self, left_out: collections.Counter[str]) -> Iterator[Path]:
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
            for entry in ordered:
                path = folder / entry.name
                if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS:
                    continue
                if not entry.name.isprintable():
                    # Surrogates, that is bytes that are no UTF-8, and control characters.
                    left_out["name not text"] += 1
                elif entry.is_symlink():
                    self._check_link(path)
                    left_out["symbolic link"] += 1
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path

    def _check_link(self, path: Path) -> None:
        name = path.relative_to(self._root).as_posix()
        try:
            target = path.resolve()
        except RuntimeError:  # A link to itself leads nowhere.
            return
        if self._wanted(name) and not target.is_relative_to(self._root.resolve()):
            raise InputError(
                "A symbolic link leads out of the data folder.",
                where=f"{path} -> {path.readlink()}",
                fix="copy what it points to, name that as a source of its own, or exclude the link",
            )

    def _read(self, path: Path) -> tuple[bytes, str | None]:
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError:
            return b"", "unreadable"
        if not content.strip():
            return content, "empty"
        if len(content) > MAX_FILE_BYTES:
            return content, "larger than 1 MiB"
        if b"\0" in content:
            return content, "binary"
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return content, "not UTF-8"
        return content, None
