"""A data manifest that is not one: refused before a package is described from it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.packager.build.build_package import build_package
from starfreight.packager.build.data_manifest import is_data_manifest
from starfreight.records import FileDigest
from starfreight.run import Run

RUNS = Path(__file__).parents[2] / "golden/finished-runs"
MANIFESTS = [json.loads(path.read_bytes()) for path in sorted(RUNS.glob("*/data/manifest.json"))]
FIRST_VERSION = {
    "version": 1,
    "sources": [
        {
            "source": "./src", "revision": None, "license": "MIT", "left_out": {"empty": 2},
            "files": [{"path": "a.py", "digest": "sha256:" + "a" * 64, "size": 10}],
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize("manifest", [*MANIFESTS, FIRST_VERSION], ids=lambda value: str(len(str(value))))
def test_manifests_of_every_version_are_accepted(manifest: Any) -> None:
    assert is_data_manifest(manifest)


def edited(*path: str | int, value: Any) -> Any:
    manifest = copy.deepcopy(MANIFESTS[0])
    part = manifest
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return manifest


WRONG = {
    "a list": [],
    "no sources": edited("sources", value=None),
    "sources that are a number": edited("sources", value=3),
    "a source that is a text": edited("sources", 0, value="x"),
    "no name": edited("sources", 0, "source", value=None),
    "a name that is a list": edited("sources", 0, "source", value=["x"]),
    "a revision that is a number": edited("sources", 0, "revision", value=1.5),
    "no files": edited("sources", 0, "files", value=None),
    "a number that is a text": edited("sources", 0, "found", value="many"),
    "a number that is true": edited("sources", 0, "train", "bytes", value=True),
    "no licenses": edited("sources", 0, "licenses", value=None),
    "a digest without a kind": edited("sources", 0, "files", 0, "digest", value="a" * 64),
    "a digest that is a number": edited("sources", 0, "files", 0, "digest", value=7),
    "a path that is a list": edited("sources", 0, "files", 0, "path", value=[]),
    "a license that is a list": edited("sources", 0, "files", 0, "license", value=["MIT"]),
    "a list without a digest": edited("left_out", value={"path": "x"}),
    "version 1 without a license": {"sources": [{**FIRST_VERSION["sources"][0], "license": None}]},  # type: ignore[index,dict-item]
}


@pytest.mark.parametrize("name", WRONG)
def test_another_file_is_refused_with_its_path(
    name: str, make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    path = run / "data/manifest.json"
    path.write_text(json.dumps(WRONG[name]))
    digest = FileDigest(path="data/manifest.json", digest=sha256_file(path), size=path.stat().st_size)
    Run.load(run).model_copy(update={"data_manifest": digest}).save(run)
    if isinstance(WRONG[name], dict):
        with pytest.raises(InputError, match="was not written by Starfreight") as caught:
            build_package(run, tmp_path / "p", None, console)
        assert caught.value.where == str(path)
    assert not is_data_manifest(WRONG[name])
