"""Reads the documentation: its pages, its fenced blocks, and the commands in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])

_BASH = re.compile(r"^( *)```(?:bash|sh|console)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (run|run nightly|run newcomer|not run: [^\n]+) -->\n\s*\Z")
_INDENTED = re.compile(r"(?:^|\n\n)((?:    [^\n]*\n?)+)")


@dataclass(frozen=True)
class Block:
    """Shell commands of a page.

    Args:
        line: of the opening fence.
        mark: of the comment above: ``run``, ``run nightly``, ``run newcomer`` (only in tests/newcomer), or
            ``not run: REASON``; None without one.
        script: the commands.
    """

    line: int
    mark: str | None
    script: str


def shell_blocks(page: str) -> list[Block]:
    """The fenced blocks of shell commands of a page, in order."""
    blocks = []
    for match in _BASH.finditer(page):
        mark = _MARK.search(page[: match.start()])
        script = re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)
        blocks.append(Block(page.count("\n", 0, match.start()) + 1, mark[1] if mark else None, script))
    return blocks


def inline_calls(page: str) -> Iterator[str]:
    """Each call of ``starfreight`` inside a line of text, which may lack its arguments."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    for match in re.finditer(r"(?<!`)`(starfreight [^`]+)`", text):
        yield " ".join(match[1].replace("\\|", "|").split())


def command_lines(page: str) -> Iterator[str]:
    """Each call of ``starfreight`` in fenced and indented blocks, with its continued lines joined."""
    texts = [block.script for block in shell_blocks(page)]
    texts += [match[1] for match in _INDENTED.finditer(re.sub(r"```.*?```", "", page, flags=re.DOTALL))]
    for text in texts:
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            if (found := re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S* )*(starfreight(?: .*|$))", line)) is not None:
                yield found[1].strip()


def messages(mentioning: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """String literals of the code, parts of f-strings too, with file and line; docstrings are left out.

    Args:
        mentioning: only of files in which it is found, since reading all takes seconds.
    """
    for room in ("starfreight", "jobs", "packager", "images"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            if mentioning.search(text) is None or {"sample", "starter"} & {*path.parts}:
                continue
            tree = ast.parse(text)
            silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
