"""Statements of version 1 verify for ever, and changed ones do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout.rebuild import read_credits
from starfreight.packager.provenance.compare import PackageSources, statement_problems
from starfreight.packager.provenance.recorded import read_provenance

PACKAGES = sorted(
    path for path in (Path(__file__).parents[2] / "golden/finished-packages").iterdir() if path.is_dir()
)


def parts(folder: Path) -> tuple[Any, Package, PackageSources]:
    package, layout = Package.load(folder), ImageLayout(folder)
    credits = read_credits(layout, package)
    named = {"template": package.template, "settings": package.settings, "system": package.system}
    texts = {name: layout.read(part) for name, part in named.items() if part is not None}
    sources = PackageSources(credits.authors, credits.source_url, texts)
    return json.loads(layout.read(package.provenance)), package, sources


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_an_earlier_statement_fits_and_can_be_read(folder: Path) -> None:
    statement, package, sources = parts(folder)
    assert list(statement_problems(canonical_json(statement), package, sources)) == []
    found = read_provenance(folder, package)
    assert (found.version, found.method, found.base, found.invoker) == (1, "qlora", None, None)
    assert found.run == package.run and found.recipe_digest == package.recipe
    assert "model.safetensors" in found.base_files and "torch" in found.versions
    files = list(found.data_files())
    assert files and all(digest is not None for _, _, digest, _ in files)
    assert sum(samples for each in found.sources for samples, _ in each.licenses.values()) == len(files)


def dependencies(statement: Any) -> Any:
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "an unknown build type": (
        lambda s: s["predicate"]["buildDefinition"].update(buildType="urn:x"), "has an unknown build type",
    ),
    "the build type of another method": (
        lambda s: s["predicate"]["buildDefinition"].update(buildType="urn:starfreight:build:lora-gguf:v1"),
        "has another build type than that of qlora",
    ),
    "a file of the base twice": (
        lambda s: dependencies(s).append({"name": "base/config.json", "digest": {"sha256": "0" * 64}}),
        "is ambiguous: two dependencies are called 'base/config.json'",
    ),
    "another data manifest beside the first": (
        lambda s: dependencies(s).insert(0, {"name": "data/manifest.json", "digest": {"sha256": "0" * 64}}),
        "is ambiguous: two dependencies are called 'data/manifest.json'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_statement_does_not_fit(name: str) -> None:
    change, said = CHANGES[name]
    statement, package, sources = parts(PACKAGES[0])
    change(statement)
    assert list(statement_problems(canonical_json(statement), package, sources)) == [said]


def test_a_license_that_the_recipe_does_not_name_is_found() -> None:
    statement, package, sources = parts(PACKAGES[0])
    licenses = tuple(each.model_copy(update={"name": "0BSD"}) for each in package.licenses)
    other = package.model_copy(update={"licenses": licenses})
    found = list(statement_problems(canonical_json(statement), other, sources))
    assert found == ["has a recipe with another license than the package"]


def test_a_package_with_parts_of_version_2_needs_a_statement_of_version_2(tmp_path: Path) -> None:
    folder = shutil.copytree(PACKAGES[0], tmp_path / "p")
    statement, package, sources = parts(folder)
    newer = package.model_copy(update={"version": 2, "bom": package.model_card})
    found = list(statement_problems(canonical_json(statement), newer, sources))
    assert found == ["is of version 1, which packages of this kind never have"]
