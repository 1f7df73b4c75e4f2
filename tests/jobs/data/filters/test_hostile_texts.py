"""The time of filters is linear in the size of any text, also a hostile one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from starfreight.jobs.data.filters.generated import GeneratedFilter
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.license import license_of
from starfreight.jobs.data.filters.minified import MinifiedFilter
from starfreight.jobs.data.filters.personal_data import find_personal_data
from starfreight.jobs.data.filters.vendored import VendoredFilter
from starfreight.recipe.data import Data
from starfreight.secrets import find_secrets

PIECES = [
    "eyJ", "eyJhbGciOiJIUzI1NiJ9.", "sk-T3BlbkFJ", "xoxb-1-1-", "://a:b@", "aws key", "secret = '",
    "api_key" + " " * 50,
    "password(",
    '"', "\\", "a@", "a@b.", "1.1.1.", "2001:", "::", "-us1", "BEGIN RSA PRIVATE KEY", "AccountKey=",
    "A" * 60 + "\n", "A" * 60, "0x00,", "\\x00", "generated do not edit ", "SPDX-License-Identifier: (((",
    "#", " ",
    "\n", "gnu general public license ", "_authToken=//", "é", "数", "\ud800", "glpat-a", ".aaaaaa.",
    ":" + "a" * 35,
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))
def test_a_text_of_one_piece_over_and_over_takes_time_in_proportion(
    piece: str, make_document: Callable[..., Document]
) -> None:
    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        document = make_document(text, path="a.md")
        began = time.process_time()
        find_secrets(text)
        find_personal_data(text)
        license_of(text, None, Data(source="./src"))
        GeneratedFilter().reject(document)
        MinifiedFilter().reject(document)
        return time.process_time() - began

    small, large = seconds(1 << 15), seconds(1 << 17)
    # Four times the text: quadratic time would be 16 times as long. Short times are noise, and a busy machine
    # may slow one measurement down.
    if large >= 9 * small + 0.2:
        large = min(seconds(1 << 17) for _ in range(3))
    assert large < 9 * small + 0.2
    assert large < 4, "a text of 1 MiB would take more than half a minute"


def test_a_hostile_path_is_read_once(make_document: Callable[..., Document]) -> None:
    for path in ("jquery" + "-1" * 100_000, "jquery" + ".min" * 50_000 + "x", "a/" * 100_000, "a." * 100_000):
        began = time.process_time()
        document = make_document("x", path=path)
        VendoredFilter().reject(document)
        GeneratedFilter().reject(document)
        MinifiedFilter().reject(document)
        assert time.process_time() - began < 2
