"""Packages that somebody changed and hashed again, as anybody can who has the directory.

Each kind of change is refused by its own message, without any key, as far as the package itself can tell; and
with the signer's key all of them are. A package that fits together entirely cannot be told from an honest one
without a signature: nothing inside it proves what happened before it was made, or who made it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Package
from starfreight.packager.provenance.verify.verdict import Verdict

Copy = Callable[[str], Path]
Verify = Callable[..., Verdict]
SMALL = 200_000
"""Bytes. Larger files are models, which name no other file."""


class Repacker:
    """Changes a package, then the digest and size wherever the changed file is named, up to the index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs/sha256"

    @property
    def record(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / "package.json").read_bytes())
        return value

    def gguf(self) -> str:
        return str(self.record["variants"][0]["gguf"]["digest"])

    def manifest(self, kind: int) -> str:
        return str(self.record["variants"][0]["manifests"][kind]["manifest"]["digest"])

    def read(self, digest: str) -> bytes:
        return (self.blobs / digest[7:]).read_bytes()

    def json(self, digest: str) -> Any:
        return json.loads(self.read(digest))

    def put(self, data: bytes) -> dict[str, Any]:
        digest = sha256_bytes(data)
        (self.blobs / digest[7:]).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def replace(self, old: str, data: bytes) -> None:
        """Puts other bytes in the place of a file, and follows the references to it upwards."""
        new = self.put(data)
        if new["digest"] == old:
            return
        (self.blobs / old[7:]).unlink(missing_ok=True)
        while (path := self.naming(old)) is not None:
            value = json.loads(path.read_bytes(), object_hook=lambda each: _renamed(each, old, new))
            if path.parent == self.blobs:
                self.replace("sha256:" + path.name, canonical_json(value))
            else:
                self.write(path.name, value)

    def naming(self, digest: str) -> Path | None:
        """A file that names another one. Statements do it in other words."""
        for path in [*self.blobs.iterdir(), self.folder / "package.json", self.folder / "index.json"]:
            text = path.read_bytes() if path.stat().st_size < SMALL else b""
            if text.startswith(b"{") and digest.encode() in text and b'"_type"' not in text[:60]:
                return path
        return None

    def edit(self, digest: str, change: Callable[[Any], object]) -> None:
        value = self.json(digest)
        change(value)
        self.replace(digest, canonical_json(value))

    def statement(self, change: Callable[[Any], object]) -> None:
        self.edit(self.record["provenance"]["digest"], change)

    def write(self, name: str, value: Any) -> None:
        (self.folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def text(self, name: str, change: Callable[[str], str]) -> None:
        path = self.folder / name
        before = path.read_text()
        after = change(before)
        assert after != before
        path.write_text(after)

    def sweep(self) -> None:
        """Deletes what nothing names any more, so that no left-over gives the change away."""
        try:
            found, waiting = set(), [self.record, json.loads((self.folder / "index.json").read_bytes())]
        except ValueError:
            return
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, str) and value.startswith("sha256:") and value not in found:
                found.add(value)
                path = self.blobs / value[7:]
                if path.exists() and path.stat().st_size < SMALL and b"schemaVersion" in path.read_bytes():
                    manifest = json.loads(path.read_bytes())
                    waiting += [manifest.get(key) for key in ("config", "layers", "subject")]
        for path in self.blobs.iterdir():
            if "sha256:" + path.name not in found:
                path.unlink()


def _renamed(value: dict[str, Any], digest: str, new: dict[str, Any]) -> dict[str, Any]:
    changed = {
        key: new["digest"]
        if each == digest
        else [new["digest"] if item == digest else item for item in each]
        if isinstance(each, list)
        else each
        for key, each in value.items()
    }
    return changed | {"size": new["size"]} if value.get("digest") == digest else changed


def subject(r: Repacker) -> None:
    r.statement(lambda s: [each["digest"].update(sha256="0" * 64) for each in s["subject"]])


def license_of_the_data(r: Repacker) -> None:
    statement = r.record["provenance"]["digest"]
    data = r.read(statement)
    assert b"BSD-3-Clause" in data
    r.replace(statement, data.replace(b"BSD-3-Clause", b"MIT"))


def last_bit(r: Repacker) -> None:
    data = bytearray(r.read(r.gguf()))
    data[-1] ^= 1
    r.replace(r.gguf(), bytes(data))


def exchanged(r: Repacker) -> None:
    record, index = r.record, json.loads((r.folder / "index.json").read_bytes())
    first, second = record["variants"]
    names = (first["quantization"], second["quantization"])
    second["quantization"], first["quantization"] = names
    record["variants"] = [second, first]
    r.write("package.json", record)
    by_name = {each["annotations"]["org.opencontainers.image.ref.name"]: each
               for each in index["manifests"] if "annotations" in each}  # fmt: skip
    other = {"q8_0": "q4_K_M", "q4_K_M": "q8_0", "latest": "q4_K_M"}
    for name, entry in {name: dict(entry) for name, entry in by_name.items()}.items():
        tag, dash, suffix = name.partition("-")
        taken = by_name[other[tag] + dash + suffix]
        index["manifests"][index["manifests"].index(by_name[name])] = {
            **taken, "annotations": entry["annotations"]
        }  # fmt: skip
    r.write("index.json", index)


def second_template(r: Repacker) -> None:
    layer = {**r.put(b"{{ .Prompt }} and then more"), "mediaType": "application/vnd.ollama.image.template"}
    r.edit(r.manifest(0), lambda m: m["layers"].append(layer))


def other_system(r: Repacker) -> None:
    new = r.put(b"You serve somebody else.")
    r.edit(r.manifest(0), lambda m: [
        layer.update(new) for layer in m["layers"] if layer["mediaType"].endswith("system")
    ])  # fmt: skip


def both_cases(r: Repacker) -> None:
    other = r.record["variants"][1]["gguf"]
    layers = r.json(r.manifest(1))["layers"]
    layers[0].update(digest=other["digest"], size=other["size"])
    data = r.read(r.manifest(1))
    r.replace(r.manifest(1), data[:-1] + b',"Layers":' + canonical_json(layers) + b"}")


def foreign_bytes_in_the_other_case(r: Repacker) -> None:
    new = r.put(b"weights of somebody else")
    license = {**new, "mediaType": "application/vnd.ollama.image.license"}
    r.edit(r.manifest(0), lambda m: m["layers"].append(license))
    layers = r.json(r.manifest(1))["layers"]
    layers[0].update(new)
    data = r.read(r.manifest(1))
    r.replace(r.manifest(1), data[:-1] + b',"Layers":' + canonical_json(layers) + b"}")


def more_in_the_index(r: Repacker) -> None:
    index = json.loads((r.folder / "index.json").read_bytes())
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name "] = "x"
    index["manifests"][0]["platform"] = {"os": "windows", "architecture": "arm"}
    index["manifests"].append(dict(index["manifests"][0]))
    r.write("index.json", index)


def first_size(kind: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        size = json.loads(text)["manifests"][0]["size"]
        return text.replace(f'"size": {size}', f'"size": {kind.format(size)}', 1)

    return change


def size_in_a_manifest(r: Repacker) -> None:
    size = r.record["variants"][0]["gguf"]["size"]
    data = r.read(r.manifest(0))
    assert b'"size":%d' % size in data
    r.replace(r.manifest(0), data.replace(b'"size":%d' % size, b'"size":"%d"' % size))


def title(r: Repacker) -> None:
    record = r.record
    record["title"] = "good\u202egnp.exe\u009b31m\u2028next"
    r.write("package.json", record)


def huge_size(r: Repacker) -> None:
    record = r.record
    record["variants"][0]["gguf"]["size"] = 10**300
    r.write("package.json", record)


def without_the_record_of_the_data(r: Repacker) -> None:
    data = r.record["training_data"]["manifest"]["digest"]
    r.replace(data, r.read(data).replace(b'"MIT"', b'"0BSD"'))


def card(r: Repacker) -> None:
    r.replace(r.record["model_card"]["digest"], b"# The best model\n\nIt passes every test.\n")


def bill_of_materials(r: Repacker) -> None:
    r.edit(r.record["bom"]["digest"], lambda b: b["components"].pop())


def license_text(r: Repacker) -> None:
    r.replace(r.record["licenses"][0]["text"]["digest"], b"Do as you like.\n")


def evidence_taken_off(r: Repacker) -> None:
    record, index = r.record, json.loads((r.folder / "index.json").read_bytes())
    taken = {each["manifest"]["digest"] for each in record["attachments"]
             if each["artifact_type"] == "application/vnd.cyclonedx+json"}  # fmt: skip
    assert taken
    record["attachments"] = [e for e in record["attachments"] if e["manifest"]["digest"] not in taken]
    index["manifests"] = [each for each in index["manifests"] if each["digest"] not in taken]
    r.write("package.json", record)
    r.write("index.json", index)


CHANGES: dict[str, tuple[Callable[[Repacker], object], str]] = {
    "the statement is about other files": (subject, "is about other files than the package's"),
    "the statement is empty": (
        lambda r: r.replace(r.record["provenance"]["digest"], b"{}\n"), "has no _type",
    ),
    "another license of the data in the statement": (license_of_the_data, "has a recipe with another digest"),
    "another last bit of the model": (last_bit, "is about other files than the package's"),
    "a model that is no model": (lambda r: r.replace(r.gguf(), b"not a gguf"), "is not a valid GGUF file"),
    "a model with a megabyte more": (
        lambda r: r.replace(r.gguf(), r.read(r.gguf()) + b"\0" * (1 << 20)),
        "is about other files than the package's",
    ),
    "two variants by each other's name": (exchanged, "is not the one that package.json determines"),
    "a second template in a manifest": (second_template, "is not the one that package.json determines"),
    "another text in a manifest": (other_system, "is not the one that package.json determines"),
    "a manifest that is an index, too": (
        lambda r: r.edit(r.manifest(1), lambda m: m.update(manifests=[])),
        "is not the one that package.json determines",
    ),
    "layers in two cases": (both_cases, "'layers' is given in two cases"),
    "foreign bytes in the other case": (foreign_bytes_in_the_other_case, "'layers' is given in two cases"),
    "a size that is a text": (
        lambda r: r.text("index.json", first_size('"{}"')), "index.json has a descriptor without a valid",
    ),
    "a size with a fraction": (
        lambda r: r.text("index.json", first_size("{}.0")), "index.json has a descriptor without a valid",
    ),
    "a size that is a text, in a manifest": (size_in_a_manifest, "has a descriptor without a valid"),
    "a layer from elsewhere": (
        lambda r: r.edit(r.manifest(1), lambda m: m["layers"][0].update(urls=["http://127.0.0.1:9/evil"])),
        "is not the one that package.json determines",
    ),
    "an index with a byte order mark": (
        lambda r: r.text("index.json", lambda text: "\ufeff" + text), "index.json is not valid JSON",
    ),
    "an index with NaN": (
        lambda r: r.text("index.json", lambda t: t.replace('"schemaVersion": 2', '"schemaVersion": NaN')),
        "NaN is not JSON",
    ),
    "an index of another version": (
        lambda r: r.text("index.json", lambda t: t.replace('"schemaVersion": 2', '"schemaVersion": 3')),
        "is not an image index of version 2",
    ),
    "more in the index": (more_in_the_index, "with keys that it should not have"),
    "a title that steers the terminal": (title, "has a recipe with another title"),
    "a size beyond any disk": (huge_size, "variants.0.gguf.size"),
    "another data manifest": (without_the_record_of_the_data, "data manifest"),
    "another card": (card, "is not the one that package.json determines"),
    "another bill of materials": (bill_of_materials, "bill of materials"),
    "another text of a license": (license_text, "is not the one that package.json determines"),
    "a bill of materials taken off": (evidence_taken_off, "bill of materials"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", ["unsigned", "signed"])
def test_a_package_that_was_repacked_is_refused(name: str, kind: str, copy_of: Copy, verify: Verify) -> None:
    change, said = CHANGES[name]
    repacker = Repacker(copy_of(kind))
    change(repacker)
    repacker.sweep()
    verdict = verify(repacker.folder, "acme" if kind == "signed" else None)
    found = [each.what for each in verdict.refusals]
    assert any(said in each for each in found), found
    # Every digest was computed again: what is refused is the change, not a broken file.
    assert not any("has another digest" in each and "blob" in each for each in found), found


def test_a_package_that_was_only_written_again_is_accepted(copy_of: Copy, verify: Verify) -> None:
    """Against a forger whose own tool does the damage that the tests above find."""
    repacker = Repacker(copy_of("signed"))
    repacker.write("package.json", repacker.record)
    repacker.sweep()
    assert not verify(repacker.folder, "acme").refused


@pytest.mark.parametrize("what", ["weights", "recipe"])
def test_a_change_that_fits_together_entirely_needs_a_signature_to_be_found(
    what: str, copy_of: Copy, verify: Verify, tmp_path: Path
) -> None:
    """Another honest package in the place of this one: unsigned, or with the old signatures."""
    from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE

    signed, forged = copy_of("signed"), copy_of("another" if what == "recipe" else "unsigned")
    repacker = Repacker(forged)
    record = repacker.record
    record["attachments"] = [e for e in record["attachments"] if e["artifact_type"] != MEDIA_TYPE]
    index = json.loads((forged / "index.json").read_bytes())
    index["manifests"] = [e for e in index["manifests"] if e.get("artifactType") != MEDIA_TYPE]
    repacker.write("package.json", record)
    repacker.write("index.json", index)
    repacker.sweep()
    assert Package.load(forged).attachments
    assert not verify(forged).refused
    verdict = verify(forged, "acme")
    assert verdict.refused and "not signed by a trusted signer" in verdict.refusals[0].what
    shutil.rmtree(signed)
