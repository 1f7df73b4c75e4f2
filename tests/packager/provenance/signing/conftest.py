"""A key pair, and a package of an earlier version to sign."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_evaluations import passes, suite_result, write_evaluation

from starfreight.console import Console
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.recipe.evaluate import QualityRule

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


@pytest.fixture
def whole_package(make_run: Callable[..., Path], tmp_path: Path, console: Console) -> Path:
    """A package of this version in two quantizations: with a bill of materials, figures and a verdict."""
    from starfreight.packager.build.build_package import build_package

    folder = tmp_path / "whole"
    run = make_run(tmp_path / "project", quantizations=["Q4_K_M", "Q8_0"])
    package = build_package(run, folder, None, console)
    values = passes(40, 0.5)
    figures = suite_result("fim", "exact_match", values, problems="held-out files")
    evaluation = write_evaluation(
        tmp_path / "evaluation",
        [(figures, values)],
        name=package.name,
        quantization=str(package.default),
        gguf=package.default_variant.gguf.digest,
        template=package.template.digest if package.template else None,
        settings=package.settings.digest if package.settings else None,
        run=package.run,
        package=package.name,
    )
    attach(folder, evaluation, console)
    set_rules(folder, [QualityRule(suite="fim", figure="exact_match", at_least=0.1)], console)
    return folder
