"""The text of a source file: decoded as what it is, or the reason why it is not used.

Most files are UTF-8 and stay as they are, including line ends of two characters. A byte order mark is no part
of a text. Files that are converted are counted in the manifest, since their digests are those of their bytes.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from starfreight.jobs.data.sources.interface import Conversion
from starfreight.jobs.data.sources.notebooks import SUFFIX, notebook_script
from starfreight.jobs.data.sources.pointers import pointer_kind
from starfreight.jobs.data.sources.text_files import MAX_FILE_BYTES, most_bytes
from starfreight.swhid import content_swhid

# UTF-32 first: its mark begins like that of UTF-16.
_MARKED = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x7f]")
# PEP 263, and the notation of Emacs in files of other languages; in the first two lines.
_DECLARED = re.compile(
    rb"(?:[^\n]*\n)?(?:[ \t\f]*#[^\n]*?coding[:=]|[^\n]*-\*-[^\n]*?coding:)[ \t]*([-\w.]{1,40})"
)
_CODECS = frozenset({
    "latin-1", "latin1", "l1", "iso-latin-1", "latin-9", "us-ascii", "koi8-r", "koi8-u", "mac-roman",
    "shift-jis", "shiftjis", "sjis", "cp932", "windows-31j", "euc-jp", "eucjp", "iso-2022-jp", "gbk",
    "gb2312", "gb18030", "cp936", "big5", "cp950", "big5hkscs", "euc-kr", "euckr", "cp949", "johab",
    "cp437", "cp850", "cp852", "cp866", "tis-620", "macroman",
    *(f"{start}-{number}" for start in ("iso-8859", "iso8859") for number in range(1, 17) if number != 12),
    *(f"{start}{number}" for start in ("cp", "windows-") for number in range(1250, 1259)),
})  # fmt: skip
"""Encodings of texts; no codec that unpacks or runs anything."""
# Japanese in seven bits, valid as UTF-8: what switches to it, and back to ASCII.
_ISO_2022 = re.compile(rb"\x1b\$[@B][!-~]{2}[^\x1b]*\x1b\([BJ]")
_CONFLICT_MARK = re.compile(r"^(?:(<{7}|>{7})(?: [^\n]*)?|(={7}))\r?$", re.MULTILINE)
_DOCUMENTS = (
    ".md",
    ".markdown",
    ".rst",
    ".txt",
    ".adoc",
    ".asciidoc",
    ".org",
    ".tex",
    ".html",
    ".patch",
    ".diff",
)
"""Suffixes of files that show conflicts to readers."""
TOO_LARGE = "larger than 1 MiB"
"""The reason for leaving out a file; the text of a notebook counts, not its outputs."""


@dataclass(frozen=True)
class FileText:
    """A text, and how it differs from the bytes of its file (``None`` if it is those bytes in UTF-8)."""

    text: str
    conversion: Conversion | None = None


def file_text(content: bytes, path: str | None) -> FileText | str:
    """Return the text of a file, or in a few words why it is not used.

    Args:
        content: of the file; its first bytes suffice if it is larger than :func:`most_bytes`.
        path: of the file, for its suffix.
    """
    if not content.strip():
        return "empty"
    if len(content) > most_bytes(path):
        return TOO_LARGE
    decoded = _decoded(content)
    if isinstance(decoded, str):
        return decoded
    text, notes = decoded.text, decoded.notes
    if kind := pointer_kind(text):
        return kind
    if "\r" in text and _has_old_line_ends(text):
        text = re.sub(r"\r(?!\n)", "\n", text)
        notes += ("line ends of one carriage return",)
    suffix = path.lower() if path is not None else ""
    language = None
    if suffix.endswith(SUFFIX):
        script = notebook_script(text)
        if script is None:
            return "not a valid notebook"
        text, language = script
        notes += ("notebook read as its cells",)
    if notes:
        if not text.strip():
            return "empty"
        if len(text) > MAX_FILE_BYTES:
            return TOO_LARGE
        if "\0" in text:
            return "binary"
        if not _is_encodable(text):
            return "not valid text"
    if "\n>>>>>>>" in text and not suffix.endswith(_DOCUMENTS) and _has_conflict(text):
        return "unresolved merge conflict"
    if not notes:
        return FileText(text)
    return FileText(text, Conversion(notes, content_swhid(content), language))


@dataclass(frozen=True)
class _Decoded:
    text: str
    notes: tuple[str, ...] = ()


def _decoded(content: bytes) -> _Decoded | str:
    for mark, name in _MARKED:
        if content.startswith(mark):
            try:
                text = content.decode(name)
            except UnicodeDecodeError:
                return "binary"
            return "binary" if _CONTROLS.search(text) else _Decoded(text, (f"decoded from {name}",))
    if b"\0" in content:
        return "binary"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return _declared(content)
    if _ISO_2022.search(content) and not isinstance(found := _as(content, "iso-2022-jp"), str):
        return found
    if text.startswith("\ufeff"):
        return _Decoded(text.removeprefix("\ufeff"), ("byte order mark removed",))
    return _Decoded(text)


def _declared(content: bytes) -> _Decoded | str:
    found = _DECLARED.match(content[:2000])
    name = found[1].decode("ascii", "replace").lower().replace("_", "-") if found else ""
    # Editors add the line end that they write, as in Emacs' latin-1-unix.
    name = re.sub(r"-(?:unix|dos|mac)$", "", name)
    if name not in _CODECS:
        return "not UTF-8"
    return _as(content, name)


def _as(content: bytes, name: str) -> _Decoded | str:
    try:
        return _Decoded(content.decode(name), (f"decoded from {name}",))
    except (UnicodeDecodeError, LookupError):
        return "not UTF-8"


def _has_old_line_ends(text: str) -> bool:
    """Return true if most lines end with a carriage return alone, as on computers before 2001."""
    lines = text.count("\n")
    return text.count("\r") - text.count("\r\n") > lines


def _has_conflict(text: str) -> bool:
    """Return true if marks of git enclose two versions of some lines."""
    expected = "<=>"
    at = 0
    for found in _CONFLICT_MARK.finditer(text):
        mark = found[0][0]
        at = at + 1 if mark == expected[at] else int(mark == "<")
        if at == len(expected):
            return True
    return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
