"""The whole way on a clean machine; it takes a quarter of an hour, so only at night."""

from __future__ import annotations

import os

import pytest
from follow import follow
from machine import missing_tools
from pages import PAGES, ROOT


@pytest.mark.skipif(not os.environ.get("STARFREIGHT_NIGHTLY"), reason="set STARFREIGHT_NIGHTLY=1")
def test_a_newcomer_gets_from_the_pages_to_a_published_and_verified_model_within_an_hour() -> None:
    if missing := missing_tools():
        pytest.skip(f"a clean machine needs {', '.join(missing)}")
    assert follow(PAGES, ROOT, keep=False) == []
