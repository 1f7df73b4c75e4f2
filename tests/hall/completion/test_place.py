"""Places in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.completion.place import find_place, looks_like_a_place
from starfreight.errors import InputError

TEXT = "import math\n\ndef area(r):\n    return \n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a b:c.py"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("place", "prefix"),
    [
        ("4", "import math\n\ndef area(r):\n    return "),
        ("4:1", "import math\n\ndef area(r):\n"),
        ("4:12", "import math\n\ndef area(r):\n    return "),
        ("4:5", "import math\n\ndef area(r):\n    "),
        ("1:1", ""),
        ("2", "import math\n"),
        ("5", TEXT),
        ("5:1", TEXT),
    ],
)
def test_the_cursor_is_at_the_end_of_the_line_or_before_the_column(
    file: Path, place: str, prefix: str
) -> None:
    found = find_place(f"{file}:{place}")
    assert (found.prefix, found.suffix) == (prefix, TEXT[len(prefix) :])
    assert find_place(str(found)) == found
    assert looks_like_a_place(f" {file}:{place} ")


@pytest.mark.parametrize("text", ["", "\n", "x", "\u2028", "é\r\nx\r\n", "a\rb", "\ufeffx\n"])
def test_every_line_of_every_text_has_an_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(text.encode())
    lines = len(text.splitlines()) + (not text or text[-1] in "\r\n")
    for line in range(1, lines + 1):
        found = find_place(f"{path}:{line}")
        assert found.prefix + found.suffix == text
        assert not found.suffix or found.suffix[0] in "\r\n\u2028"
    with pytest.raises(InputError, match="there is no line"):
        find_place(f"{path}:{lines + 1}")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("0", "no line 0"), ("6", "5 lines; there is no line 6"), ("999999999", "no line"),
        ("4:13", "no column 13"), ("4:0", "no column 0"), ("x", "not a place"),
        ("99999999999999999999", "not a place|does not exist"),
        ("", "not a place"), ("-1", "not a place"), ("4:5:6", "does not exist"),
    ],
)  # fmt: skip
def test_another_place_is_refused(file: Path, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_place(f"{file}:{place}")


def test_a_file_that_is_not_a_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"a" * (5 << 20))
    for name, message in (
        ("binary", "UTF-8"), ("large", "larger than 4 MiB"), ("missing", "does not exist"), ("", "directory"),
        ("a\x00b", "does not exist|null"), ("x" * 400, "does not exist|cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            find_place(f"{tmp_path}/{name}:1")
    assert not looks_like_a_place("x\x00:1") and not looks_like_a_place("x" * 9000 + ":1")
