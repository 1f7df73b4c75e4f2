"""The bill of materials of packages: valid, complete, a function of the package, and nobody else's."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import passes, suite_result, write_evaluation
from stopped_writes import in_a_child, killer

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.evaluation import Evaluation
from starfreight.files import sha256_file
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager import media_types
from starfreight.packager.bom import bom_problem, make_bom, read_facts
from starfreight.packager.bom.facts import BomFacts
from starfreight.packager.bom.licenses import license_choice, license_choices
from starfreight.packager.bom.values import line, purl, url
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation.attach import attach
from starfreight.packager.install.export import export_package
from starfreight.packager.layout import verify_layout
from starfreight.packager.layout.attach_evidence import attach as attach_evidence
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.write_package import bom_evidence
from starfreight.recipe import validate_recipe
from starfreight.run import Run

Build = Callable[..., Path]
OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"


@lru_cache(maxsize=1)
def validator() -> Any:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_7)


def valid(data: bytes) -> dict[str, Any]:
    problem = validator().validate_str(data.decode())
    assert problem is None, problem
    bom: dict[str, Any] = json.loads(data)
    references = [each["bom-ref"] for each in bom["components"]]
    references += [each["bom-ref"] for one in bom["components"] for each in one.get("components", ())]
    assert len(set(references)) == len(references)
    # Every reference of the graph and of the model card leads to a component.
    graph = {each["ref"]: set(each.get("dependsOn", ())) for each in bom["dependencies"]}
    assert set().union(*graph.values()) <= graph.keys() <= {*references, "model"}
    card = bom["metadata"]["component"]["modelCard"]["modelParameters"]
    assert {each["ref"] for each in card.get("datasets", ())} <= set(references)
    return bom


def read(folder: Path) -> bytes:
    package = Package.load(folder)
    assert package.bom is not None
    return ImageLayout(folder).read(package.bom)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the package that most tests begin with."""
    return tmp_path_factory.mktemp("built") / "p"


@pytest.fixture
def folder(built: Path, build: Build, tmp_path: Path) -> Path:
    """A copy of that package, which is built once."""
    if not built.exists():
        shutil.copytree(build(), built)
    return shutil.copytree(built, tmp_path / "copy")


@pytest.fixture
def build(make_run: Callable[..., Path], console: Console, tmp_path: Path) -> Build:
    """Builds the package of a tiny run."""

    def made(*, instruct: bool = False, readme: str | None = "# Base\n", **options: Any) -> Path:
        run = make_run(tmp_path, **options)
        if readme is not None:
            (tmp_path / "base" / "README.md").write_text(readme)
        if instruct:
            record = Run.load(run)
            changed = record.recipe.model_dump(mode="json")
            changed["data"][0]["format"] = "instruct"
            record.model_copy(update={"recipe": validate_recipe(changed, "recipe")}).save(run)
        build_package(run, tmp_path / "p", None, console)
        return tmp_path / "p"

    return made


def evaluation_of(folder: Path, to: Path) -> Path:
    package = Package.load(folder)
    variant = package.default_variant
    values = passes(20, 0.5)
    result = suite_result("fim", "exact_match", values, parts=("Python",), problems="held-out files")
    return write_evaluation(
        to,
        [(result, values)],
        name=package.name, quantization=str(variant.quantization), gguf=variant.gguf.digest,
        adapter=package.adapter.digest if package.adapter else None,
        template=package.template.digest if package.template else None,
        settings=package.settings.digest if package.settings else None,
        run=package.run, package=package.name,
    )  # fmt: skip


def named(bom: dict[str, Any], kind: str) -> list[str]:
    return [each["name"] for each in bom["components"] if each["type"] == kind]


@pytest.mark.parametrize("ship", ["merged", "adapter"])
def test_a_package_has_a_valid_document_of_all_that_it_is_made_of(ship: str, build: Build) -> None:
    folder = build(
        ship=ship, card={"intended_use": "Tests.", "limitations": "Many.", "authors": ["A <a@b.example>"]}
    )
    package, bom = Package.load(folder), valid(read(folder))
    model = bom["metadata"]["component"]
    assert bom["metadata"]["timestamp"] == package.created
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "tiny", package.run)
    assert model["licenses"] == [{"license": {"id": "MIT"}}]
    assert model["authors"] == [{"name": "A", "email": "a@b.example"}]
    files = {
        each["name"]: each["hashes"][0]["content"] for each in bom["components"] if each["type"] == "file"
    }
    stem = "tiny" if ship == "merged" else "tiny-base"
    expected = {f"{stem}-Q8_0.gguf": package.default_variant.gguf.digest.removeprefix("sha256:")}
    if package.adapter is not None:
        expected["tiny-F16-LoRA.gguf"] = package.adapter.digest.removeprefix("sha256:")
    assert files == expected
    base = next(each for each in bom["components"] if each["bom-ref"] == "base")
    assert base["licenses"] == [{"license": {"id": "MIT"}}]
    assert "model.safetensors" in [each["name"] for each in base["components"]]
    assert named(bom, "data") == ["data/manifest.json", "src"]
    assert "torch" in named(bom, "library")
    card = model["modelCard"]
    assert card["considerations"] == {"useCases": ["Tests."], "technicalLimitations": ["Many."]}
    metrics = {
        (each["type"], each["slice"]): each["value"]
        for each in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert metrics["loss", "held-out data, after training"] == "2.5"
    documents = [each["url"] for each in model["externalReferences"]]
    assert {"README.md", "provenance.intoto.json", "LICENSE", "BASE_MODEL_CARD.md"} <= set(documents)


def test_a_base_from_the_hub_and_data_from_git_have_their_addresses(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run, commit = make_run(tmp_path), "b" * 40
    record = Run.load(run)
    base = {"model": "bigcode/starcoder2-3b", "revision": commit, "license": OPENRAIL}
    recipe = record.recipe.model_dump(mode="json") | {"base": base}
    source = {"source": "git:https://token@github.com/acme/x.git", "revision": commit}
    recipe["data"][0] |= source
    manifest = run / "data" / "manifest.json"
    written = manifest.read_text()
    named = json.dumps({"source": "./src", "revision": None})[1:-1]
    manifest.write_text(written.replace(named, json.dumps(source)[1:-1]))
    assert manifest.read_text() != written
    described = record.data_manifest.model_copy(
        update={"digest": sha256_file(manifest), "size": manifest.stat().st_size}
    )
    record.model_copy(
        update={
            "recipe": validate_recipe(recipe, "recipe"),
            "base": record.base.model_copy(update=base),
            "data_manifest": described,
            "image": "sha256:" + "c" * 64,
        }
    ).save(run)
    build_package(run, tmp_path / "p", tmp_path / "base", console)
    data = read(tmp_path / "p")
    found = {each["bom-ref"]: each for each in valid(data)["components"]}
    assert found["base"]["purl"] == f"pkg:huggingface/bigcode/starcoder2-3b@{commit}"
    assert found["base"]["version"] == commit
    assert found["base"]["licenses"] == [{"license": {"name": OPENRAIL}}]
    assert found["data:0"]["data"][0]["contents"]["url"] == "https://github.com/acme/x.git"
    assert found["data:0"]["version"] == commit
    assert found["image/trainer"]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert b"token" not in data.replace(b"training:tokens", b"").replace(b"tokenizer", b"")


def test_it_is_attached_to_every_manifest_once(folder: Path, console: Console) -> None:
    package = Package.load(folder)
    found = [each.subject for each in package.attachments if each.artifact_type == media_types.BOM]
    assert sorted(found) == sorted(each.manifest.digest for each in package.default_variant.manifests)


def test_a_model_of_instructions_is_supervised(build: Build) -> None:
    card = valid(read(build(instruct=True)))["metadata"]["component"]["modelCard"]
    assert card["modelParameters"]["approach"] == {"type": "supervised"}


def test_the_same_run_gives_the_same_document(build: Build, console: Console, tmp_path: Path) -> None:
    folder = build()
    first = read(folder)
    shutil.rmtree(folder)
    build_package(tmp_path / "runs" / "tiny", folder, None, console)
    assert read(folder) == first
    package = Package.load(folder)
    # An earlier document and attachments have no effect.
    bare = package.model_copy(update={"bom": None, "attachments": ()})
    assert make_bom(read_facts(ImageLayout(folder), bare)) == first


def test_an_evaluation_puts_its_figures_into_the_document(
    folder: Path, console: Console, tmp_path: Path
) -> None:
    before = valid(read(folder))
    attach(folder, evaluation_of(folder, tmp_path / "evaluation"), console)
    after = valid(read(folder))
    assert before["serialNumber"] != after["serialNumber"]
    metrics = after["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    found = [each for each in metrics if each["slice"] == "fim, Q8_0"]
    evaluation = Evaluation.load(tmp_path / "evaluation")
    assert [each["value"] for each in found] == [repr(evaluation.results[0].figures[0].value)]
    assert "confidenceInterval" in found[0]
    verify_layout(folder, console)
    package = Package.load(folder)
    attached = [each for each in package.attachments if each.artifact_type == media_types.BOM]
    assert len(attached) == len(package.default_variant.manifests)


def test_a_signed_package_keeps_its_document(folder: Path, console: Console, tmp_path: Path) -> None:
    package = Package.load(folder)
    kind = "application/vnd.dsse.envelope.v1+json"
    signature = Evidence(
        subject=package.default_variant.manifests[0].manifest,
        data=b"{}", media_type=kind, artifact_type=kind, annotations={},
    )  # fmt: skip
    attach_evidence(folder, [signature], console)
    attach(folder, evaluation_of(folder, tmp_path / "evaluation"), console)
    assert Package.load(folder).bom == package.bom
    verify_layout(folder, console)


def test_killed_at_any_step_the_document_is_the_old_or_the_new_one(
    folder: Path, console: Console, tmp_path: Path
) -> None:
    evaluation, old = evaluation_of(folder, tmp_path / "evaluation"), Package.load(folder)
    new = attach(shutil.copytree(folder, tmp_path / "whole"), evaluation, console)
    assert new.bom != old.bom
    ended = []
    for number in range(1, 1000, 7):
        copy = shutil.copytree(folder, tmp_path / str(number))
        ended.append(in_a_child(copy, killer(number), lambda copy=copy: attach(copy, evaluation, console)))
        verify_layout(copy, console)
        assert Package.load(copy) in (old, new)
        if ended[-1] == 0:
            break
        if number % 2:
            assert attach(copy, evaluation, console) == new
    assert set(ended) == {0, -signal.SIGKILL}


def with_bom(folder: Path, data: bytes, console: Console) -> None:
    """Put another document in place, as somebody does who hashes everything again."""
    from starfreight.packager.layout.writer import open_writer

    package = Package.load(folder)
    with open_writer(folder, console) as writer:
        others = [each for each in package.attachments if each.artifact_type != media_types.BOM]
        added = [
            writer.attach(bom_evidence(each.manifest, data, package.created))
            for variant in package.variants
            for each in variant.manifests
        ]
        bom = writer.add(data, media_types.BOM)
        writer.finish(package.model_copy(update={"bom": bom, "attachments": (*others, *added)}))


MUTATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a hash": lambda bom: bom["components"][0]["hashes"][0].update(content="0" * 64),
    "a license": lambda bom: bom["metadata"]["component"].update(licenses=[{"license": {"id": "0BSD"}}]),
    "a figure": lambda bom: bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ][0].update(value="0.1"),
    "a component less": lambda bom: bom["components"].pop(),
    "a foreign evaluation": lambda bom: bom["metadata"]["component"]["externalReferences"].append(
        {
            "type": "quality-metrics",
            "url": "https://starfreight.dev/predicates/evaluation/v1",
            "hashes": [{"alg": "SHA-256", "content": "1" * 64}],
        }
    ),
    "the form": lambda bom: bom["properties"][0].update(value="2"),
    "no form": lambda bom: bom.pop("properties"),
    "form of another kind": lambda bom: bom["properties"][0].update(value=["1"]),
    "nothing": lambda bom: bom.clear(),
    "a list": lambda bom: bom.update(metadata=[]),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_document_is_refused(mutation: str, folder: Path, console: Console) -> None:
    bom = json.loads(read(folder))
    MUTATIONS[mutation](bom)
    with_bom(folder, json.dumps(bom, sort_keys=True, indent=1).encode() + b"\n", console)
    assert bom_problem(ImageLayout(folder), Package.load(folder)) is not None
    with pytest.raises(GateError, match="bill of materials"):
        verify_layout(folder, console)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"a":1,"a":2}', b"\xff", b"[" * 100_000])
def test_no_document_at_all_is_refused(data: bytes, folder: Path, console: Console) -> None:
    with_bom(folder, data, console)
    with pytest.raises(GateError, match="bill of materials is not one that Starfreight wrote"):
        verify_layout(folder, console)


def test_a_second_or_a_missing_document_is_refused(folder: Path, console: Console, tmp_path: Path) -> None:
    package = Package.load(folder)
    subject = package.default_variant.manifests[0].manifest
    second = shutil.copytree(folder, tmp_path / "second")
    attach_evidence(second, [bom_evidence(subject, b"{}", package.created)], console)
    with pytest.raises(GateError, match="another bill of materials is attached"):
        verify_layout(second, console)
    kept = [
        each for each in package.attachments
        if (each.artifact_type, each.subject) != (media_types.BOM, subject.digest)
    ]  # fmt: skip
    from starfreight.packager.layout.writer import open_writer

    with open_writer(folder, console) as writer:
        writer.finish(package.model_copy(update={"attachments": tuple(kept)}))
    with pytest.raises(GateError, match="bill of materials is not attached to sha256"):
        verify_layout(folder, console)


def test_hostile_names_are_cleaned(folder: Path, console: Console) -> None:
    facts = read_facts(ImageLayout(folder), Package.load(folder))
    hostile = "a\x1b[31m\u202e\u200bb\r\n\x00c"
    recipe = facts.provenance.recipe
    card = recipe.package.card.model_copy(
        update={
            "authors": (hostile, "x" * 100_000),
            "limitations": hostile,
            "url": "https://u:p@evil.example/",
        }
    )
    options = recipe.package.model_copy(update={"card": card})
    base = facts.package.base.model_copy(update={"name": hostile})
    package = facts.package.model_copy(update={"title": hostile, "description": hostile, "base": base})
    provenance = replace(facts.provenance, recipe=recipe.model_copy(update={"package": options}))
    data = make_bom(BomFacts(package, provenance, facts.evaluations))
    valid(data)
    for sign in ("\\u001b", "\x1b", "\u202e", "\u200b", "\\u0000", "evil.example"):
        assert sign not in data.decode()


def test_an_export_has_the_document(folder: Path, console: Console, tmp_path: Path) -> None:
    export_package(folder, tmp_path / "files", (), console)
    assert (tmp_path / "files" / "bom.cdx.json").read_bytes() == read(folder)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("Apache-2.0", {"license": {"id": "Apache-2.0"}}),
        ("GPL-2.0+", {"license": {"id": "GPL-2.0+"}}),
        ("MIT OR Apache-2.0", {"expression": "MIT OR Apache-2.0"}),
        (
            "GPL-2.0-only WITH Classpath-exception-2.0",
            {"expression": "GPL-2.0-only WITH Classpath-exception-2.0"},
        ),
        ("MIT AND LicenseRef-Acme", {"expression": "MIT AND LicenseRef-Acme"}),
        ("LicenseRef-BigCode-OpenRAIL-M", {"license": {"name": "LicenseRef-BigCode-OpenRAIL-M"}}),
        ("MIT OR Acme", {"license": {"name": "MIT OR Acme"}}),
        ("MIT or so they say", {"license": {"name": "MIT or so they say"}}),
        ("MIT AND", {"license": {"name": "MIT AND"}}),
        ("( " * 90, {"license": {"name": ("( " * 90)}}),
        ("apache-2.0", {"license": {"name": "apache-2.0"}}),
        ("MIT AND LicenseRef-ü", {"license": {"name": "MIT AND LicenseRef-ü"}}),
    ],
)
def test_a_license_is_an_identifier_an_expression_or_a_name(name: str, choice: dict[str, Any]) -> None:
    assert license_choice(name) == choice


def test_unknown_licenses_are_left_out_and_each_is_named_once() -> None:
    found = license_choices(["MIT", "NOASSERTION", "", "MIT", " MIT\n"])
    assert found == [{"license": {"id": "MIT"}}]


def test_the_lack_of_a_license_is_not_left_out() -> None:
    assert license_choices(["NONE"]) == [{"license": {"name": "NONE"}}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://acme.example/a b", None),
        ("https://acme.example/a?b=c#d", "https://acme.example/a?b=c#d"),
        ("https://user:secret@acme.example/", None),
        ("javascript:alert(1)", None),
        ("https://acme.example/<x>", "https://acme.example/%3Cx%3E"),
        ("file:///etc/passwd", None),
    ],
)
def test_only_addresses_are_addresses(value: str, expected: str | None) -> None:
    assert url(value) == expected


def test_only_package_urls_are_package_urls() -> None:
    assert purl("pkg:pypi/torch@2.13.0") == "pkg:pypi/torch@2.13.0"
    assert [purl(each) for each in (None, "pkg:pypi/a b", "pkg:PyPI/a", "https://a")] == [None] * 4
    assert line(" a \x07 b\n") == "a b"
