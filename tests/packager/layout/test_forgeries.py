"""Packages that were changed and hashed again: every digest and size fits, and still verify refuses them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, StarfreightError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import Evidence, attach, examine_layout, verify_layout
from starfreight.packager.registry.push import publish

PACKAGES = Path(__file__).parents[2] / "golden/finished-packages"
MERGED, BESIDE = PACKAGES / "golden-fim-de8303b786", PACKAGES / "golden-sweep-rank-4-44cf01916d"
PREDICATE = "in-toto.io/predicate-type"


class Forger:
    """Changes a package, and then the digest and size wherever the changed file is named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs/sha256"

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / "package.json").read_bytes())
        return record

    def manifest(self, variant: int, kind: int) -> str:
        digest: str = self.record["variants"][variant]["manifests"][kind]["manifest"]["digest"]
        return digest

    def read(self, digest: str) -> bytes:
        return (self.blobs / digest[7:]).read_bytes()

    def add(self, data: bytes) -> dict[str, Any]:
        (self.blobs / sha256_bytes(data)[7:]).write_bytes(data)
        return {"digest": sha256_bytes(data), "size": len(data)}

    def substitute(self, digest: str, data: bytes) -> None:
        """Puts other bytes in the place of a blob, and follows the references to it upwards."""
        new = self.add(data)
        (self.blobs / digest[7:]).unlink()
        while (path := self.first_naming(digest)) is not None:
            text = path.read_bytes()
            changed = json.loads(text, object_hook=lambda each: renamed(each, digest, new))
            if path.parent == self.blobs:
                self.substitute("sha256:" + path.name, canonical_json(changed))
            else:
                self.write(path.name, changed)

    def first_naming(self, digest: str) -> Path | None:
        """A manifest, config or record that names the digest; statements do it in other words."""
        for path in [*self.blobs.iterdir(), self.folder / "package.json", self.folder / "index.json"]:
            text = path.read_bytes()
            if text.startswith(b"{") and digest.encode() in text and b'"_type"' not in text:
                return path
        return None

    def edit(self, digest: str, change: Callable[[Any], object]) -> None:
        value = json.loads(self.read(digest))
        change(value)
        self.substitute(digest, canonical_json(value))

    def edit_manifest(self, kind: int, change: Callable[[Any], object], variant: int = 0) -> None:
        self.edit(self.manifest(variant, kind), change)

    def edit_statement(self, change: Callable[[Any], object]) -> None:
        self.edit(self.record["provenance"]["digest"], change)

    def edit_record(self, change: Callable[[Any], object]) -> None:
        record = self.record
        change(record)
        self.write("package.json", record)

    def edit_index(self, change: Callable[[Any], object]) -> None:
        index = json.loads((self.folder / "index.json").read_bytes())
        change(index)
        self.write("index.json", index)

    def write(self, name: str, value: Any) -> None:
        (self.folder / name).write_bytes(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def renamed(value: Any, digest: str, new: dict[str, Any]) -> Any:
    value = {key: new["digest"] if each == digest else each for key, each in value.items()}
    for key in ("diff_ids", "diffIds"):
        if key in value:
            value[key] = [new["digest"] if each == digest else each for each in value[key]]
    return (
        value | {"size": new["size"]} if value.get("digest") == new["digest"] and "size" in value else value
    )


def another_gguf(forger: Forger, data: bytes) -> None:
    forger.substitute(forger.record["variants"][0]["gguf"]["digest"], data)


def another_gguf_with_all_its_names(forger: Forger, change: Callable[[bytes], bytes]) -> None:
    """All manifests and the statement are written anew, as a build of other weights writes them."""
    old = forger.record["variants"][0]["gguf"]["digest"]
    data = change(forger.read(old))
    forger.edit_statement(lambda s: s["subject"][0]["digest"].update(sha256=sha256_bytes(data)[7:]))
    another_gguf(forger, data)


def second_layer(forger: Forger) -> None:
    layer = {**forger.add(b"{{ .Prompt }} and more"), "mediaType": "application/vnd.ollama.image.template"}
    forger.edit_manifest(0, lambda m: m["layers"].append(layer))


def another_layer(forger: Forger) -> None:
    new = forger.add(b"You are somebody else.")
    forger.edit_manifest(0, lambda m: m["layers"][1].update(new))


def another_key(text: str, kind: int = 1) -> Callable[[Forger], None]:
    """A key before the others, which a dictionary of Python cannot hold twice."""

    def forge(forger: Forger) -> None:
        digest = forger.manifest(0, kind)
        forger.substitute(digest, b"{" + text.encode() + b"," + forger.read(digest)[1:])

    return forge


def exchanged(forger: Forger) -> None:
    """The record calls each variant by the other's name, and the index follows."""

    def exchange(record: Any) -> None:
        first, second = record["variants"]
        first["quantization"], second["quantization"] = second["quantization"], first["quantization"]

    forger.edit_record(exchange)
    from starfreight.image_layout.index import index_bytes, package_entries

    entries = package_entries(Package.load(forger.folder))
    (forger.folder / "index.json").write_bytes(index_bytes(entries))


def attached(folder: Path, **changes: Any) -> None:
    subject = Package.load(folder).default_variant.manifests[0].manifest
    given: dict[str, Any] = {
        "data": b"{}", "media_type": "text/plain", "artifact_type": "text/plain", "annotations": {}
    }  # fmt: skip
    attach(folder, [Evidence(subject=subject, **given | changes)], Console(quiet=True))


def changed_attachment(change: Callable[[Any], object]) -> Callable[[Forger], None]:
    def forge(forger: Forger) -> None:
        attached(forger.folder)
        forger.edit(forger.record["attachments"][-1]["manifest"]["digest"], change)

    return forge


def second_statement(forger: Forger) -> None:
    attached(
        forger.folder,
        data=b'{"_type":"https://in-toto.io/Statement/v1"}',
        media_type="application/vnd.in-toto+json",
        artifact_type="application/vnd.in-toto+json",
        annotations={PREDICATE: "https://slsa.dev/provenance/v1"},
    )


def statement_taken_off(forger: Forger) -> None:
    def leave_out(value: Any) -> None:
        left = [each for each in value if each["manifest"]["digest"] != taken]
        value[:] = left

    taken = forger.record["attachments"][0]["manifest"]["digest"]
    forger.edit_record(lambda r: leave_out(r["attachments"]))
    forger.edit_index(lambda d: d.update(manifests=[e for e in d["manifests"] if e["digest"] != taken]))
    (forger.blobs / taken[7:]).unlink()


def recorded(**values: Any) -> Callable[[Forger], None]:
    return lambda forger: forger.edit_record(lambda record: record.update(values))


def parts(statement: Any) -> tuple[Any, Any]:
    predicate = statement["predicate"]
    return predicate["buildDefinition"], predicate["runDetails"]


FORGERIES: dict[str, tuple[Callable[[Forger], object], str]] = {
    "a subject with another digest": (
        lambda f: f.edit_statement(lambda s: s["subject"][1]["digest"].update(sha256="ab" * 32)),
        "about other files",
    ),
    "a file without a subject": (
        lambda f: f.edit_statement(lambda s: s["subject"].pop()), "about other files",
    ),
    "a subject without a file": (
        lambda f: f.edit_statement(lambda s: s["subject"].append(s["subject"][0])), "about other files",
    ),
    "a subject with a path that climbs": (
        lambda f: f.edit_statement(lambda s: s["subject"][0].update(name="../../.bashrc")),
        "about other files",
    ),
    "a statement that is an empty object": (lambda f: f.edit_statement(dict.clear), "has no _type"),
    "a statement about nothing": (
        lambda f: f.substitute(
            f.record["provenance"]["digest"], b'{"_type":"https://in-toto.io/Statement/v1","subject":[]}'
        ),
        "has no predicateType",
    ),
    "a statement that is a list": (
        lambda f: f.substitute(f.record["provenance"]["digest"], b"[]"), "has no _type",
    ),
    "a statement of another kind": (
        lambda f: f.edit_statement(lambda s: s.update(predicateType="https://example.org/test/v1")),
        "not an in-toto statement",
    ),
    "a statement with a key in another case": (
        lambda f: f.edit_statement(lambda s: s.update(Predicate={})), "is not valid JSON",
    ),
    "a statement of another run": (
        lambda f: f.edit_statement(lambda s: parts(s)[1]["metadata"].update(invocationId="other-0123456789")),
        "another run",
    ),
    "a statement of another day": (
        lambda f: f.edit_statement(lambda s: parts(s)[1]["metadata"].update(finishedOn="2020-01-01")),
        "another end",
    ),
    "a statement of another recipe": (
        lambda f: f.edit_statement(lambda s: parts(s)[0]["internalParameters"].update(
            recipeDigest="sha256:" + "9" * 64)),
        "another recipe",
    ),
    "a statement with a recipe that was changed": (
        lambda f: f.edit_statement(lambda s: parts(s)[0]["externalParameters"]["recipe"]["data"][0].update(
            license="Apache-2.0")),
        "another digest",
    ),
    "a statement with no recipe": (
        lambda f: f.edit_statement(lambda s: parts(s)[0]["externalParameters"].update(recipe=[])),
        "cannot read",
    ),
    "a statement with other quantizations": (
        lambda f: f.edit_statement(lambda s: parts(s)[0]["externalParameters"].update(quantizations=["F16"])),
        "other quantizations",
    ),
    "a model with other weights": (
        lambda f: another_gguf(f, f.read(f.record["variants"][0]["gguf"]["digest"])[:-1] + b"\x7f"),
        "about other files",
    ),
    "a model with more bytes": (
        lambda f: another_gguf(f, f.read(f.record["variants"][0]["gguf"]["digest"]) + b"\0" * 4096),
        "about other files",
    ),
    "a model that is no GGUF file": (lambda f: another_gguf(f, b"PK\3\4"), "not a valid GGUF file"),
    "a model with another name, and a statement about it": (
        lambda f: another_gguf_with_all_its_names(f, lambda d: d.replace(b"Golden fill", b"Silver fill")),
        "Silver fill-in-the-middle",
    ),
    "a model of another base, and a statement about it": (
        lambda f: another_gguf_with_all_its_names(f, lambda d: d.replace(b"sha256:c4bb", b"sha256:0000")),
        "general.base_model.0.version",
    ),
    "variants that are called by each other's name": (exchanged, "is not the one that package.json"),
    "a second template": (second_layer, "is not the one that package.json"),
    "another template": (another_layer, "is not the one that package.json"),
    "another media type of a layer": (
        lambda f: f.edit_manifest(0, lambda m: m["layers"][1].update(
            mediaType="application/vnd.ollama.image.system")),
        "is not the one that package.json",
    ),
    "media types of two layers exchanged": (
        lambda f: f.edit_manifest(1, lambda m: (
            m["layers"][0].update(mediaType=m["layers"][1]["mediaType"]),
            m["layers"][1].update(mediaType="application/vnd.cncf.model.weight.v1.raw"))),
        "is not the one that package.json",
    ),
    "layers in another order": (
        lambda f: f.edit_manifest(1, lambda m: m["layers"].reverse()), "is not the one that package.json",
    ),
    "a layer from elsewhere": (
        lambda f: f.edit_manifest(1, lambda m: m["layers"][0].update(urls=["http://127.0.0.1:9/x"])),
        "is not the one that package.json",
    ),
    "a layer with a path that climbs": (
        lambda f: f.edit_manifest(1, lambda m: m["layers"][1]["annotations"].update(
            {"org.cncf.model.filepath": "../../etc/cron.d/x"})),
        "is not the one that package.json",
    ),
    "a title that is a path that climbs": (
        lambda f: f.edit_manifest(1, lambda m: m["layers"][0]["annotations"].update(
            {"org.opencontainers.image.title": "../../.ssh/authorized_keys"})),
        "is not the one that package.json",
    ),
    "a manifest that is an index, too": (
        lambda f: f.edit_manifest(1, lambda m: m.update(manifests=[])), "is not the one that package.json",
    ),
    "a manifest with spaces": (
        lambda f: f.substitute(f.manifest(0, 0), f.read(f.manifest(0, 0)) + b" "),
        "is not the one that package.json",
    ),
    "a config of another platform": (
        lambda f: f.edit(json.loads(f.read(f.manifest(0, 0)))["config"]["digest"],
                         lambda c: c.update(os="windows")),
        "is not the one that package.json",
    ),
    "a config with other authors": (
        lambda f: f.edit(json.loads(f.read(f.manifest(0, 1)))["config"]["digest"],
                         lambda c: c["descriptor"].update(authors=["Somebody else"])),
        "another authors than the package",
    ),
    "layers in two cases": (another_key('"Layers":[]'), "given in two cases"),
    "layers twice": (another_key('"layers":[]'), "given twice"),
    "a key with a letter that Go takes for an s": (another_key('"\u017fchemaVersion":3'), "in two cases"),
    "one key in another case": (another_key('"Manifests":[]'), "is ambiguous"),
    "a size that is a text, in a manifest": (
        lambda f: f.edit_manifest(0, lambda m: m["layers"][1].update(size=str(m["layers"][1]["size"]))),
        "without a valid mediaType",
    ),
    "an unpaired surrogate": (another_key('"annotation":"\\ud800"'), "is not valid JSON"),
    "parameters that are a list": (
        lambda f: f.substitute(f.record["settings"]["digest"], b"[1]"), "not a JSON object",
    ),
    "parameters that are no JSON": (
        lambda f: f.substitute(f.record["settings"]["digest"], b"{,"), "not valid JSON",
    ),
    "parameters with half of a surrogate pair": (
        lambda f: f.substitute(f.record["settings"]["digest"], b'{"stop":["\\ud800"]}'), "not valid JSON",
    ),
    "other parameters": (
        lambda f: f.edit(f.record["settings"]["digest"], lambda d: d.update(temperature=9)),
        "another parameters than the package",
    ),
    "a context longer than the model's": (
        lambda f: f.edit(f.record["settings"]["digest"], lambda d: d.update(num_ctx=100_000)),
        "another parameters than the package",
    ),
    "an index with a size that is a text": (
        lambda f: f.edit_index(lambda d: d["manifests"][0].update(size=str(d["manifests"][0]["size"]))),
        "without a valid mediaType",
    ),
    "an index with a size that is a fraction": (
        lambda f: f.edit_index(lambda d: d["manifests"][0].update(size=float(d["manifests"][0]["size"]))),
        "without a valid mediaType",
    ),
    "an index with a byte order mark": (
        lambda f: (f.folder / "index.json").write_bytes(
            b"\xef\xbb\xbf" + (f.folder / "index.json").read_bytes()),
        "not valid JSON",
    ),
    "an index in UTF-16": (
        lambda f: (f.folder / "index.json").write_bytes(
            (f.folder / "index.json").read_text().encode("utf-16")),
        "not valid JSON",
    ),
    "an index with a number that is none": (
        lambda f: f.replace("index.json", '"schemaVersion": 2', '"schemaVersion": Infinity'),
        "not valid JSON",
    ),
    "an index of another version": (
        lambda f: f.edit_index(lambda d: d.update(schemaVersion=4)), "not an image index of version 2",
    ),
    "an index with annotations": (
        lambda f: f.edit_index(lambda d: d.update(annotations={"a": "b"})), "not an image index of version 2",
    ),
    "an index with a platform": (
        lambda f: f.edit_index(lambda d: d["manifests"][0].update(platform={"os": "windows"})),
        "keys that it should not have",
    ),
    "an index with one entry twice": (
        lambda f: f.edit_index(lambda d: d["manifests"].append(d["manifests"][0])),
        "not written as package.json determines",
    ),
    "an index in another order": (
        lambda f: f.edit_index(lambda d: d["manifests"].reverse()), "not written as package.json determines",
    ),
    "a record with another title": (
        recorded(title="Good\u202egnp.exe"), "is not the one that package.json determines",
    ),
    "a record with another description": (
        recorded(description="The best model of all."), "another description than the package",
    ),
    "a record of another run": (recorded(run="another-0123456789"), "another run"),
    "a record of another recipe": (recorded(recipe="sha256:" + "8" * 64), "another recipe"),
    "a record with the made-up recipe": (recorded(recipe="sha256:" + "1" * 64), "another recipe"),
    "a record of another day": (recorded(created="2026-11-28T13:30:36Z"), "is not the one that package"),
    "a record of another base": (
        recorded(base={"name": "bigcode/starcoder2-3b", "digest": "sha256:" + "7" * 64}),
        "another base model than the package",
    ),
    "a record with another digest of the base": (
        lambda f: f.edit_record(lambda r: r["base"].update(digest="sha256:" + "7" * 64)),
        "general.base_model.0.version",
    ),
    "a record with another context": (recorded(context_length=1 << 20), "context_length"),
    "a record with another number of weights": (
        recorded(parameters=70_000_000_000), "is not the one that package.json determines",
    ),
    "a record with another default": (recorded(default="F16"), "does not agree"),
    "a record with a size beyond all disks": (
        lambda f: f.edit_record(lambda r: r["variants"][0]["gguf"].update(size=10**300)), "size",
    ),
    "a record with a media type that a browser runs": (
        lambda f: f.edit_record(lambda r: r["model_card"].update(media_type="text/html")),
        "has the media type text/html",
    ),
    "a record with other spaces": (
        lambda f: (f.folder / "package.json").write_bytes(json.dumps(f.record).encode()),
        "package.json is not written as packages are",
    ),
    "a record with a default written out": (
        lambda f: f.edit_record(lambda r: r.update(adapter=None)),
        "package.json is not written as packages are",
    ),
    "a record with a key twice": (
        lambda f: f.replace("package.json", '"version": 1,', '"version": 1, "version": 1,'),
        "given twice",
    ),
    "a record with a key in two cases": (
        lambda f: f.replace("package.json", '"version": 1,', '"version": 1, "Version": 2,'),
        "given in two cases",
    ),
    "a record with one manifest less": (
        lambda f: f.edit_record(lambda r: r["variants"][0]["manifests"].pop()),
        "does not have the manifests",
    ),
    "an attachment with a second file": (
        changed_attachment(lambda m: m["layers"].append(m["layers"][0])), "attaches 2 files",
    ),
    "an attachment with another config": (
        changed_attachment(lambda m: m["config"].update(mediaType="text/plain")),
        "is not the one that package.json determines",
    ),
    "an attachment with a layer from elsewhere": (
        changed_attachment(lambda m: m["layers"][0].update(urls=["http://127.0.0.1:9/x"])),
        "is not the one that package.json determines",
    ),
    "an attachment of another type than recorded": (
        changed_attachment(lambda m: m.update(artifactType="text/html")),
        "is not the one that package.json determines",
    ),
    "an attachment of a manifest of another size": (
        changed_attachment(lambda m: m["subject"].update(mediaType="text/plain")),
        "is not the one that package.json determines",
    ),
    "an attachment with a title that is a path that climbs": (
        changed_attachment(lambda m: m.update(annotations={"org.opencontainers.image.title": "../x"})),
        "leaves its directory",
    ),
    "an attachment with an absolute path": (
        changed_attachment(lambda m: m.update(annotations={"org.cncf.model.filepath": "/etc/passwd"})),
        "leaves its directory",
    ),
    "a second provenance statement": (second_statement, "another provenance statement"),
    "a statement that is not attached": (statement_taken_off, "is not attached to"),
    "a blob that nothing refers to": (lambda f: f.add(b"more"), "nothing refers to the blob"),
}  # fmt: skip


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    return Forger(shutil.copytree(MERGED, tmp_path / "p"))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_package_that_was_changed_and_hashed_again_is_refused(
    name: str, forger: Forger, console: Console
) -> None:
    forge, said = FORGERIES[name]
    forge(forger)
    problems = examine_layout(forger.folder, console).problems
    assert any(re.search(said, problem.what) for problem in problems), problems
    assert not any(problem.what.startswith("the blob") and "another" in problem.what for problem in problems)
    with pytest.raises(GateError) as caught:
        verify_layout(forger.folder, console)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_not_published(name: str, forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    from starfreight.registry import publishing

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("a connection was about to be opened")

    monkeypatch.setattr(publishing, "PublishingClient", refuse)
    FORGERIES[name][0](forger)
    with pytest.raises(StarfreightError) as caught:
        publish(forger.folder, "127.0.0.1:9/team/coder:1", insecure=True, console=Console(quiet=True))
    assert caught.value.exit_code in (2, 3)


def test_an_adapter_with_the_name_of_another_is_refused(tmp_path: Path, console: Console) -> None:
    forger = Forger(shutil.copytree(BESIDE, tmp_path / "p"))
    verify_layout(forger.folder, console)
    old = forger.record["adapter"]["digest"]
    data = forger.read(old).replace(b"golden-sweep-rank-4", b"golden-sweep-rank-8")
    forger.edit_statement(lambda s: s["subject"][-1]["digest"].update(sha256=sha256_bytes(data)[7:]))
    forger.substitute(old, data)
    problems = examine_layout(forger.folder, console).problems
    assert [problem.what for problem in problems] == [
        f"the model {sha256_bytes(data)} has general.name 'golden-sweep-rank-8' where 'golden-sweep-rank-4' "
        "is recorded"
    ]


def test_a_package_without_a_forgery_is_accepted_with_evidence_of_any_kind(
    forger: Forger, console: Console
) -> None:
    for media_type in ("application/vnd.dsse.envelope.v1+json", "text/plain", "application/vnd.in-toto+json"):
        annotations = {
            PREDICATE: "https://example.org/review/v1",
            "org.opencontainers.image.title": "a/b.txt",
        }
        attached(forger.folder, media_type=media_type, artifact_type=media_type, annotations=annotations)
    verify_layout(forger.folder, console)


def test_an_earlier_package_with_a_parameter_unknown_to_ollama_verifies(
    make_run: Callable[..., Path], console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starfreight.packager.build.describe.check_parameters", lambda *_: None)
    build_package(make_run(tmp_path, parameters={"NUM_CTX": 512}), tmp_path / "p", None, console)
    verify_layout(tmp_path / "p", console)


def test_evidence_with_a_path_that_climbs_is_not_attached(forger: Forger) -> None:
    before = (forger.folder / "package.json").read_bytes()
    with pytest.raises(InputError, match="leaves its directory"):
        attached(forger.folder, annotations={"org.opencontainers.image.title": "../x"})
    assert (forger.folder / "package.json").read_bytes() == before


def test_a_header_that_goes_on_and_on_is_not_read_to_its_end(
    forger: Forger, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starfreight.packager.layout import gguf_header

    monkeypatch.setattr(gguf_header, "LONGEST_HEADER", 1000)
    with pytest.raises(GateError, match="header is longer than 1,000 bytes"):
        verify_layout(forger.folder, console)


def test_a_forged_attachment_of_an_unfinished_addition_is_refused(forger: Forger, console: Console) -> None:
    (forger.folder / ".unfinished").touch()
    verify_layout(forger.folder, console)
    forger.edit_index(lambda d: d["manifests"][-1].update(urls=["http://127.0.0.1:9/x"]))
    with pytest.raises(GateError, match="keys that it should not have"):
        verify_layout(forger.folder, console)


def test_the_layout_reader_keeps_to_the_manifest_that_go_reads(forger: Forger) -> None:
    another_key('"Layers":[]')(forger)
    layout, package = ImageLayout(forger.folder), Package.load(forger.folder)
    with pytest.raises(GateError, match="given in two cases"):
        layout.manifest(package.variants[0].manifests[1].manifest)
