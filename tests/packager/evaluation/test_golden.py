"""A package with evaluations as the first version wrote it: it verifies, and would be written again alike."""

from __future__ import annotations

import shutil
from pathlib import Path

from starfreight.console import Console
from starfreight.package import Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.recorded_verdict import recorded_rules
from starfreight.packager.layout import verify_layout

GOLDEN = Path(__file__).parents[1] / "golden"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_package_with_evaluations_verifies(tmp_path: Path, console: Console) -> None:
    folder = shutil.copytree(GOLDEN / "package-evaluated", tmp_path / "p")
    verify_layout(folder, console)
    found = read_evaluations(folder)
    assert found.problems == ()
    # One evaluation in 16 bits is the reference of both variants.
    assert sorted(each.role for each in found.evaluations) == ["F16", "F16", "base", "model"]
    assert len(recorded_rules(folder, Package.load(folder))) == 2


def test_the_same_evaluations_give_the_same_package(folder: Path, tmp_path: Path, console: Console) -> None:
    for name in ("model", "base", "f16"):
        attach(folder, GOLDEN / "evaluations" / name, console)
    set_rules(
        folder,
        recorded_rules(GOLDEN / "package-evaluated", Package.load(GOLDEN / "package-evaluated")),
        console,
    )
    assert files(folder) == files(GOLDEN / "package-evaluated")
