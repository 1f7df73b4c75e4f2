"""The base's card and notices: shipped byte for byte, in every client's manifest after the licenses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.base_artifact import is_model_file
from starfreight.base_documents import MAX_DOCUMENTS, base_documents, is_document_name, packaged_name
from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Document, Package
from starfreight.packager.build.base_documents import MAX_DOCUMENT_BYTES, document_texts, with_notices
from starfreight.packager.build.build_package import build_package
from starfreight.packager.install.export import export_package
from starfreight.packager.install.install import choose_variant
from starfreight.packager.install.models import manifest_model, package_model, with_record
from starfreight.packager.install.sources import PackageSource
from starfreight.packager.layout import verify_layout
from starfreight.packager.layout.write_package import DocumentText, PackageContents, write_package
from starfreight.packager.model_description import LicenseText
from starfreight.packager.registry.remote_manifest import parse_remote

DOCUMENTS = (DocumentText("BASE_MODEL_CARD.md", b"# Base\n"), DocumentText("NOTICE", b"Copyright A\n"))


@pytest.mark.parametrize(
    ("name", "packaged"),
    [
        ("NOTICE", "NOTICE"), ("notice.txt", "NOTICE.txt"), ("Notices.md", "NOTICES.md"),
        ("COPYING", "COPYING"),
        ("COPYRIGHT.txt", "COPYRIGHT.txt"), ("AUTHORS", "AUTHORS"), ("USE_POLICY.md", "USE_POLICY.md"),
        ("use-policy.md", "USE_POLICY.md"), ("NOTICE-third-party.txt", "NOTICE-third-party.txt"),
        ("README.md", None), ("LICENSE", None), ("LICENSE-NOTICE", None), ("noticeable.py", None),
        ("config.json", None), ("Modelfile", None), ("copying-model.safetensors.gguf.bin\n", None),
        ("NOTICE/x", None), ("NOTICE.toolongextension", None), ("..NOTICE", None), ("\u202eNOTICE", None),
    ],
)  # fmt: skip
def test_notices_are_known_by_their_names(name: str, packaged: str | None) -> None:
    assert packaged_name(name) == packaged
    assert packaged is None or is_document_name(packaged)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "Modelfile",
        "0-model.gguf",
        "NOTICE.gguf/x",
        "template",
        "LICENSE",
        "notice",
        "bom.cdx.json",
    ],
)
def test_other_files_of_a_package_are_no_documents(name: str) -> None:
    assert not is_document_name(name)


def test_the_card_comes_first_and_no_name_twice(tmp_path: Path) -> None:
    for name in ("readme.txt", "README.md", "notice", "NOTICE", "Notice.md", "config.json", "AUTHORS"):
        (tmp_path / name).write_text(name)
    (tmp_path / "PATENTS").mkdir()
    found = [(each.name, each.path.name) for each in base_documents(tmp_path)]
    assert found == [
        ("BASE_MODEL_CARD.md", "README.md"), ("AUTHORS", "AUTHORS"), ("NOTICE", "NOTICE"),
        ("NOTICE.md", "Notice.md"),
    ]  # fmt: skip


def test_documents_are_taken_as_they_are(tmp_path: Path, console: Console) -> None:
    text = "# Base \u202e\x1b[31m\r\n".encode()
    (tmp_path / "README.md").write_bytes(text)
    (tmp_path / "NOTICE").write_bytes(b" \n")
    assert document_texts(tmp_path, console) == (DocumentText("BASE_MODEL_CARD.md", text),)


def test_what_cannot_be_shipped_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = tmp_path / "base", tmp_path / "secret"
    base.mkdir()
    other.write_text("a secret")
    (base / "README.md").symlink_to(other)
    (base / "NOTICE").write_bytes(b"\xff\xfe")
    (base / "AUTHORS").write_bytes(b"a\0b")
    (base / "COPYING").symlink_to(base / "missing")
    os.truncate(os.open(base / "PATENTS", os.O_CREAT | os.O_RDWR), MAX_DOCUMENT_BYTES + 1)
    os.mkfifo(base / "COPYRIGHT")
    assert document_texts(base, Console()) == ()
    said = capsys.readouterr().err
    for name in ("README.md", "NOTICE", "AUTHORS", "COPYING", "PATENTS"):
        assert f"The base model's {name} is not in the package" in " ".join(said.split())


def test_a_link_within_the_hub_s_cache_is_followed(tmp_path: Path, console: Console) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1"
    (tmp_path / "models--a--b" / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs" / "x").write_text("# Base\n")
    (snapshot / "README.md").symlink_to("../../blobs/x")
    assert document_texts(snapshot, console) == (DOCUMENTS[0],)


def test_there_are_not_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(MAX_DOCUMENTS + 3):
        (tmp_path / f"NOTICE-{number}").write_text("x")
    assert len(document_texts(tmp_path, Console())) == MAX_DOCUMENTS
    assert "3 more documents" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["README.md", "NOTICE.txt", "COPYING", "USE_POLICY.md"])
def test_documents_are_fetched_with_a_base(name: str) -> None:
    assert is_model_file(name)


def test_a_built_package_has_the_documents_of_its_base(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    (tmp_path / "base" / "README.md").write_bytes(DOCUMENTS[0].text)
    package = build_package(run, tmp_path / "p", None, console)
    layout = ImageLayout(tmp_path / "p")
    assert [(each.name, layout.read(each.text)) for each in package.documents] == [
        ("BASE_MODEL_CARD.md", DOCUMENTS[0].text)
    ]
    verify_layout(tmp_path / "p", console)
    card = layout.read(package.model_card).decode()
    assert "`BASE_MODEL_CARD.md`" in card
    export_package(tmp_path / "p", tmp_path / "files", (), console)
    assert (tmp_path / "files" / "BASE_MODEL_CARD.md").read_bytes() == DOCUMENTS[0].text


NOTICE = DocumentText("NOTICE", b"Built with\nLlama is\nlicensed so.\n")


@pytest.mark.parametrize(
    ("documents", "licenses", "added"),
    [
        ((), (), "NOTICE"),
        ((NOTICE,), (), None),
        ((DocumentText("NOTICE", b"Another.\n"),), (), "NOTICE-license.txt"),
        ((), (LicenseText(name="Llama", text=NOTICE.text),), None),
        ((), (LicenseText(name="Llama", text=NOTICE.text + b"x" * 5000),), "NOTICE"),
    ],
)
def test_a_sentence_that_a_license_prescribes_is_added(
    documents: tuple[DocumentText, ...], licenses: tuple[LicenseText, ...], added: str | None
) -> None:
    found = with_notices(documents, ("Llama is licensed so.",), licenses)
    assert found == (*documents, *([DocumentText(added, b"Llama is licensed so.\n")] if added else []))
    assert all(is_document_name(each.name) for each in found)
    assert with_notices(documents, (), licenses) == documents


@pytest.fixture
def folder(make_contents: Callable[..., PackageContents], console: Console, tmp_path: Path) -> Path:
    write_package(tmp_path / "p", make_contents(documents=DOCUMENTS), console)
    return tmp_path / "p"


def test_every_manifest_has_the_documents_after_the_licenses(folder: Path, console: Console) -> None:
    package, layout = Package.load(folder), ImageLayout(folder)
    texts = [each.text.digest for each in package.licenses] + [each.text.digest for each in package.documents]
    for each in package.default_variant.manifests:
        layers = json.loads(layout.read(each.manifest))["layers"]
        assert [layer["digest"] for layer in layers][-len(texts) :] == texts, each.format
        if each.format != "ollama":
            names = [layer["annotations"]["org.opencontainers.image.title"] for layer in layers]
            assert names[-2:] == ["BASE_MODEL_CARD.md", "NOTICE"]
    verify_layout(folder, console)


@pytest.mark.parametrize("format", ["ollama", "modelpack", "docker"])
def test_documents_are_told_from_licenses(format: str, folder: Path) -> None:
    package, source = Package.load(folder), PackageSource(folder)
    variant = choose_variant(package, None, str(folder))
    expected = package_model(package, variant, source)
    assert expected.documents == package.documents
    descriptor = next(each.manifest for each in variant.manifests if each.format == format)
    alone = manifest_model(parse_remote(source.read(descriptor), "here"), "tiny", source)
    texts = [each.text.digest for each in (*alone.licenses, *alone.documents)]
    assert texts == [each.text.digest for each in (*package.licenses, *package.documents)]
    # A manifest for Ollama names no text: its record tells which is which.
    assert [each.name for each in alone.documents] == (
        [] if format == "ollama" else ["BASE_MODEL_CARD.md", "NOTICE"]
    )
    if format != "docker":  # It has no template.
        found = with_record(alone, package, descriptor.digest)
        assert (found.licenses, found.documents) == (package.licenses, package.documents)
        assert found.image.manifest == expected.image.manifest


def test_an_export_has_them_beside_the_modelfile(folder: Path, console: Console, tmp_path: Path) -> None:
    export_package(folder, tmp_path / "files", ("Q8_0",), console)
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert {"BASE_MODEL_CARD.md", "NOTICE", "LICENSE", "Modelfile"} <= names
    modelfile = (tmp_path / "files" / "Modelfile").read_text()
    assert "Copyright A" not in modelfile and "The license." in modelfile


@pytest.mark.parametrize("name", ["Modelfile", "README.md", "0-a.gguf", "LICENSE", "params.json", "x"])
def test_a_document_cannot_take_another_file_s_name(
    name: str, folder: Path, console: Console, tmp_path: Path
) -> None:
    package = Package.load(folder)
    hostile = package.model_copy(update={"documents": (Document(name=name, text=package.documents[0].text),)})
    hostile.save(folder)
    with pytest.raises(GateError, match="is not the name of a document"):
        verify_layout(folder, console)
    with pytest.raises(GateError, match="is not the name of a document"):
        export_package(folder, tmp_path / "files", (), console)
    assert not (tmp_path / "files").exists()
