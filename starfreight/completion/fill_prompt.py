"""The token ids of a place to fill in, as training has them.

Without context: ``<fim_prefix>pre<fim_suffix>suf<fim_middle>``. With a repository, as
``starfreight.jobs.data.formats.repository`` makes it (a test compares the ids)::

    <repo_name>R<file_sep>a.py\\ncode<file_sep><fim_prefix>b.py\\npre<fim_suffix>suf<fim_middle>
    <reponame>R<filename>a.py\\ncode<fim_prefix><filename>b.py\\npre<fim_suffix>suf<fim_middle>

The first is StarCoder 2's, the second StarCoder 1's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starfreight.completion.repository_files import Repository

_Unit = TypeVar("_Unit")

Encode = Callable[[str], list[int]]
"""The token ids of a text, with special tokens in it encoded as text."""


@dataclass(frozen=True)
class Marks:
    """The ids of the special tokens.

    Attributes:
        prefix: ``<fim_prefix>``.
        suffix: ``<fim_suffix>``.
        middle: ``<fim_middle>``.
        repository: ``<repo_name>`` or ``<reponame>``; ``None`` without one.
        file: ``<file_sep>`` or ``<filename>``; ``None`` without one.
        separates: true if ``file`` stands before ``<fim_prefix>``, as in StarCoder 2.
    """

    prefix: int
    suffix: int
    middle: int
    repository: int | None = None
    file: int | None = None
    separates: bool = True


@dataclass(frozen=True)
class FillPrompt:
    """A prompt.

    Attributes:
        ids: its token ids.
        files: the paths of the repository's files in it.
    """

    ids: tuple[int, ...]
    files: tuple[str, ...] = ()


def fill_prompt(
    prefix: str, suffix: str, marks: Marks, encode: Encode, room: int, repository: Repository | None = None
) -> FillPrompt:
    """The prompt of a place, truncated to ``room`` tokens: the prefix on the left, the suffix on the right.

    Args:
        prefix: the text before the cursor.
        suffix: the text after it.
        marks: the special tokens.
        encode: encodes a text.
        room: most tokens, at least 32.
        repository: other files to put before this one, as far as they fit.
    """
    if repository is None or marks.repository is None or marks.file is None:
        before, after = shortened(encode(prefix), encode(suffix), room - 3)
        return FillPrompt((marks.prefix, *before, marks.suffix, *after, marks.middle))
    outside = [marks.file] if marks.separates else []
    inside = [] if marks.separates else [marks.file]
    head = [marks.repository, *encode(repository.name)]
    title = f"{repository.path}\n"
    titled = encode(title)
    fixed = len(head) + len(outside) + len(inside) + 3
    if fixed + len(titled) > room // 2:  # Long names would leave too little space.
        return fill_prompt(prefix, suffix, marks, encode, room)
    before, after = encode(title + prefix), encode(suffix)
    if len(before) + len(after) > room - fixed:
        before, after = shortened(encode(prefix), after, room - fixed - len(titled))
        before = [*titled, *before]
    left = room - fixed - len(before) - len(after)
    files, paths = _context(repository, marks.file, encode, left)
    own = [*outside, marks.prefix, *inside, *before, marks.suffix, *after, marks.middle]
    return FillPrompt((*head, *files, *own), paths)


def _context(
    repository: Repository, mark: int, encode: Encode, left: int
) -> tuple[list[int], tuple[str, ...]]:
    """The files that fit, the most related last, next to the place."""
    taken: list[tuple[str, list[int]]] = []
    for file in repository.files:
        ids = [mark, *encode(f"{file.path}\n{file.text}")]
        if len(ids) <= left:
            taken.append((file.path, ids))
            left -= len(ids)
    taken.reverse()
    return [number for _, ids in taken for number in ids], tuple(path for path, _ in taken)


def shortened(before: list[_Unit], after: list[_Unit], room: int) -> tuple[list[_Unit], list[_Unit]]:
    """The tokens or characters that fit.

    As in training, a quarter of the room is the suffix's, more if the prefix is short.
    """
    for_after = min(len(after), max(room // 4, room - len(before)))
    for_before = min(len(before), room - for_after)
    return before[len(before) - for_before :], after[:for_after]
