"""One flipped bit is found, wherever it is: in every file of a signed package.

By default a sample of the bits is tried, always the same one. ``STARFREIGHT_EVERY_BYTE=1`` flips one bit of
every byte of every file but the models, and all bits of every hundredth byte.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from starfreight.console import Console, no_progress
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout import examine_layout
from starfreight.packager.layout.hash_blobs import hash_blobs
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.verify.verdict import Verdict

EVERY_BYTE = "STARFREIGHT_EVERY_BYTE" in os.environ
TOP_LEVEL = ("package.json", "index.json", "oci-layout")

Copy = Callable[[str], Path]
Verify = Callable[..., Verdict]


@contextmanager
def flipped(path: Path, offset: int, bit: int) -> Iterator[None]:
    """The file with one bit changed, in place."""
    handle = os.open(path, os.O_RDWR)
    try:
        (byte,) = os.pread(handle, 1, offset)
        os.pwrite(handle, bytes([byte ^ 1 << bit]), offset)
        yield
        os.pwrite(handle, bytes([byte]), offset)
    finally:
        os.close(handle)


def places(path: Path, most: int) -> Iterator[tuple[int, int]]:
    """Bytes of a file with the bit to flip: the first, the last, and some or all between."""
    size, chance = path.stat().st_size, random.Random(path.name)
    if not EVERY_BYTE:
        sample = {0, size - 1, *(chance.randrange(size) for _ in range(min(most, size)))}
        yield from ((offset, chance.randrange(8)) for offset in sorted(sample))
        return
    for offset in range(size):
        yield from ((offset, bit) for bit in (range(8) if offset % 100 == 0 else [chance.randrange(8)]))


def test_a_flipped_bit_in_any_blob_is_found(copy_of: Copy) -> None:
    """By the same function that hashes a whole package, of the one file that changed."""
    folder = copy_of("signed")
    package = Package.load(folder)
    models = {variant.gguf.digest.removeprefix("sha256:") for variant in package.variants}
    tried = 0
    for path in sorted((folder / "blobs/sha256").iterdir()):
        assert hash_blobs([path], no_progress)[path].digest == "sha256:" + path.name
        header = [(offset, offset % 8) for offset in range(0, 200, 7)] if path.name in models else []
        inside = places(path, 60) if path.name not in models else iter(header)
        for offset, bit in (*inside, (path.stat().st_size - 1, 0)):
            with flipped(path, offset, bit):
                assert hash_blobs([path], no_progress)[path].digest != "sha256:" + path.name, offset
            tried += 1
    assert tried > 1000


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_a_flipped_bit_beside_the_blobs_is_found(name: str, copy_of: Copy, console: Console) -> None:
    folder = copy_of("signed")
    path = folder / name
    assert not examine_layout(folder, console, hash_up_to=0).problems
    for offset, bit in places(path, 40):
        with flipped(path, offset, bit):
            assert _refused(folder, console), f"byte {offset}, bit {bit}"


def test_a_flipped_bit_in_one_file_of_each_kind_refuses_the_package(
    copy_of: Copy, verify: Verify, console: Console
) -> None:
    """With the whole command's code, and the digest of the file in the answer."""
    folder = copy_of("signed")
    package, layout = Package.load(folder), ImageLayout(folder)
    bundle = next(each for each in package.attachments if each.artifact_type == MEDIA_TYPE)
    data = package.training_data
    assert data is not None and package.bom is not None
    kinds = {
        "model": package.variants[0].gguf,
        "manifest": package.variants[0].manifests[0].manifest,
        "config": layout.manifest(package.variants[0].manifests[1].manifest).config,
        "statement": package.provenance,
        "bundle": layout.manifest(bundle.manifest).layers[0],
        "bundle's manifest": bundle.manifest,
        "card": package.model_card,
        "license": package.licenses[0].text,
        "data manifest": data.manifest,
        "data list": data.lists[0].file,
        "bill of materials": package.bom,
    }
    for kind, descriptor in kinds.items():
        path = layout.blob_path(descriptor.digest)
        with flipped(path, descriptor.size // 2, 3):
            verdict = verify(folder, "acme")
            assert verdict.refused, kind
            assert descriptor.digest in json.dumps(verdict.as_dict()["checks"][0]), kind
    assert not verify(folder, "acme").refused


def _refused(folder: Path, console: Console) -> bool:
    from starfreight.errors import StarfreightError

    try:
        return bool(examine_layout(folder, console, hash_up_to=0).problems)
    except StarfreightError:
        return True
