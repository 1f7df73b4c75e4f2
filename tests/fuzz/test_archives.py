"""Tar archives: of a fetched run, and of an OCI artifact; and the artifact's manifest."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.backends.kubernetes.client.unpack import Unpacking
from starfreight.jobs.data.sources.oci_artifact import FILE_PATH, read_artifact
from starfreight.jobs.data.sources.tar import unpack

FILES = {"a.py": b"x = 1\n", "src/b.py": b"y = 2\n" * 100}
LAYER = {
    "mediaType": "application/vnd.cncf.model.dataset.v1.raw", "digest": "sha256:" + "1" * 64, "size": 10,
    "annotations": {FILE_PATH: "src/a.py"},
}  # fmt: skip
MANIFEST = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "layers": [LAYER, LAYER | {"mediaType": "application/vnd.cncf.model.dataset.v1.tar"}],
}  # fmt: skip


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.pax_headers = {"comment": "x" * 50}
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def fetched(index: bytes) -> bytes:
    return archive({"files.json": index} | FILES)


INDEX = {
    "run": "acme-1",
    "files": [
        {"path": name, "size": len(data), "digest": "sha256:" + hashlib.sha256(data).hexdigest()}
        for name, data in FILES.items()
    ],
}


def take(folder: Path, data: bytes) -> None:
    """Unpacks into an empty directory; nothing may appear beside it."""
    inside = folder / "outer" / "inside"
    shutil.rmtree(folder / "outer", ignore_errors=True)
    inside.mkdir(parents=True)
    holds(lambda: Unpacking(io.BytesIO(data), "pod").into(inside))
    assert [path.name for path in inside.parent.iterdir()] == ["inside"]


@fuzz
@given(data=changed_bytes(fetched(json.dumps(INDEX).encode())))
def test_a_fetched_run_of_changed_bytes(folder: Path, data: bytes) -> None:
    take(folder, data)


@fuzz
@given(index=changed_json(INDEX))
def test_a_fetched_run_with_an_index_of_changed_values(folder: Path, index: bytes) -> None:
    take(folder, fetched(index))


@fuzz
@given(
    data=st.one_of(
        changed_bytes(archive(FILES)),
        st.dictionaries(
            st.sampled_from(["a", "a/b", "../x", "/x", "a/./b", "a//b", ".", "b\\c", "CON", "\u202e"]),
            st.binary(max_size=20),
            max_size=4,
        ).map(archive),
    )
)
def test_an_artifact_of_changed_bytes(folder: Path, data: bytes) -> None:
    inside = folder / "artifact" / "inside"
    shutil.rmtree(folder / "artifact", ignore_errors=True)
    inside.mkdir(parents=True)
    path = folder / "artifact.tar"
    path.write_bytes(data)
    holds(lambda: unpack(path, inside, "artifact"))
    assert [path.name for path in inside.parent.iterdir()] == ["inside"]


@fuzz
@given(data=changed_json(MANIFEST))
def test_a_manifest_of_changed_values(data: bytes) -> None:
    holds(lambda: read_artifact(data, "registry.example.org/acme/data"))
