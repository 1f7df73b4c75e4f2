"""Valid values of records."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from starfreight.records import FileDigest

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "a\\..\\b", "a\0b", "..", ""]
)
def test_a_path_outside_its_directory_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        FileDigest(path=path, digest=DIGEST, size=1)


@pytest.mark.parametrize("path", ["a.py", "data/manifest.json", "a..b/...c", "ü/x y.py"])
def test_a_path_inside_its_directory_is_accepted(path: str) -> None:
    assert FileDigest(path=path, digest=DIGEST, size=1).path == path


@pytest.mark.parametrize(
    "digest", ["sha256:" + "0" * 63, "md5:" + "0" * 32, "sha256:" + "G" * 64, DIGEST + "\n"]
)
def test_a_digest_is_sha256_in_lower_case_hex(digest: str) -> None:
    with pytest.raises(ValidationError):
        FileDigest(path="a", digest=digest, size=1)
