"""Data manifests, and their lists."""

from __future__ import annotations

import shutil
from pathlib import Path

from fuzzing import changed_bytes, fuzz, holds
from hypothesis import given

from starfreight.data_manifest import DataManifest

(RUN_FOLDER,) = (Path(__file__).parents[1] / "golden" / "finished-runs").glob("golden-instruct-*")
MANIFEST = (RUN_FOLDER / "data" / "manifest.json").read_bytes()


@fuzz
@given(data=changed_bytes(MANIFEST))
def test_a_manifest_of_changed_bytes(folder: Path, data: bytes) -> None:
    target = folder / "data"
    if not target.exists():
        shutil.copytree(RUN_FOLDER / "data", target)
    path = target / "manifest.json"
    path.write_bytes(data)

    def read() -> None:
        manifest = DataManifest.load(path)
        for number in range(len(manifest.sources)):
            list(manifest.kept(number))
            list(manifest.left_out_names(number))

    holds(read)
