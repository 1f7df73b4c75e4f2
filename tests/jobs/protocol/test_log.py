"""The lines of a log that arrives in pieces of any size."""

from __future__ import annotations

import time

import pytest

from starfreight.jobs.protocol.log import LONGEST_LINE, lines_of


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_do_not_depend_on_the_pieces(size: int) -> None:
    text = b"\none\n\ntwo\r\nthree"
    pieces = (text[begin : begin + size] for begin in range(0, len(text), size))
    assert list(lines_of(pieces)) == [b"\n", b"one\n", b"\n", b"two\r\n", b"three"]


def test_a_line_without_end_is_cut_in_linear_time() -> None:
    begin = time.monotonic()
    lines = list(lines_of(b"x" for _ in range(LONGEST_LINE + 5)))
    assert [len(line) for line in lines] == [LONGEST_LINE + 2, 4]
    assert time.monotonic() - begin < 10
