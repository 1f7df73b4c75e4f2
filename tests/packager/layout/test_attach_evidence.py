"""Attaching evidence to a finished package: nothing else changes, and a kill leaves a whole package."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_writes import full_disk, in_a_child, killer

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Descriptor, Package
from starfreight.packager.layout import Evidence, ImageLayout, attach, examine_layout, verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package

TESTS = Path(__file__).parents[2]
GOLDEN = [
    TESTS / "packager/golden/package-v1",
    *(path for path in sorted((TESTS / "golden/finished-packages").iterdir()) if path.is_dir()),
]
SIGNATURE = "application/vnd.dsse.envelope.v1+json"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evidence(subject: Descriptor, data: bytes = b'{"payload":"..."}') -> Evidence:
    return Evidence(
        subject=subject,
        data=data,
        media_type=SIGNATURE,
        artifact_type=SIGNATURE,
        annotations={"org.example.signer": "somebody"},
    )


def for_each_manifest(package: Package, data: bytes = b'{"payload":"..."}') -> list[Evidence]:
    return [
        evidence(each.manifest, data + each.format.encode())
        for variant in package.variants
        for each in variant.manifests
    ]


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    return Path(shutil.copytree(request.param, tmp_path / "p"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN[0], tmp_path / "p"))


def test_evidence_joins_a_package_and_all_else_stays_as_it_was(golden: Path, console: Console) -> None:
    before, old = files(golden), Package.load(golden)
    old_index = json.loads((golden / "index.json").read_bytes())["manifests"]
    new = attach(golden, for_each_manifest(old), console)
    assert Package.load(golden) == new
    verify_layout(golden, console)
    added = new.attachments[len(old.attachments) :]
    subjects = [each.manifest.digest for variant in old.variants for each in variant.manifests]
    assert [each.subject for each in added] == subjects
    assert new.extends(old) and not old.extends(new)

    after = files(golden)
    changed = {name for name, data in before.items() if after[name] != data}
    assert changed == {"index.json", "package.json"}
    assert json.loads((golden / "index.json").read_bytes())["manifests"][: len(old_index)] == old_index
    layout = ImageLayout(golden)
    for each, subject in zip(added, subjects, strict=True):
        manifest = layout.manifest(each.manifest)
        assert manifest.subject is not None and manifest.subject.digest == subject
        assert manifest.artifact_type == each.artifact_type == SIGNATURE
        assert layout.read(manifest.layers[0]).startswith(b'{"payload":"..."}')
        stored = json.loads(layout.read(each.manifest))
        assert stored["annotations"] == {"org.example.signer": "somebody"}


def test_the_same_evidence_again_changes_no_byte(golden: Path, console: Console) -> None:
    signatures = for_each_manifest(Package.load(golden))
    first = attach(golden, signatures, console)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in golden.rglob("*.json")}
    tree = files(golden)
    assert attach(golden, signatures, console) == first
    assert attach(golden, [], console) == first
    assert files(golden) == tree
    assert before == {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in golden.rglob("*.json")}


def test_evidence_can_be_about_other_evidence(folder: Path, console: Console) -> None:
    signed = attach(folder, [evidence(Package.load(folder).attachments[0].manifest)], console)
    both = attach(folder, [evidence(signed.attachments[-1].manifest, b"a timestamp")], console)
    assert both.attachments[-1].subject == signed.attachments[-1].manifest.digest
    verify_layout(folder, console)


def test_evidence_about_something_else_is_refused_and_nothing_changes(folder: Path, console: Console) -> None:
    before = files(folder)
    absent = Descriptor(media_type=SIGNATURE, digest="sha256:" + "0" * 64, size=2)
    gguf = Package.load(folder).default_variant.gguf
    for subject in (absent, gguf):
        with pytest.raises(InputError, match=f"no manifest {subject.digest}"):
            attach(folder, [evidence(subject)], console)
    assert files(folder) == before


def test_a_manifest_too_large_for_registries_is_refused_and_the_package_stays(
    folder: Path, console: Console
) -> None:
    old = Package.load(folder)
    large = evidence(old.default_variant.manifests[0].manifest).model_copy(
        update={"annotations": {"a": "x" * (5 << 20)}}
    )
    with pytest.raises(GateError, match="registries accept 4,194,304"):
        attach(folder, [large], console)
    verify_layout(folder, console)
    assert Package.load(folder) == old


def test_a_package_with_a_damaged_manifest_is_not_added_to(folder: Path, console: Console) -> None:
    package = Package.load(folder)
    path = ImageLayout(folder).blob_path(package.variants[1].manifests[0].manifest.digest)
    path.write_bytes(path.read_bytes().replace(b"{", b"[", 1))
    before = files(folder)
    with pytest.raises(GateError, match="digest in its name") as refused:
        attach(folder, [evidence(package.default_variant.manifests[0].manifest)], console)
    assert refused.value.where == str(path)
    assert files(folder) == before


def test_a_directory_without_a_package_is_not_touched(tmp_path: Path, console: Console) -> None:
    subject = Descriptor(media_type=SIGNATURE, digest="sha256:" + "0" * 64, size=2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no package"):
        attach(tmp_path / "empty", [evidence(subject)], console)
    with pytest.raises(InputError, match="does not exist"):
        attach(tmp_path / "none", [evidence(subject)], console)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_package_built_again_from_other_contents_has_no_evidence_of_the_old_one(
    tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console
) -> None:
    old = write_package(tmp_path / "p", make_contents(), console)
    attach(tmp_path / "p", for_each_manifest(old), console)
    write_package(tmp_path / "p", make_contents(title="Another"), console)
    write_package(tmp_path / "new", make_contents(title="Another"), console)
    assert files(tmp_path / "p") == files(tmp_path / "new")


@pytest.mark.parametrize(("stop", "ended"), [(killer, -signal.SIGKILL), (full_disk, 4)])
def test_stopped_at_any_step_the_package_is_the_old_or_the_new_one(
    stop: Callable[[int], Any], ended: int, tmp_path: Path, console: Console
) -> None:
    before, old = files(GOLDEN[0]), Package.load(GOLDEN[0])
    signatures = for_each_manifest(old)
    whole = shutil.copytree(GOLDEN[0], tmp_path / "whole")
    new = attach(whole, signatures, console)
    others = for_each_manifest(old, b"by somebody else")
    with_others = shutil.copytree(GOLDEN[0], tmp_path / "others")
    attach(with_others, others, console)
    found = []
    for number in range(1, 1000):
        folder = tmp_path / str(number)
        shutil.copytree(GOLDEN[0], folder)
        code = in_a_child(folder, stop(number), lambda folder=folder: attach(folder, signatures, console))
        verify_layout(folder, console)
        now = Package.load(folder)
        assert now in (old, new)
        found.append(now == new)
        left = files(folder)
        assert {name for name, data in before.items() if left.get(name) != data} <= {
            "index.json",
            "package.json",
        }
        if code == 0:
            break
        assert code == ended
        again = shutil.copytree(folder, tmp_path / f"{number}-again")
        assert attach(again, signatures, console) == new
        assert files(again) == files(whole)
        if now == old:
            # What the stopped addition left is not part of another one.
            attach(folder, others, console)
            assert files(folder) == files(with_others)
    assert code == 0
    # Once new, always new; and both were seen.
    assert found == sorted(found) and not found[0]
    # Three blobs for each of four manifests, less the shared config and a shared signature, the marker, index
    # and record: each opened, synced, renamed at least.
    assert len(found) > 3 * (4 + 2 + 2)


def test_a_kill_while_another_package_takes_the_place_leaves_the_old_one_or_an_unfinished_one(
    tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console
) -> None:
    write_package(tmp_path / "new", make_contents(title="Another"), console)
    old = Package.load(GOLDEN[0])
    kinds = set()
    for number in range(1, 1000):
        folder = tmp_path / str(number)
        shutil.copytree(GOLDEN[0], folder)
        contents = make_contents(title="Another")
        code = in_a_child(folder, killer(number), lambda f=folder, c=contents: write_package(f, c, console))
        if (folder / "package.json").exists():
            verify_layout(folder, console)
            kinds.add("old" if Package.load(folder) == old else "new")
        else:
            with pytest.raises(GateError, match=r"package\.json is missing"):
                verify_layout(folder, console)
            kinds.add("unfinished")
        write_package(folder, contents, console)
        assert files(folder) == files(tmp_path / "new")
        if code == 0:
            break
    assert code == 0 and kinds == {"old", "new", "unfinished"}


def test_an_unfinished_addition_is_told_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify_layout(folder, Console())
    assert capsys.readouterr().err == ""
    (folder / ".unfinished").touch()
    verify_layout(folder, Console())
    assert "additions do not count yet" in capsys.readouterr().err


def extra_entry(folder: Path, **changes: Any) -> None:
    """Adds an attachment to the index only, as an addition does before the record."""
    whole = folder.parent / "whole"
    shutil.copytree(folder, whole)
    package = attach(whole, [evidence(Package.load(folder).default_variant.manifests[0].manifest)], Console())
    shutil.copytree(whole / "blobs", folder / "blobs", dirs_exist_ok=True)
    index = json.loads((whole / "index.json").read_bytes())
    assert index["manifests"][-1]["digest"] == package.attachments[-1].manifest.digest
    index["manifests"][-1] |= changes
    (folder / "index.json").write_bytes(json.dumps(index).encode())


def named_entry(folder: Path) -> None:
    extra_entry(folder, annotations={"org.opencontainers.image.ref.name": "q4_K_M"})


def foreign_entry(folder: Path) -> None:
    """An attachment of something that is not in the package."""
    subject = Descriptor(media_type=SIGNATURE, digest=sha256_bytes(b"{}"), size=2)
    package = Package.load(folder)
    manifest = json.loads(ImageLayout(folder).read(package.attachments[0].manifest))
    manifest["subject"] = {"mediaType": SIGNATURE, "digest": subject.digest, "size": 2}
    data = canonical_json(manifest)
    (folder / "blobs/sha256" / sha256_bytes(data)[7:]).write_bytes(data)
    index = json.loads((folder / "index.json").read_bytes())
    index["manifests"].append({**index["manifests"][-1], "digest": sha256_bytes(data), "size": len(data)})
    (folder / "index.json").write_bytes(json.dumps(index).encode())


def fewer_entries(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_bytes())
    index["manifests"].pop()
    (folder / "index.json").write_bytes(json.dumps(index).encode())


def blob(data: bytes, name: str | None = None) -> Callable[[Path], object]:
    return lambda folder: (folder / "blobs/sha256" / (name or sha256_bytes(data)[7:])).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (blob(b"more"), "nothing refers to"),
        (blob(b"half a fi", ".partial-ab12"), "does not belong"),
        (lambda folder: (folder / ".partial-ab12").write_bytes(b"half"), "does not belong"),
        (extra_entry, "does not agree"),
    ],
    ids=["blob", "partial blob", "partial file", "index entry"],
)
def test_additions_are_accepted_of_an_unfinished_writer_only(
    change: Callable[[Path], object], said: str, folder: Path, console: Console
) -> None:
    change(folder)
    with pytest.raises(GateError, match=said):
        verify_layout(folder, console)
    (folder / ".unfinished").touch()
    assert examine_layout(folder, console).problems == ()
    attach(folder, [], console)
    assert files(folder) == files(GOLDEN[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (named_entry, "does not agree"),
        (foreign_entry, "does not agree"),
        (fewer_entries, "does not agree"),
        (blob(b"more", "0" * 64), "has another digest"),
        (lambda folder: (folder / "blobs/sha256/.partial-ab12").symlink_to("/etc/hostname"), "not belong"),
        (lambda folder: (folder / ".partial-ab12").mkdir(), "does not belong"),
        (lambda folder: (folder / "run-me.sh").touch(), "does not belong"),
        (lambda folder: (folder / ".unfinished").write_bytes(b"x"), "is not an empty file"),
        (lambda folder: next((folder / "blobs/sha256").iterdir()).unlink(), "is missing"),
    ],
    ids=[
        "a name in the index", "evidence about another thing", "an index without an entry", "a corrupt blob",
        "a link", "a directory", "another file", "a marker with contents", "a missing blob",
    ],
)  # fmt: skip
def test_an_unfinished_writer_excuses_nothing_else(
    change: Callable[[Path], object], said: str, folder: Path, console: Console
) -> None:
    (folder / ".unfinished").touch()
    change(folder)
    with pytest.raises(GateError, match=said):
        verify_layout(folder, console)


def test_a_marker_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path, console: Console) -> None:
    (folder / ".unfinished").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GateError, match="is not an empty file"):
        verify_layout(folder, console)
    with pytest.raises(InputError, match="is not a file"):
        attach(folder, [evidence(Package.load(folder).default_variant.manifests[0].manifest)], console)
    assert not (tmp_path / "elsewhere").exists()
