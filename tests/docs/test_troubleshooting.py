"""The errors on the page of troubleshooting are the code's."""

from __future__ import annotations

import re

from documentation import ROOT, messages

_PAGE = (ROOT / "docs/troubleshooting.md").read_text()


def test_each_quoted_error_exists_in_the_code() -> None:
    headings = re.findall(r"^### (.+)$", _PAGE, re.MULTILINE)
    assert len(headings) > 25
    parts = {
        part: heading
        for heading in headings
        for part in (piece.strip() for piece in heading.split("…"))
        if len(part) > 1
    }
    longest = [max((piece.strip() for piece in heading.split("…")), key=len) for heading in headings]
    # A literal may be broken into several lines of code, but hardly in its first letters.
    beginnings = re.compile("|".join(re.escape(part[:14]) for part in longest))
    texts = "\0".join(text for _, text in messages(beginnings))
    assert {part: heading for part, heading in parts.items() if part not in texts} == {}
