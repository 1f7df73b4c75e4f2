"""Keys, and packages of an earlier version."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.trust import Trust, load_trust

FINISHED = Path(__file__).parents[3] / "golden/finished-packages"


@dataclass(frozen=True)
class Keys:
    """A key pair, and the trust in it."""

    private: Path
    public: Path
    signer: LocalKey
    trust: Trust


@pytest.fixture
def make_keys(tmp_path: Path) -> Callable[..., Keys]:
    """Makes a key pair with a name."""

    def make(name: str = "acme") -> Keys:
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        generate_key(private, public, b"password")
        return Keys(private, public, LocalKey.load(private, b"password"), load_trust(keys=[public]))

    return make


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    first = min(path for path in FINISHED.iterdir() if path.is_dir())
    return Path(shutil.copytree(first, tmp_path / "package"))


@pytest.fixture
def other_package(tmp_path: Path) -> Path:
    """A copy of another one."""
    last = max(path for path in FINISHED.iterdir() if path.is_dir())
    return Path(shutil.copytree(last, tmp_path / "other"))


@pytest.fixture
def openssl(require_service: Callable[[str], str]) -> str:
    """The program that stamps times."""
    return require_service("openssl")
