"""SWHIDs equal those of Software Heritage and git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.swhid import content_swhid, identify_file


def test_an_empty_file_has_the_identifier_that_everybody_knows() -> None:
    assert content_swhid(b"") == "swh:1:cnt:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.parametrize("content", [b"x = 1\n", b"\r\n\0\xff", b"a" * 100_000])
def test_a_contents_identifier_is_gits(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    command = ["git", "hash-object", "--no-filters", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert content_swhid(content) == f"swh:1:cnt:{done.stdout.strip()}"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_a_files_identifiers_are_those_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = b"a" * size
    (tmp_path / "x").write_bytes(content)
    found = identify_file(tmp_path / "x")
    assert (found.digest, found.swhid, found.size) == (sha256_bytes(content), content_swhid(content), size)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, Path("/dev/null"), tmp_path / "a\0b"):
        with pytest.raises(InputError):
            identify_file(path)
