"""An S3 server: moto, in an environment of its own (``make .venv-s3/stamp``): its libraries exclude ours."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-s3" / "bin"


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a running server."""

    address: str
    """As in a recipe."""
    variables: dict[str, str]
    """Credentials and endpoint, as obstore reads them."""

    def names(self) -> list[str]:
        """Keys of all objects, sorted."""
        import obstore
        from obstore.store import from_url

        found = obstore.list(from_url(self.address)).collect()
        return sorted(str(one["path"]) for one in found)

    def write(self, key: str, data: bytes) -> None:
        """Puts an object into the bucket."""
        import obstore
        from obstore.store import from_url

        obstore.put(from_url(self.address), key, data)


@pytest.fixture(scope="session")
def s3_endpoint(
    require_service: Callable[[str], str],
    free_port: Callable[[], int],
    start_server: Callable[[list[str], int, Path], subprocess.Popen[bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The address of a running server."""
    own = ENVIRONMENT / "moto_server"
    program = str(own) if own.exists() else require_service("moto_server")
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    start_server([program, "-H", "127.0.0.1", "-p", str(port)], port, log)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A new bucket, with credentials for it in the environment and no others."""
    import requests

    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-may-see",
        "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": s3_endpoint, "AWS_ALLOW_HTTP": "true",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = f"runs-{uuid.uuid4().hex[:12]}"
    requests.put(f"{s3_endpoint}/{made}", timeout=30).raise_for_status()
    yield Bucket(f"s3://{made}", variables)
