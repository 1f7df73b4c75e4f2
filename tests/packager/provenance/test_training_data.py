"""The data manifest in a package: checked with its lists, and kept out where the recipe wants that."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.files import sha256_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_training_data import read_training_data
from starfreight.packager import media_types
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import examine_layout
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.statement import as_bytes
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.packager.provenance.verify.training_data import TrainingDataCheck

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a golden run."""
    root = tmp_path_factory.mktemp("built")
    run = shutil.copytree(GOLDEN / "finished-runs" / "golden-fim-de8303b786", root / "run")
    build_package(run, root / "p", GOLDEN / "inputs" / "base", Console(quiet=True))
    return root / "p"


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "p")


def findings(folder: Path) -> list[Finding]:
    package = Package.load(folder)
    signatures = SignatureReport(checked=False)
    examined = Examined(
        folder=folder,
        package=package,
        layout=ImageLayout(folder),
        where=str(folder),
        provenance=read_provenance(folder, package),
        data=read_training_data(folder, package),
        signatures=signatures,
    )
    return list(TrainingDataCheck().findings(examined))


def record(folder: Path) -> Any:
    return json.loads((folder / "package.json").read_bytes())


def write_record(folder: Path, value: Any) -> None:
    (folder / "package.json").write_bytes(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def put(folder: Path, data: bytes) -> dict[str, Any]:
    (folder / "blobs/sha256" / sha256_bytes(data)[7:]).write_bytes(data)
    return {"digest": sha256_bytes(data), "size": len(data)}


def blob(folder: Path, digest: str) -> Path:
    return folder / "blobs/sha256" / digest[7:]


def replace_manifest(folder: Path, change: Callable[[bytes], bytes], *, statement: bool = False) -> None:
    """Changes the data manifest, and its digest in the record and, if asked for, in the statement."""
    value = record(folder)
    entry = value["training_data"]["manifest"]
    old = blob(folder, entry["digest"])
    data = change(old.read_bytes())
    assert data != old.read_bytes()
    hexes = entry["digest"][7:], sha256_bytes(data)[7:]
    old.unlink()
    entry.update(put(folder, data))
    if statement:
        path = blob(folder, value["provenance"]["digest"])
        text = path.read_bytes().replace(hexes[0].encode(), hexes[1].encode())
        path.unlink()
        value["provenance"].update(put(folder, text))
    write_record(folder, value)


def in_entry(folder: Path, key: str, value: object) -> None:
    """Changes the first entry of the manifest, and the digest of the manifest in the statement."""

    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        assert lines[2].startswith(b'{"path"')
        entry = json.loads(lines[2].rstrip(b",\n"))
        assert entry[key] != value
        end = lines[2][len(lines[2].rstrip(b",\n")) :]
        lines[2] = json.dumps(entry | {key: value}, ensure_ascii=False).encode() + end
        return b"".join(lines)

    replace_manifest(folder, change, statement=True)


def add_list(folder: Path) -> None:
    value = record(folder)
    file = {"media_type": value["training_data"]["lists"][0]["file"]["media_type"], **put(folder, b"{}\n")}
    value["training_data"]["lists"].append({"path": "records-9.jsonl", "file": file})
    write_record(folder, value)


def rename_list(folder: Path) -> None:
    value = record(folder)
    value["training_data"]["lists"][0]["path"] = "other.jsonl"
    write_record(folder, value)


def drop_lists(folder: Path) -> None:
    value = record(folder)
    for each in value["training_data"]["lists"]:
        blob(folder, each["file"]["digest"]).unlink()
    value["training_data"]["lists"] = []
    write_record(folder, value)


def other_list(folder: Path) -> None:
    value = record(folder)
    entry = value["training_data"]["lists"][0]["file"]
    blob(folder, entry["digest"]).unlink()
    entry.update(put(folder, b'{"source": 0, "name": "x", "filter": "y", "reason": "z"}\n'))
    write_record(folder, value)


def list_twice(folder: Path) -> None:
    value = record(folder)
    value["training_data"]["lists"].append(value["training_data"]["lists"][0])
    write_record(folder, value)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a manifest of other data": (
        lambda f: replace_manifest(f, lambda d: d.replace(b'"license": "MIT"', b'"license": "0BSD"')),
        "names another data manifest than",
    ),
    "a manifest of other data, and a statement about it": (
        lambda f: replace_manifest(
            f, lambda d: d.replace(b'"licenses": {"', b'"licenses": {"x-'), statement=True
        ),
        "names other licenses of the source",
    ),
    "a manifest with another source, and a statement about it": (
        lambda f: replace_manifest(
            f, lambda d: d.replace(b'{"source": "', b'{"source": "x', 1), statement=True
        ),
        "otherwise than the data manifest",
    ),
    "a manifest that is cut": (lambda f: replace_manifest(f, lambda d: d[:-9]), "data manifest is damaged"),
    "a manifest that is no manifest": (lambda f: replace_manifest(f, lambda d: b"{}"), "data manifest is"),
    "a manifest of a newer release": (
        lambda f: replace_manifest(f, lambda d: d.replace(b'"version": 2', b'"version": 3', 1)),
        "of a newer release",
    ),
    "a manifest with an unknown key": (
        lambda f: replace_manifest(f, lambda d: d.replace(b'{"path": ', b'{"x": 1, "path": ', 1)),
        "data manifest is damaged",
    ),
    "a list more": (add_list, "has other lists than the package"),
    "a list twice": (list_twice, "has other lists than the package"),
    "a list under another name": (rename_list, "data manifest is damaged|other lists"),
    "no lists": (drop_lists, "data manifest is damaged|other lists"),
    "another list": (other_list, "has other lists than the package"),
    "the license of a file, and a statement about it": (
        lambda f: in_entry(f, "license", "CC0-1.0"), "counts other licenses of the source 0 than it lists",
    ),
    "the language of a file, and a statement about it": (
        lambda f: in_entry(f, "language", "COBOL"), "counts other languages of the source 0 than it lists",
    ),
    "the split of a file, and a statement about it": (
        lambda f: in_entry(f, "split", "records"), "counts other samples of the source 0 than it lists",
    ),
    "the size of a file, and a statement about it": (
        lambda f: in_entry(f, "size", 1), "counts other samples of the source 0 than it lists",
    ),
    "an unreadable file, and a statement about it": (
        lambda f: in_entry(f, "digest", "sha256:0"), "data manifest is damaged",
    ),
    "a number of samples, and a statement about it": (
        lambda f: replace_manifest(
            f, lambda d: re.sub(rb'"found": [0-9]+', b'"found": 999', d, count=1), statement=True
        ),
        "neither uses nor leaves out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_data_that_was_changed_and_hashed_again_is_found(name: str, folder: Path, console: Console) -> None:
    change, said = CHANGES[name]
    change(folder)
    found = examine_layout(folder, console).problems
    assert any(re.search(said, each.what) for each in found), found


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(folder: Path, console: Console) -> None:
    path = blob(folder, record(folder)["training_data"]["manifest"]["digest"])
    data = path.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 12)):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        found = examine_layout(folder, console).problems
        assert any("another digest" in each.what for each in found)


def test_the_samples_and_licenses_are_counted(built: Path, console: Console) -> None:
    assert examine_layout(built, console).problems == ()
    (found,) = findings(built)
    data = read_training_data(built)
    assert data is not None and found.level == "passed"
    assert found.data["samples"] == sum(sum(1 for _ in data.kept(n)) for n in range(len(data.sources)))
    assert sum(found.data["licenses"].values()) == found.data["samples"]


def test_a_recipe_may_keep_the_manifest_out(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path, data_manifest="digest"), tmp_path / "p", None, console)
    assert package.training_data is None
    assert examine_layout(tmp_path / "p", console).problems == ()
    (found,) = findings(tmp_path / "p")
    assert found.level == "noted" and "recipe keeps it out" in found.what
    assert found.data["manifest"] == read_provenance(tmp_path / "p").data_manifest


def test_a_manifest_against_the_recipe_is_found(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    build_package(make_run(tmp_path, data_manifest="digest"), tmp_path / "p", None, console)
    data = (tmp_path / "runs/tiny/data/manifest.json").read_bytes()
    listed = (tmp_path / "runs/tiny/data/left_out.jsonl").read_bytes()
    value = record(tmp_path / "p")
    value["version"] = 2
    media = {"manifest": media_types.DATA_MANIFEST, "list": media_types.DATA_LIST}
    value["training_data"] = {
        "manifest": {"media_type": media["manifest"], **put(tmp_path / "p", data)},
        "lists": [
            {"path": "left_out.jsonl",
             "file": {"media_type": media["list"], **put(tmp_path / "p", listed)}}
        ],
    }  # fmt: skip
    write_record(tmp_path / "p", value)
    found = [each.what for each in examine_layout(tmp_path / "p", console).problems]
    assert any("recipe that keeps the data manifest out" in each for each in found), found


def test_a_statement_is_written_in_one_form(built: Path) -> None:
    data = blob(built, record(built)["provenance"]["digest"]).read_bytes()
    assert as_bytes(json.loads(data)) == data


RUNS = sorted(path.parent for path in (GOLDEN / "finished-runs").glob("*/run.json"))


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_the_manifests_of_all_kinds_of_sources_agree_with_themselves(run: Path) -> None:
    from starfreight.packager.layout.training_data import _count_problems

    manifest = DataManifest.load(run / "data/manifest.json")
    assert list(_count_problems(manifest)) == []


@pytest.mark.parametrize("kinds", [1, 199, 200, 201, 450])
@pytest.mark.parametrize("unknown", [None, "NOASSERTION", "MIT"])
def test_rare_licenses_are_counted_together(kinds: int, unknown: str | None) -> None:
    from starfreight.jobs.data.manifest.writer import _counts
    from starfreight.packager.layout.training_data import _agree

    rows = [(unknown, 5, 50), *((f"LicenseRef-{number}", 2, 20) for number in range(kinds - 1))]
    counted = {name or "NOASSERTION": (samples, size) for name, samples, size in rows}
    summary = _counts(rows, "NOASSERTION")
    assert _agree(counted, summary, "NOASSERTION")
    if kinds > 1:
        assert not _agree(counted | {"LicenseRef-0": (3, 20)}, summary, "NOASSERTION")
    assert not _agree(counted | {"GPL-3.0-only": (1, 1)}, summary, "NOASSERTION")
