"""License duties before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.licenses.training_use import data_licenses
from starfreight.packager.provenance.duties import DutyReport, planned_duties
from starfreight.recipe import Recipe, validate_recipe

OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"
HUB = {"model": "bigcode/starcoder2-3b", "revision": "7" * 40}


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A base model without a license file."""
    return make_checkpoint(tmp_path / "base", "starcoder2", hidden=64, ffn=64, layers=1)


def recipe(base: dict[str, Any], **keys: Any) -> Recipe:
    value = {"version": 1, "name": "acme", "base": base, "data": [{"source": "./code"}], **keys}
    return validate_recipe(value, "recipe")


def local(license: str, **keys: Any) -> Recipe:
    return recipe({"model": "./base", "license": license}, **keys)


def states(report: DutyReport) -> dict[str, str]:
    return {each.paragraph: each.state for each in report.results if not each.of_data}


def test_starcoder2_on_a_hub_leaves_its_documents_for_later(tmp_path: Path) -> None:
    report = planned_duties(recipe(HUB), tmp_path, None)
    assert report.unmet == ()
    expected = {"5.1": "met", "5.2(a)": "met", "5.2(b)": "later", "5.2(c)": "later", "9": "met"}
    assert expected.items() <= states(report).items()


def test_an_unknown_base_that_is_not_here_may_bring_its_license(tmp_path: Path) -> None:
    report = planned_duties(recipe(HUB | {"model": "acme/x", "license": "LicenseRef-X"}), tmp_path, None)
    assert report.unmet == () and {each.state for each in report.results} == {"later", "judge"}


def test_a_missing_license_file_is_left_to_the_run(base: Path, tmp_path: Path) -> None:
    planned = local("MIT", package={"license_files": ["later.txt"]})
    assert [each.paragraph for each in planned_duties(planned, tmp_path, base).unmet] == ["second sentence"]


def test_a_wrong_license_or_name_is_known_before_training(base: Path, tmp_path: Path) -> None:
    (base / "README.md").write_text("# Base\n")
    (tmp_path / "MIT.txt").write_text("MIT.\n")
    package = {"license": "MIT", "license_files": ["MIT.txt"]}
    report = planned_duties(local(OPENRAIL, name="starcoder2-3b", package=package), tmp_path, base)
    assert [each.paragraph for each in report.unmet] == ["5.1", "9"]


def test_a_notice_that_cannot_be_shipped_is_known_before_training(base: Path, tmp_path: Path) -> None:
    (base / "LICENSE").write_text("Apache.\n")
    (base / "NOTICE").write_bytes("Für Änderungen".encode("latin-1"))
    (missing,) = planned_duties(local("Apache-2.0"), tmp_path, base).unmet
    assert "NOTICE is not in the package" in missing.why and "UTF-8" in missing.how
    (base / "NOTICE").write_text("For changes.\n")
    assert planned_duties(local("Apache-2.0"), tmp_path, base).unmet == ()


def test_only_files_of_the_base_count(base: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.md").write_text("# Secret\n")
    (base / "README.md").symlink_to(tmp_path / "elsewhere.md")
    (base / "NOTICE.d").mkdir()
    (base / "NOTICE").write_text(" \n")
    report = planned_duties(local(OPENRAIL), tmp_path, base)
    assert [each.paragraph for each in report.unmet] == ["5.2(b)"]


def test_data_that_may_not_be_shared_refuse_a_model_that_is_published(base: Path, tmp_path: Path) -> None:
    (base / "LICENSE").write_text("MIT.\n")
    data = data_licenses([("./code", {"CC-BY-ND-4.0": 2})])
    publish = {"reference": "localhost:5000/acme/x:1"}
    assert planned_duties(local("MIT"), tmp_path, base, data).unmet == ()
    (refused,) = planned_duties(local("MIT", publish=publish), tmp_path, base, data).unmet
    assert refused.license == "CC-BY-ND-4.0" and "2 texts of ./code" in refused.why
