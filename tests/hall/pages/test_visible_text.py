"""Nothing in a shown text is hidden."""

from __future__ import annotations

import pytest

from starfreight.packager.card.escape import one_line
from starfreight.pages.visible_text import visible


@pytest.mark.parametrize("hidden", ["\x1b", "\x9b", "\u200b", "\u202e", "\ufeff", "\U000e0041", "\U000e007f"])
def test_a_character_without_a_width_is_escaped_or_left_out(hidden: str) -> None:
    assert visible(f"a{hidden}b") == f"a{hidden.encode('unicode_escape').decode()}b"
    assert hidden not in one_line(f"a{hidden}b")
