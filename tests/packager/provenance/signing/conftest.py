"""A key pair, and a package of an earlier version to sign."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from starfreight.packager.provenance.signing.local_key import generate_key

FINISHED = Path(__file__).parents[3] / "golden/finished-packages"
PASSWORD = "correct horse"


@dataclass(frozen=True)
class KeyPair:
    """Two files."""

    private: Path
    public: Path


@pytest.fixture
def make_key(tmp_path: Path) -> object:
    """Makes a key pair with a name."""

    def make(name: str = "acme") -> KeyPair:
        pair = KeyPair(tmp_path / f"{name}.key", tmp_path / f"{name}.pub")
        generate_key(pair.private, pair.public, PASSWORD.encode())
        return pair

    return make


@pytest.fixture(
    params=sorted(path for path in FINISHED.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    return Path(shutil.copytree(FINISHED / request.param, tmp_path / "package"))
