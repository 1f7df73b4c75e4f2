"""SWHIDs equal those of Software Heritage and git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from starfreight.jobs.data.swhid import content_swhid


def test_an_empty_file_has_the_identifier_that_everybody_knows() -> None:
    assert content_swhid(b"") == "swh:1:cnt:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.parametrize("content", [b"x = 1\n", b"\r\n\0\xff", b"a" * 100_000])
def test_a_contents_identifier_is_gits(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    command = ["git", "hash-object", "--no-filters", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert content_swhid(content) == f"swh:1:cnt:{done.stdout.strip()}"
