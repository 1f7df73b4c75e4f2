"""A model trained on proprietary code is not silently under its base model's license alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_result import run_command

from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.gguf.keys import read_scalars
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.model_license import recorded_terms
from starfreight.packager.provenance.rebuild.rebuild_package import RebuildRequest, rebuild_package
from starfreight.packager.registry.open_package import open_package
from starfreight.run import Run

BOTH = "MIT AND LicenseRef-Acme"


@pytest.fixture
def build(make_run: Callable[..., Path], console: Console, tmp_path: Path) -> Callable[..., Path]:
    """Builds the package of a run whose only file has a license."""

    def make(license: str, /, **recipe: Any) -> Path:
        folder = make_run(tmp_path, **recipe)
        path = folder / "data/manifest.json"
        path.write_text(path.read_text().replace('"MIT"', json.dumps(license)))
        run = Run.load(folder)
        recorded = run.data_manifest.model_copy(
            update={"digest": sha256_file(path), "size": path.stat().st_size}
        )
        run.model_copy(update={"data_manifest": recorded}).save(folder)
        build_package(folder, tmp_path / "package", None, console, skip_loss_check=True)
        return tmp_path / "package"

    return make


def test_card_manifests_files_and_inspect_name_both(build: Callable[..., Path]) -> None:
    folder = build("LicenseRef-Acme")
    package, layout = Package.load(folder), ImageLayout(folder)
    assert [each.name for each in package.licenses] == ["MIT", "LicenseRef-Acme"]
    notice = layout.read(package.licenses[1].text).decode()
    assert "\n  src\n" in notice and "MIT" in notice and "Ask the publisher" in notice
    (variant,) = package.variants
    annotations = {
        each.format: layout.manifest(each.manifest).annotations.get("org.opencontainers.image.licenses")
        for each in variant.manifests
    }
    assert annotations["modelpack"] == BOTH
    assert read_scalars(layout.blob_path(variant.gguf.digest))["general.license"] == BOTH
    card = layout.read(package.model_card).decode()
    assert f'license: "other"\nlicense_name: "{BOTH}"' in card
    assert f"{BOTH}. The text of MIT is part of this package.\n\nTexts under LicenseRef-Acme" in card
    assert package.bom is not None and b"LicenseRef-Acme" in layout.read(package.bom)
    shown = json.loads(run_command("package", "inspect", folder, "--json").stdout)
    assert shown["license"] == BOTH and BOTH in shown["license_duties"]["notes"][0]
    verified = run_command("package", "verify", folder)
    assert verified.exit_code == 0 and BOTH in " ".join(verified.stdout.split())


@pytest.mark.parametrize("license", ["NOASSERTION OR LicenseRef-Acme", "LicenseRef-Acme AND NOASSERTION"])
def test_an_unknown_license_frees_from_nothing(license: str, build: Callable[..., Path]) -> None:
    assert [each.name for each in Package.load(build(license)).licenses] == ["MIT", "LicenseRef-Acme"]


def test_data_without_a_license_are_named_everywhere_and_refused(build: Callable[..., Path]) -> None:
    folder = build("NONE")
    package, layout = Package.load(folder), ImageLayout(folder)
    assert [each.name for each in package.licenses] == ["MIT", "LicenseRef-No-License"]
    assert "MIT AND LicenseRef-No-License" in layout.read(package.model_card).decode()
    assert package.bom is not None and b"LicenseRef-No-License" in layout.read(package.bom)
    verified = run_command("package", "verify", folder)
    assert verified.exit_code == 3
    assert "REFUSED: Data under NONE (1 text): Without a license" in " ".join(verified.stdout.split())
    published = run_command("publish", folder, "127.0.0.1:1/acme/coder:1", "--insecure")
    assert published.exit_code == 3
    assert "the license gives no permission" in " ".join(published.stderr.split())


def test_publish_warns(build: Callable[..., Path]) -> None:
    published = run_command("publish", build("LicenseRef-Acme"), "127.0.0.1:1/acme/coder:1", "--insecure")
    assert published.exit_code == 4 and BOTH in published.stderr and "package.license" in published.stderr


def test_a_rebuilt_package_has_the_same_files(
    build: Callable[..., Path], tmp_path: Path, console: Console
) -> None:
    request = RebuildRequest(base=tmp_path / "base", adapter=tmp_path / "runs/tiny/adapter")
    with open_package(str(build("LicenseRef-Acme")), console) as opened:
        assert all(each.is_identical for each in rebuild_package(opened, request, console).files)


def test_the_recipe_decides(build: Callable[..., Path]) -> None:
    package = Package.load(folder := build("LicenseRef-Acme", license="MIT"))
    assert [each.name for each in package.licenses] == ["MIT"]
    shown = json.loads(run_command("package", "inspect", folder, "--json").stdout)
    assert shown["license"] == "MIT" and shown["license_duties"]["notes"] == []


def test_free_data_change_nothing(build: Callable[..., Path]) -> None:
    folder = build("Apache-2.0 OR LicenseRef-Acme")
    assert [each.name for each in Package.load(folder).licenses] == ["MIT"]
    card = ImageLayout(folder).read(Package.load(folder).model_card).decode()
    assert "The license's text is part of this package.\n\n## Base model" in card


def test_packages_of_earlier_versions_keep_their_license(build: Callable[..., Path]) -> None:
    package = Package.load(build("MIT"))
    assert recorded_terms(package, ["LicenseRef-Acme"], "MIT") == ()
