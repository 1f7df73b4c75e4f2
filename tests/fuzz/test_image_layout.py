"""An OCI layout from anywhere: its index, its manifests, and the check of a whole package."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.console import Console
from starfreight.image_layout.reader import INDEX_FILE, LAYOUT_FILE, ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.layout.verify import verify_layout
from starfreight.registry.media_types import OCI_MANIFEST

(GOLDEN,) = (Path(__file__).parents[1] / "golden/finished-packages").glob("golden-fim-*[0-9a-f]")
INDEX = (GOLDEN / INDEX_FILE).read_bytes()


def a_manifest() -> Any:
    """One in OCI's format, with a subject."""
    layout = ImageLayout(GOLDEN)
    (attachment, *_) = Package.load(GOLDEN).attachments
    return layout.json_blob(attachment.manifest)


@pytest.fixture(scope="module")
def package(folder: Path) -> Path:
    """A copy of a package, to change."""
    return shutil.copytree(GOLDEN, folder / "package")


@fuzz
@given(data=st.one_of(changed_json(json.loads(INDEX)), changed_bytes(INDEX)))
def test_an_index(package: Path, data: bytes) -> None:
    (package / INDEX_FILE).write_bytes(data)
    holds(lambda: ImageLayout(package).index())


@fuzz
@given(data=changed_json(a_manifest()))
def test_a_manifest(package: Path, data: bytes) -> None:
    layout = ImageLayout(package)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    layout.blob_path(digest).write_bytes(data)
    try:
        descriptor = Descriptor(media_type=OCI_MANIFEST, digest=digest, size=len(data))
        holds(lambda: layout.manifest(descriptor))
    finally:
        layout.blob_path(digest).unlink()


@fuzz
@given(data=st.data())
def test_a_package_with_a_changed_file(package: Path, data: st.DataObject) -> None:
    """One byte of any small file: verification finds it, or the file is the same."""
    names = sorted(path for path in GOLDEN.rglob("*") if path.is_file() and path.stat().st_size < 1 << 20)
    original = data.draw(st.sampled_from(names))
    path = package / original.relative_to(GOLDEN)
    for name in (INDEX_FILE, LAYOUT_FILE):
        shutil.copyfile(GOLDEN / name, package / name)
    path.write_bytes(data.draw(changed_bytes(original.read_bytes())))
    try:
        same = path.read_bytes() == original.read_bytes()

        def verify() -> None:
            report = verify_layout(package, Console(quiet=True))
            assert same or report.error() is not None

        holds(verify)
    finally:
        shutil.copyfile(original, path)
