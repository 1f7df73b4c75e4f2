"""License headers, in which nothing is cut."""

from __future__ import annotations

import pytest

from starfreight.jobs.evaluate.places.candidates import candidates
from starfreight.jobs.evaluate.places.license_header import header_end

CODE = {
    "python": ("a.py", "import math\n\n\ndef area(side):\n    return side * side\n"),
    "c": ("a.c", "#include <math.h>\nint area(int side) {\n  return side * side;\n}\n"),
    "rust": ("a.rs", "#![allow(dead_code)]\nfn area(side: u32) -> u32 {\n    side * side\n}\n"),
}
HEADERS = {
    "lines": (
        "python",
        "#!/usr/bin/env python3\n# Copyright 2026 Ada Lovelace\n#\n# Use it as you like.\n\n",
    ),
    "docstring": ("python", '"""Areas.\n\nLicensed under the MIT license.\nUse it as you like.\n"""\n'),
    "spdx": ("python", "# SPDX-License-Identifier: MIT\n"),
    "block": ("c", "/*\n * Areas of shapes\n * (c) 2026 Ada Lovelace\n *\n * Use it as you like.\n */\n\n"),
    "slashes": ("rust", "// Copyright 2026 Ada Lovelace.\n// Use it as you like.\n\n"),
    "crlf": ("c", "/* Copyright 2026 Ada Lovelace\r\n   Use it as you like. */\r\n"),
    "marked": ("python", "\ufeff# Copyright 2026 Ada Lovelace\n# Use it as you like.\n"),
    "html": ("c", "<!-- Copyright 2026 -->\n"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_license_header_ends_where_the_code_begins_and_is_not_cut(name: str) -> None:
    language, header = HEADERS[name]
    path, code = CODE[language]
    assert header_end(header + code) == len(header)
    found = list(candidates(header + code, path))
    assert found
    assert all(start >= len(header) for _, start, _ in found)


@pytest.mark.parametrize("name", CODE)
def test_comments_without_a_license_are_code(name: str) -> None:
    path, code = CODE[name]
    assert header_end(code) == 0
    mark = "# " if name == "python" else "// "
    text = f"{mark}Computes the areas of shapes.\n{code}"
    assert header_end(text) == 0
    assert any(start < 30 for _, start, _ in candidates(text, path))


def test_a_license_further_down_is_not_cut_either() -> None:
    text = "import math\n\n# Copyright 2026 Ada Lovelace\nSIDE = 1\nAREA = 2\n"
    middles = [text[start:end] for _, start, end in candidates(text, "a.py")]
    assert "SIDE = 1" in middles
    assert not any("Copyright" in middle for middle in middles)


def test_a_comment_that_never_ends_is_all_header() -> None:
    text = "/* Copyright 2026\nint area;\nint side;\n"
    assert header_end(text) == len(text)
    assert not list(candidates(text, "a.c"))
