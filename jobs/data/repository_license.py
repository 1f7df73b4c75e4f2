"""The license of a repository, from the license texts at its root.

The texts are recognised by `licenseclassifier`, which matches templates word by word, like Google's
licensecheck. Similarity measures are not sufficient: the text of the MIT license with "for non-commercial
use" or "for Good, not Evil" added is more than 95% similar to it, but another license.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MAX_LICENSE_BYTES = 128 << 10
"""Size of one license file. GPL-3.0 has 35 kB; larger files list the licenses of third-party code."""

_FILE = re.compile(r"(?:licen[sc]e|copying|unlicense)(?P<which>[-_.].+)?", re.I)
_TEXT_SUFFIX = re.compile(r"\.(?:txt|md|rst|markdown)$", re.I)
_OF_OTHERS = re.compile(r"third|3rd|vendor|bundled|depend|external", re.I)
_MAX_LINE = 300
_WORD = re.compile(r"\(c\)|\u00a9|[^\W_]+")
_NOTICE = frozenset(("copyright", "(c)", "\u00a9"))
_CONDITION = frozenset(("not", "non", "no", "only", "except", "prohibited", "must", "commercial", "without"))
_HEADING = frozenset(
    (
        "a", "an", "apache", "boost", "bsd", "cc0", "clause", "clear", "commons", "creative",
        "domain", "dual", "eclipse", "expat", "file", "following", "for", "free", "general",
        "gnu", "gpl", "identifier", "information", "is", "isc", "lesser", "lgpl", "library",
        "licence", "license", "licensed", "mit", "modified", "more", "mozilla", "mpl", "new",
        "of", "old", "or", "please", "postgresql", "project", "public", "python", "revised",
        "see", "simplified", "software", "source", "spdx", "style", "terms", "text", "the",
        "this", "three", "two", "under", "universal", "unlicense", "v", "version", "with",
        "x11", "zero", "zlib",
    )
)  # fmt: skip
_GNU = re.compile(r"(?:A|L)?GPL-[\d.]+|GFDL-[\d.]+")


def is_license_file(name: str) -> bool:
    """Return true if a file at the root of a repository has the name of a license file for its own code."""
    match = _FILE.fullmatch(_TEXT_SUFFIX.sub("", name))
    return match is not None and not _OF_OTHERS.search(match["which"] or "")


def repository_license(names: Iterable[str], read: Callable[[str], bytes | None]) -> str | None:
    """Return the license of a repository as an SPDX expression; ``None`` if it has none or an unknown one.

    ``LICENSE-MIT`` beside ``LICENSE-APACHE`` is a choice (``Apache-2.0 OR MIT``); a plain ``LICENSE`` always
    applies, and so do others beside it. One unrecognised text makes the result unknown.

    Args:
        names: of the files at the root of the repository.
        read: returns the bytes of one of them, or ``None`` if it cannot be read. It need not read more than
            one byte beyond :data:`MAX_LICENSE_BYTES`.
    """
    plain: list[str | None] = []
    choices: list[str | None] = []
    for name in sorted(name for name in names if is_license_file(name)):
        match = _FILE.fullmatch(_TEXT_SUFFIX.sub("", name))
        data = read(name)
        found = None if data is None else license_of_text(data)
        (choices if match is not None and match["which"] else plain).append(found)
    return _joined(plain + choices, "AND") if plain else _joined(choices, "OR")


def license_of_text(data: bytes) -> str | None:
    """Return the license with this exact text, as an SPDX expression; ``None`` if there is none.

    Only headings and copyright lines are allowed around it: a further condition makes it another license.
    Several texts in one file all apply: ``BSD-3-Clause AND MIT``. The text of a GNU license does not include
    "or later", so its identifier ends in ``-only``.
    """
    if len(data) > MAX_LICENSE_BYTES:
        return None
    from licenseclassifier import identify_license

    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    found = identify_license(text)
    end, around = 0, []
    for each in found:
        around.append(text[end : each.start])
        # The library includes a copyright line, and all text between it and the terms, in the license.
        terms, has_notice = _after_notices(text[each.start : each.end])
        if has_notice:
            again = identify_license(terms)
            if not again or again[0].id != each.id or _starts_with_notice(terms[again[0].start :]):
                return None
            around.append(terms[: again[0].start])
        end = max(end, each.end)
    if not all(map(_is_heading, [*around, text[end:]])):
        return None
    return _joined([each.id + ("-only" if _GNU.fullmatch(each.id) else "") for each in found], "AND")


def _is_heading(text: str) -> bool:
    words = [word for line in text.splitlines() if not _is_notice(line) for word in _words(line)]
    return len(words) <= 24 and all(word in _HEADING or word.isdigit() for word in words)


def _after_notices(text: str) -> tuple[str, bool]:
    """Return the text after its initial copyright lines, and true if it has such lines."""
    lines, count, has_notice = text.splitlines(keepends=True), 0, False
    while count < len(lines) and (_is_notice(lines[count]) or not _words(lines[count])):
        has_notice |= bool(_words(lines[count]))
        count += 1
    starts_with_notice = count < len(lines) and _starts_with_notice(lines[count])
    return "".join(lines[count:]), has_notice or starts_with_notice


def _is_notice(line: str) -> bool:
    words = _words(line)
    if len(line) > _MAX_LINE or not words or _CONDITION.intersection(words):
        return False
    while words[0] in ("some", "parts", "portions") and len(words) > 1:
        words = words[1:]
    return words[0] in _NOTICE or words == ["all", "rights", "reserved"]


def _starts_with_notice(text: str) -> bool:
    word = _WORD.search(text.lower())
    return word is not None and word[0] in _NOTICE


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _joined(licenses: Iterable[str | None], word: str) -> str | None:
    known: list[str] = []
    for each in licenses:
        if each is None:
            return None
        known.append(each)
    known = sorted(set(known))
    if len(known) < 2:
        return known[0] if known else None
    return f" {word} ".join(f"({each})" if " " in each else each for each in known)
