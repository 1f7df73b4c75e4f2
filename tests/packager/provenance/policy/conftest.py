"""A built package with training data, examined, and policies about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from traced_data import write_data

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_training_data import read_training_data
from starfreight.packager.build.build_package import build_package
from starfreight.packager.provenance.policy import Policy, load_policy
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.trust import Trust, verify_signatures
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.packager.provenance.verify.policy import PolicyCheck
from starfreight.run import Run


@pytest.fixture
def built(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    """A package with its data manifest."""
    build_package(make_run(tmp_path), tmp_path / "package", None, Console(quiet=True), skip_loss_check=True)
    return tmp_path / "package"


@pytest.fixture
def traced(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    """A package with data of two sources, with repositories and licenses, which its recipe does not name."""
    run = make_run(tmp_path)
    Run.load(run).model_copy(update={"data_manifest": write_data(run / "data")}).save(run)
    build_package(run, tmp_path / "package", None, Console(quiet=True), skip_loss_check=True)
    return tmp_path / "package"


@pytest.fixture
def make_policy(tmp_path: Path) -> Callable[..., Policy]:
    """Writes a policy with these sections and reads it."""

    def make(**sections: Any) -> Policy:
        path = tmp_path / "policy.yaml"
        path.write_text(json.dumps({"version": 1, **sections}))
        return load_policy(path)

    return make


@pytest.fixture
def key(tmp_path: Path) -> LocalKey:
    """A key whose public half is ``acme.pub`` beside the policy."""
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"password")
    return LocalKey.load(tmp_path / "acme.key", b"password")


def _examine(folder: Path, policy: Policy, trust: Trust | None = None) -> Examined:
    package, layout = Package.load(folder), ImageLayout(folder)
    return Examined(
        folder=folder,
        package=package,
        layout=layout,
        where=str(folder),
        provenance=read_provenance(folder, package),
        data=read_training_data(folder, package),
        signatures=verify_signatures(layout, package, (trust or Trust()) | policy.trust),
        policy=policy,
    )


@pytest.fixture
def examine() -> Callable[..., Examined]:
    """Reads the parts of a package: ``examine(folder, policy, trust)``."""
    return _examine


@pytest.fixture
def findings(make_policy: Callable[..., Policy]) -> Callable[..., list[Finding]]:
    """The findings of a policy with these sections about a package."""

    def find(folder: Path, trust: Trust | None = None, **sections: Any) -> list[Finding]:
        found: Iterable[Finding] = PolicyCheck().findings(_examine(folder, make_policy(**sections), trust))
        return list(found)

    return find
