"""The order of a repository's files by imports: imported files come before the files that import them.

Imports of Python are read from its syntax tree, those of other languages by regular expressions. The result
need not be exact: a missed import only worsens the order slightly.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
import warnings
from collections.abc import Iterator, Sequence

_SCRIPT = re.compile(
    r"""(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bexport\s+\*\s+from\s*)["']([^"'\n]{1,300})["']"""
)
_DOTTED = re.compile(r"^\s*import\s+(?:static\s+)?([\w.]{1,300})", re.MULTILINE)
_GO = re.compile(r"""^\s*(?:import\s+)?(?:[\w.]+\s+)?"([^"\n\\]{1,300})"\s*$""", re.MULTILINE)
_PHP = re.compile(
    r"""^\s*use\s+([\w\\]{1,300})|\b(?:require|include)(?:_once)?\b[^"'\n]*["']([^"'\n]{1,300})["']""", re.M
)
_PATTERNS = {
    ending: pattern
    for endings, pattern in (
        ("js jsx mjs cjs ts mts cts tsx vue svelte", _SCRIPT),
        ("c h cc cpp cxx hh hpp hxx m mm cu cuh", re.compile(r'^\s*#\s*include\s*"([^"\n]{1,300})"', re.M)),
        ("java kt kts scala groovy", _DOTTED),
        ("go", _GO),
        ("rs", re.compile(r"^\s*(?:pub(?:\([^)\n]*\))?\s+)?(?:mod\s+(\w+)\s*;|use\s+([\w:]{1,300}))", re.M)),
        ("rb", re.compile(r"""^\s*require(?:_relative)?\s*\(?\s*["']([^"'\n]{1,300})["']""", re.M)),
        ("php", _PHP),
        ("sh bash", re.compile(r"""^\s*(?:source|\.)\s+["']?([^\s"';]{1,300})""", re.M)),
        ("dart", re.compile(r"""^\s*(?:import|export|part)\s+["']([^"'\n]{1,300})["']""", re.M)),
        ("proto", re.compile(r"""^\s*import\s+(?:public\s+|weak\s+)?"([^"\n]{1,300})\"""", re.M)),
        ("lua", re.compile(r"""\brequire\s*\(?\s*["']([^"'\n]{1,300})["']""")),
    )
    for ending in endings.split()
}
_INDEX = frozenset({"__init__", "index", "mod", "lib"})
"""Files that represent their directory."""


_MOST = 500
"""References of one file that are followed, and files of the same name that are compared."""

_Reference = tuple[tuple[str, ...], bool, str]
"""The parts of a path without its extension, true if they are the whole path, and the name as written."""


def order_by_imports(files: Sequence[tuple[str, str]]) -> list[int]:
    """Return the indices of ``files`` in order: imported files first.

    The search is depth first, from the first path to the last, so that related files stay together. In a
    cycle of imports, the file reached first comes last.

    Args:
        files: path and text of each, paths with slashes.
    """
    tree = _Tree([path for path, _ in files])
    needs = [sorted(set(tree.references(number, text))) for number, (_, text) in enumerate(files)]
    order: list[int] = []
    seen: set[int] = set()
    for root in sorted(range(len(files)), key=lambda number: files[number][0]):
        if root in seen:
            continue
        seen.add(root)
        waiting = [(root, iter(needs[root]))]
        while waiting:
            number, rest = waiting[-1]
            child = next((other for other in rest if other not in seen), None)
            if child is None:
                order.append(number)
                waiting.pop()
            else:
                seen.add(child)
                waiting.append((child, iter(needs[child])))
    return order


def imported_files(files: Sequence[tuple[str, str]], number: int) -> list[int]:
    """Return the indices of the files imported by one of them, in ascending order.

    Args:
        files: path and text of each, paths with slashes; only the text of the one is read.
        number: its index.
    """
    return sorted(set(_Tree([path for path, _ in files]).references(number, files[number][1])) - {number})


class _Tree:
    """The paths of a repository, indexed by their last parts."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._stems = [_stem(path) for path in paths]
        self._by_name: dict[str, list[int]] = {}
        self._by_folder: dict[tuple[str, ...], list[int]] = {}
        for number, (stem, path) in enumerate(zip(self._stems, paths, strict=True)):
            self._by_name.setdefault(stem[-1] if stem else "", []).append(number)
            self._by_folder.setdefault(tuple(path.split("/")[:-1]), []).append(number)

    def references(self, number: int, text: str) -> Iterator[int]:
        """Yield the files imported by a file."""
        path = self._paths[number]
        folder = path.split("/")[:-1]
        ending = path.rsplit(".", 1)[-1].lower()
        if ending in ("py", "pyi"):
            found = _python(text, folder)
        elif ending in _PATTERNS:
            names = (next(filter(None, match.groups()), "") for match in _PATTERNS[ending].finditer(text))
            found = (candidate for name in names for candidate in _spelled(name, folder, ending))
        else:
            return
        for parts, exact, spelled in itertools.islice(found, _MOST):
            if ending == "go":
                yield from (other for other in self._package(parts) if other != number)
                continue
            target = self._find(parts, exact, spelled, number)
            if target is not None:
                yield target

    def _find(self, parts: tuple[str, ...], exact: bool, spelled: str, user: int) -> int | None:
        if not parts:
            return None
        near = [other for other in self._by_name.get(parts[-1], ())[:_MOST] if other != user]
        if exact:
            near = [other for other in near if self._stems[other] == parts]
        else:
            near = [other for other in near if self._stems[other][-len(parts) :] == parts]
        own = self._paths[user].split("/")

        def distance(other: int) -> tuple[bool, int, int, str]:
            """Prefer the name as written, then the nearest directory, then the shortest path."""
            path = self._paths[other].split("/")
            return path[-1] != spelled, -_common(own, path), len(path), self._paths[other]

        return min(near, key=distance, default=None)

    def _package(self, parts: tuple[str, ...]) -> Sequence[int]:
        """Return the files of a Go package: those in the directory with the longest matching path."""
        for start in range(len(parts)):
            files = self._by_folder.get(parts[start:])
            if files:
                return [number for number in files if self._paths[number].endswith(".go")]
        return ()


def _stem(path: str) -> tuple[str, ...]:
    parts = path.split("/")
    parts[-1] = parts[-1].split(".", 1)[0] or parts[-1]
    if len(parts) > 1 and parts[-1] in _INDEX:
        parts.pop()
    return tuple(parts)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _python(text: str, folder: Sequence[str]) -> Iterator[_Reference]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About escapes in strings.
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), False, ""
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*folder[: max(0, len(folder) - node.level + 1)], *base)
            yield base, bool(node.level), ""
            for alias in node.names:
                yield (*base, alias.name), bool(node.level), ""


def _spelled(name: str, folder: Sequence[str], ending: str) -> Iterator[_Reference]:
    """Yield the paths that a reference may stand for: the end of a path, or all of it, without extension."""
    if ending == "rs":
        parts = [part for part in name.split("::") if part not in ("crate", "self", "super", "")]
        # The last parts of a use are items of the module.
        yield from ((tuple(parts[:end]), False, "") for end in range(len(parts), 0, -1))
    elif ending in ("java", "kt", "kts", "scala", "groovy", "lua"):
        yield tuple(name.split(".")), False, ""
    elif "\\" in name:
        parts = name.strip("\\").split("\\")
        # The first part of a namespace is often mapped to a directory of another name.
        yield tuple(parts), False, ""
        yield tuple(parts[1:]), False, ""
    elif ending == "go":
        yield tuple(name.split("/")), False, ""
    else:
        relative = posixpath.normpath("/".join([*folder, name]))
        if not relative.startswith(".."):
            yield _stem(relative), True, posixpath.basename(name)
        if not name.startswith("."):
            yield _stem(posixpath.normpath(name).lstrip("/")), False, posixpath.basename(name)
