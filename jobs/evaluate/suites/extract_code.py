"""Takes code out of the answer of a model: a fenced block, or the function by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)")
_NAMES = (
    ("python", "py", "python3", "py3", "python2"),
    ("javascript", "js", "node", "jsx"),
    ("typescript", "ts"),
    ("c++", "cpp", "cc", "cxx"),
    ("shell", "bash", "sh"),
    ("rust", "rs"),
    ("perl", "pl"),
    ("go", "golang"),
    ("ruby", "rb"),
    ("c#", "csharp", "cs"),
)
"""Names of a language; others have one."""
_TOP_LEVEL = re.compile(
    r"(?:async[ \t]+def|def|class|import|from|@|if[ \t]+__name__|[A-Za-z_]\w*[ \t]*(?::[^=\n]+)?=[^=])"
)
_BEGINNING = re.compile(
    r"(?:(?:async[ \t]+)?def[ \t]|class[ \t]\w+[ \t]*[:(]|import[ \t]\w|from[ \t][\w.]+[ \t]import[ \t]|@\w)"
)
_LONGEST = 1 << 20
_THOUGHT = "</think>"


@dataclass(frozen=True)
class _Block:
    language: str
    code: str


def extract_code(answer: str, language: str, name: str) -> str:
    """The code in an answer.

    Of several blocks the first one in the language that defines the function is taken, then the first one in
    the language, then the first one without a language. Blocks in other languages are none.

    Args:
        answer: text with code, untrusted.
        language: of the code, in small letters.
        name: of a function that the code defines; empty if unknown.
    """
    answer = answer[:_LONGEST].replace("\r\n", "\n").rpartition(_THOUGHT)[2]
    blocks = _blocks(answer)
    names = next((each for each in _NAMES if language in each), (language,))
    # No text matches without a name.
    defines = re.compile(rf"\b{re.escape(name)}\b[ \t]*(?:\(|=|\{{)" if name else r"(?!)")
    mine = [each for each in blocks if each.language in names]
    nameless = [each for each in blocks if not each.language]
    for chosen in (
        [each for each in mine if defines.search(each.code)],
        [each for each in nameless if defines.search(each.code)],
        mine,
        nameless,
    ):
        if chosen:
            return chosen[0].code
    if blocks:
        return ""
    return _python_without_fence(answer, name) if names[0] == "python" and name else answer


def _blocks(answer: str) -> list[_Block]:
    """The fenced blocks; the last one may lack its end."""
    blocks: list[_Block] = []
    lines = answer.split("\n")
    place = 0
    while place < len(lines):
        opening = _FENCE.fullmatch(lines[place])
        place += 1
        if opening is None:
            continue
        marks, indent, code = opening["marks"], opening["indent"], []
        while place < len(lines):
            line = lines[place]
            place += 1
            closing = line.strip()
            if len(closing) >= len(marks) and not closing.strip(marks[0]):
                break
            code.append(line.removeprefix(indent))
        words = (
            opening["info"].replace("{", " ").replace("}", " ").replace(".", " ").replace(":", " ").split()
        )
        blocks.append(_Block(words[0].lower() if words else "", "\n".join(code) + "\n"))
    return blocks


def _python_without_fence(answer: str, name: str) -> str:
    """The statements around a function's definition, or all of the answer if it has none.

    Lines at the left margin that are no statements are prose.
    """
    lines = answer.split("\n")
    definition = re.compile(rf"(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b")
    places = [place for place, line in enumerate(lines) if definition.match(line)]
    if not places:
        return answer
    first = next(place for place, line in enumerate(lines) if _BEGINNING.match(line))
    kept: list[str] = []
    in_statement = False
    for line in lines[first:]:
        if not line.strip():
            kept.append("")
        elif line[0] in " \t" or (in_statement and line[0] in ")]}'\"#"):
            if in_statement:
                kept.append(line)
        else:
            in_statement = _TOP_LEVEL.match(line) is not None
            if in_statement:
                kept.append(line)
    return "\n".join(kept) + "\n"
