"""Releases in a registry, rebuilt and compared without a download of their models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.package import Package
from starfreight.packager.build import build_package as builder
from starfreight.packager.build.build_package import build_package
from starfreight.packager.provenance.diff.compare_packages import compare_packages
from starfreight.packager.provenance.rebuild.rebuild_package import RebuildRequest, Rebuilt, rebuild_package
from starfreight.packager.registry.open_package import open_package
from starfreight.packager.registry.push import publish

GOLDEN = Path(__file__).parents[2] / "golden"
FIM, SWEEP = "golden-fim-de8303b786", "golden-sweep-rank-4-44cf01916d"


@pytest.fixture
def release(
    faulty: Any, repository: str, tmp_path: Path, console: Console
) -> Callable[..., tuple[str, Path]]:
    """Builds and publishes the package of a golden run, and forgets the requests."""

    def make(name: str, tag: str = "1.0") -> tuple[str, Path]:
        run = shutil.copytree(GOLDEN / "finished-runs" / name, tmp_path / tag / "run")
        build_package(run, tmp_path / tag / "package", GOLDEN / "inputs" / "base", console)
        reference = f"{faulty.host}/{repository}:{tag}"
        publish(tmp_path / tag / "package", reference, insecure=True, console=console)
        faulty.seen.clear()
        return reference, tmp_path / tag

    return make


def rebuild(reference: str, root: Path, console: Console, *, fetch: bool = False) -> Rebuilt:
    request = RebuildRequest(GOLDEN / "inputs" / "base", root / "run" / "adapter", fetch=fetch)
    with open_package(reference, console, insecure=True) as opened:
        return rebuild_package(opened, request, console)


def downloads(faulty: Any, package: Package) -> int:
    return sum(faulty.count("GET", variant.gguf.digest) for variant in package.variants)


def test_a_release_is_rebuilt_by_its_digests_alone(
    release: Callable[..., tuple[str, Path]], faulty: Any, console: Console
) -> None:
    reference, root = release(FIM)
    assert rebuild(reference, root, console).is_identical
    assert faulty.seen and downloads(faulty, Package.load(root / "package")) == 0


def test_a_file_that_differs_is_downloaded_on_request_alone(
    release: Callable[..., tuple[str, Path]], faulty: Any, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = builder.press

    def dishonest(*arguments: Any) -> Any:
        first, *others = press(*arguments)
        data = bytearray(first.path.read_bytes())
        data[-100] ^= 0x10
        first.path.write_bytes(data)
        return (replace(first, digest=sha256_file(first.path)), *others)

    monkeypatch.setattr(builder, "press", dishonest)
    reference, root = release(FIM)
    package = Package.load(root / "package")
    file, other = rebuild(reference, root, console).files
    assert other.is_identical and not file.is_identical and file.difference is None
    assert file.unknown is not None and "--compare" in file.unknown
    assert downloads(faulty, package) == 0
    file, _ = rebuild(reference, root, console, fetch=True).files
    assert file.difference is not None and file.difference.part == "tensor"
    assert faulty.count("GET", package.variants[0].gguf.digest) >= 1
    assert faulty.count("GET", package.variants[1].gguf.digest) == 0


def test_two_releases_are_compared_without_their_models(
    release: Callable[..., tuple[str, Path]], faulty: Any, console: Console
) -> None:
    one, _ = release(FIM)
    two, root = release(SWEEP, "1.1")
    with (
        open_package(one, console, insecure=True) as before,
        open_package(two, console, insecure=True) as after,
        open_package(str(root / "package"), console) as here,
    ):
        found = compare_packages(before, after, console)
        assert compare_packages(after, here, console).sections == {}
    assert found.sections["data"].lines[0] == "./pairs.jsonl: new source, 40 added"
    assert "package.ship: merged -> adapter" in found.sections["recipe"].lines
    assert downloads(faulty, Package.load(root / "package")) == 0
