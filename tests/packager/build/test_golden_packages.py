"""Packages of finished runs that an earlier version wrote: found again, and built again with the same models.

The statement, the model card, the documents and the evidence of a package built today are of this version.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from starfreight import __version__
from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build import templates
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import ImageLayout, verify_layout, write_package
from starfreight.packager.manifests import EARLIER_FORMATS

GOLDEN = Path(__file__).parents[2] / "golden"
PACKAGES = sorted(path for path in (GOLDEN / "finished-packages").iterdir() if path.is_dir())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_earlier_package_verifies_as_it_did(package: Path, tmp_path: Path, console: Console) -> None:
    shutil.copytree(package, tmp_path / "p")
    report = verify_layout(tmp_path / "p", console)
    earlier = json.loads(package.with_name(package.name + ".verify.json").read_bytes())
    assert (report.files, report.bytes) == (earlier["files"], earlier["bytes"])
    assert tree(tmp_path / "p") == tree(package)


def layers(folder: Path, package: Package) -> list[list[tuple[str, str]]]:
    """Type and digest of the layers of each manifest, without those of its card and its documents."""
    layout = ImageLayout(folder)
    others = {package.model_card.digest, *(document.text.digest for document in package.documents)}
    return [
        [
            (layer.media_type, layer.digest)
            for layer in layout.manifest(each.manifest).layers
            if layer.digest not in others
        ]
        for variant in package.variants
        for each in variant.manifests
    ]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_earlier_run_gives_the_same_models_and_texts(
    package: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(GOLDEN / "finished-runs" / package.name, tmp_path / "run")
    monkeypatch.setattr(write_package, "formats_for", lambda *, with_adapter: EARLIER_FORMATS)
    monkeypatch.setitem(templates.TEMPLATES, "instruct", templates.EARLIER_TEMPLATES["instruct"])
    built = build_package(run, tmp_path / "p", GOLDEN / "inputs" / "base", console)
    earlier = Package.load(package)
    assert built.facts() == earlier.facts()
    assert [each.gguf for each in built.variants] == [each.gguf for each in earlier.variants]
    for name in ("adapter", "template", "settings", "system", "licenses"):
        assert getattr(built, name) == getattr(earlier, name)
    assert layers(tmp_path / "p", built) == layers(package, earlier)
    for descriptor in earlier.descriptors():
        if descriptor in built.descriptors():
            assert ImageLayout(tmp_path / "p").read(descriptor) == ImageLayout(package).read(descriptor)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_run_gives_the_same_package_byte_for_byte(package: Path, tmp_path: Path, console: Console) -> None:
    for name in ("first", "second"):
        run = shutil.copytree(GOLDEN / "finished-runs" / package.name, tmp_path / name / "run")
        build_package(run, tmp_path / name / "p", GOLDEN / "inputs" / "base", console)
    assert tree(tmp_path / "first" / "p") == tree(tmp_path / "second" / "p")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_earlier_package_is_not_built_again(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(GOLDEN / "finished-runs" / package.name, tmp_path / "run")
    shutil.copytree(package, tmp_path / "p")
    assert build_package(run, tmp_path / "p", None, Console()) == Package.load(package)
    said = capsys.readouterr().err
    assert "is built already" in said
    # The template of completion models is the same as then.
    assert ("prompt template of an earlier version" in said) == (
        package.name == "golden-sweep-rank-4-44cf01916d"
    )


def test_the_version_is_in_the_statement_only(tmp_path: Path, console: Console) -> None:
    run = shutil.copytree(GOLDEN / "finished-runs" / PACKAGES[0].name, tmp_path / "run")
    built = build_package(run, tmp_path / "p", GOLDEN / "inputs" / "base", console)
    blob = tmp_path / "p/blobs/sha256" / built.provenance.digest.removeprefix("sha256:")
    builder = json.loads(blob.read_bytes())["predicate"]["runDetails"]["builder"]
    assert builder["version"] == {"starfreight": __version__}
