"""The formats of signatures to the byte: a failing test means wrong code, or a new format."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.model_signature import MODEL_SIGNATURE
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
from starfreight.packager.provenance.signing.simple_signing import (
    SIGNATURE,
    SIMPLE_SIGNING,
    simple_signatures,
)
from starfreight.packager.registry.simple_signatures import simple_manifest

GOLDEN = Path(__file__).parents[2] / "golden"
PACKAGE = Path(__file__).parents[3] / "golden/finished-packages/golden-fim-de8303b786"
KEY = LocalKey(ec.derive_private_key(1, ec.SECP256R1()), "a key that everybody knows")


@pytest.fixture
def signed(tmp_path: Path, console: Console) -> Path:
    folder = Path(shutil.copytree(PACKAGE, tmp_path / "package"))
    more = MoreSignatures(legacy=True, model_signing=True, repository="registry.example.org/acme/coder")
    sign_package(folder, KEY, console, more=more)
    return folder


@pytest.mark.parametrize(
    ("kind", "name"), [(MEDIA_TYPE, "bundle"), (SIMPLE_SIGNING, "legacy"), (MODEL_SIGNATURE, "model")]
)
def test_signatures_and_their_manifests_have_the_bytes_of_the_format(
    kind: str, name: str, signed: Path
) -> None:
    layout = ImageLayout(signed)
    first = next(each for each in Package.load(signed).attachments if each.artifact_type == kind)
    manifest = layout.manifest(first.manifest)
    assert layout.read(first.manifest) == (GOLDEN / f"signature-{name}-manifest.json").read_bytes()
    assert layout.read(manifest.layers[0]) == (GOLDEN / f"signature-{name}.json").read_bytes()


def test_the_manifest_at_the_tag_of_legacy_signatures_is_cosigns(signed: Path) -> None:
    first = next(simple_signatures(Package.load(signed), ImageLayout(signed)))
    layer = {
        "mediaType": SIMPLE_SIGNING,
        "size": first.payload.size,
        "digest": first.payload.digest,
        "annotations": {SIGNATURE: first.signature},
    }
    config, manifest = simple_manifest([layer])
    assert config == (GOLDEN / "signature-legacy-tag-config.json").read_bytes()
    assert manifest == (GOLDEN / "signature-legacy-tag.json").read_bytes()
