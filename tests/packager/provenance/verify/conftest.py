"""A small package of this version, with and without signatures, and packages of earlier versions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_evaluations import passes, suite_result, write_evaluation

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.trust import load_trust
from starfreight.packager.provenance.verify.verdict import Verdict
from starfreight.packager.provenance.verify.verify_package import verify_package
from starfreight.recipe.evaluate import QualityRule

PASSWORD = b"correct horse"

Copy = Callable[[str], Path]
Verify = Callable[..., Verdict]


def add_figures(folder: Path, work: Path, console: Console) -> None:
    package = Package.load(folder)
    values = passes(40, 0.5)
    evaluation = write_evaluation(
        work,
        [(suite_result("fim", "exact_match", values, problems="held-out files"), values)],
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


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages of the session by name, and ``root``."""
    return {"root": tmp_path_factory.mktemp("verify")}


@pytest.fixture
def keys(_made: dict[str, Path]) -> Path:
    """A directory with two key pairs: ``acme`` and ``other``."""
    folder = _made["root"] / "keys"
    if not folder.exists():
        folder.mkdir()
        for name in ("acme", "other"):
            generate_key(folder / f"{name}.key", folder / f"{name}.pub", PASSWORD)
    return folder


@pytest.fixture
def copy_of(
    _made: dict[str, Path], make_run: Callable[..., Path], keys: Path, tmp_path: Path, console: Console
) -> Copy:
    """Copies a package: ``unsigned``, ``signed`` with the key ``acme``, or ``another`` one signed with it."""

    def make(name: str) -> Path:
        root = _made["root"] / name
        quantizations = ["Q8_0", "Q4_K_M"] if name != "another" else ["Q5_K_M"]
        run = make_run(root, quantizations=quantizations, system="Answer with code.")
        folder = root / "package"
        build_package(run, folder, None, console)
        add_figures(folder, root / "evaluation", console)
        if name != "unsigned":
            sign_package(folder, LocalKey.load(keys / "acme.key", PASSWORD), console)
        return folder

    def copy(name: str) -> Path:
        if name not in _made:
            _made[name] = make(name)
        return Path(shutil.copytree(_made[name], tmp_path / name))

    return copy


@pytest.fixture
def verify(keys: Path, console: Console) -> Verify:
    """Verifies a package; with the name of a key, its signatures too."""

    def run(source: Path | str, key: str | None = None) -> Verdict:
        trust = load_trust(keys=[keys / f"{key}.pub"]) if key else None
        return verify_package(str(source), console, trust=trust)

    return run
