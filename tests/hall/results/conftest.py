"""Both kinds of stores, with real servers: docker-registry, and moto's S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.files import sha256_bytes
from starfreight.results.address import Place, parse_place
from starfreight.results.index import ResultFile, ResultIndex


@pytest.fixture(params=["oci", "s3"])
def place(request: pytest.FixtureRequest, plain_environment: None, tmp_path: Path) -> Place:
    """A place of its own for each test."""
    if request.param == "oci":
        server = request.getfixturevalue("registry")
        return parse_place(f"oci://{server.host}/team/{tmp_path.name.replace('_', '-').lower()}")
    return parse_place(f"{request.getfixturevalue('bucket').address}/team/runs")


@pytest.fixture
def write_files() -> Callable[..., ResultIndex]:
    """Writes files to a directory, and returns their index."""

    def write(
        folder: Path, files: dict[str, bytes], resume: tuple[str, ...] = (), name: str = "tiny-0123456789"
    ) -> ResultIndex:
        listed = []
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
            listed.append(
                ResultFile(path=path, digest=sha256_bytes(data), size=len(data), resume=path in resume)
            )
        return ResultIndex(kind="run", name=name, job="tiny-job", files=tuple(listed))

    return write
