"""The errors on the page of troubleshooting are the code's."""

from __future__ import annotations

import ast
import re

from documentation import ROOT

_PAGE = (ROOT / "docs/troubleshooting.md").read_text()
_ROOMS = ("starfreight", "jobs", "packager", "images")


def test_each_quoted_error_exists_in_the_code() -> None:
    headings = re.findall(r"^### (.+)$", _PAGE, re.MULTILINE)
    texts = "\0".join(_texts())
    assert len(headings) > 15
    missing = [
        (heading, part)
        for heading in headings
        for part in (piece.strip() for piece in heading.split("…"))
        if len(part) > 1 and part not in texts
    ]
    assert missing == []


def _texts() -> set[str]:
    """All string literals of the code, parts of f-strings too."""
    found = set()
    for room in _ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "sample" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        found.add(node.value)
    return found
