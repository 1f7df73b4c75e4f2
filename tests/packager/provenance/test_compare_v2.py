"""A statement of version 2 that was changed and hashed again, and still fits neither package nor recipe."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_training_data import read_training_data
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import examine_layout
from starfreight.packager.layout.rebuild import read_credits
from starfreight.packager.provenance.compare import PackageSources, statement_problems
from starfreight.packager.provenance.recorded import parse_provenance
from starfreight.packager.provenance.statement import as_bytes

HEX = "0" * 64
Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A package of a run in an image, with an origin and without its models: they are not looked at here."""
    golden = Path(__file__).parents[2] / "golden"
    root = tmp_path_factory.mktemp("built")
    run = shutil.copytree(golden / "finished-runs" / "golden-fim-de8303b786", root / "run")
    record = json.loads((run / "run.json").read_bytes())
    record["image"] = f"sha256:{'1' * 64}"
    record["origin"] = {
        "source": {"uri": "git+https://github.com/acme/coder", "commit": "a" * 40, "dirty": False},
        "invoker": {"ci": "github-actions", "repository": "https://github.com/acme/coder"},
    }
    (run / "run.json").write_text(json.dumps(record))
    build_package(run, root / "p", golden / "inputs" / "base", Console(quiet=True))
    return root / "p"


@pytest.fixture(scope="module")
def parts(built: Path) -> tuple[bytes, Package, PackageSources, DataManifest | None]:
    package, layout = Package.load(built), ImageLayout(built)
    credits = read_credits(layout, package)
    named = {"template": package.template, "settings": package.settings, "system": package.system}
    texts = {name: layout.read(part) for name, part in named.items() if part is not None}
    links = (credits.doc_url, credits.dataset_urls)
    sources = PackageSources(credits.authors, credits.source_url, texts, links)
    return layout.read(package.provenance), package, sources, read_training_data(built, package)


def problems(parts: tuple[bytes, Package, PackageSources, DataManifest | None], data: bytes) -> list[str]:
    return list(statement_problems(data, *parts[1:]))


def build(statement: Any) -> Any:
    return statement["predicate"]["buildDefinition"]


def details(statement: Any) -> Any:
    return statement["predicate"]["runDetails"]


def resource(statement: Any, name: str) -> Any:
    return next(each for each in build(statement)["resolvedDependencies"] if each["name"] == name)


def on(name: str, change: Change) -> Change:
    return lambda statement: change(resource(statement, name))


def without(name: str) -> Change:
    return lambda s: build(s)["resolvedDependencies"].remove(resource(s, name))


def added(**values: Any) -> Change:
    return lambda s: build(s)["resolvedDependencies"].append(values)


def recipe(change: Change) -> Change:
    return lambda s: change(build(s)["externalParameters"]["recipe"])


FIRST = "data/0"
CHANGES: dict[str, tuple[Change, str]] = {
    "another build type": (
        lambda s: build(s).update(buildType="https://starfreight.dev/build-types/lora-gguf/v2"),
        "another build type",
    ),
    "an unknown build type": (
        lambda s: build(s).update(buildType="https://starfreight.dev/build-types/qlora-gguf/v3"),
        "unknown build type",
    ),
    "a build type that is a list": (lambda s: build(s).update(buildType=["x"]), "unknown build type"),
    "version 1 instead": (
        lambda s: build(s).update(buildType="urn:starfreight:build:qlora-gguf:v1"), "is of version 1",
    ),
    "an unknown key at the top": (lambda s: s.update(more=1), "not in the form of version 2: 'more'"),
    "an unknown key of the predicate": (lambda s: s["predicate"].update(x=1), "form of version 2"),
    "an unknown parameter": (lambda s: build(s)["externalParameters"].update(x=1), "form of version 2"),
    "an unknown internal one": (lambda s: build(s)["internalParameters"].update(x=1), "form of version 2"),
    "an unknown key of the run": (lambda s: details(s).update(x=1), "form of version 2"),
    "an unknown key of the machine": (
        lambda s: build(s)["internalParameters"]["machine"].update(host="build-7"), "form of version 2",
    ),
    "an unknown key of the invoker": (
        lambda s: details(s)["starfreight_invoker"].update(actor="jane"), "form of version 2",
    ),
    "an unknown key of a dependency": (on("base", lambda r: r.update(x=1)), "form of version 2"),
    "an unknown digest": (on("base", lambda r: r["digest"].update(md5="0" * 32)), "form of version 2"),
    "a SWHID as a digest": (on("base", lambda r: r["digest"].update(swhid="swh:1:cnt:0")), "form of version"),
    "a digest in capitals": (on("base", lambda r: r["digest"].update(sha256="A" * 64)), "form of version 2"),
    "a key in another case": (lambda s: s.update(Subject=s.pop("subject")), "has no subject|ambiguous"),
    "a dependency's key in another case": (
        on("base", lambda r: r.update(Digest=r.pop("digest"))), "form of version 2",
    ),
    "no dependencies": (lambda s: build(s).pop("resolvedDependencies"), "form of version 2"),
    "another seed": (
        lambda s: build(s)["internalParameters"]["seeds"].update(training=1), "another seed",
    ),
    "a seed that is a float": (
        lambda s: build(s)["internalParameters"]["seeds"].update(training=42.0), "form of version 2",
    ),
    "other weights to merge into": (
        lambda s: build(s)["internalParameters"].update(mergeBase="nf4_roundtrip"), "other weights",
    ),
    "an importance matrix": (
        lambda s: build(s)["internalParameters"].update(imatrix={"blocks": 1, "tokens": 1}),
        "another importance matrix",
    ),
    "a byproduct more": (
        lambda s: details(s)["byproducts"].append({"name": "x", "digest": {"sha256": HEX}}),
        "other byproducts",
    ),
    "a byproduct twice": (
        lambda s: details(s)["byproducts"].append(details(s)["byproducts"][0]), "each once",
    ),
    "no byproducts": (lambda s: details(s)["byproducts"].clear(), "files of the adapter"),
    "a byproduct without a digest": (lambda s: details(s)["byproducts"][0].pop("digest"), "by its digest"),
    "an end in another zone": (
        lambda s: details(s)["metadata"].update(finishedOn="2026-01-01T00:00:00+01:00"), "form of version 2",
    ),
    "a begin after the end": (
        lambda s: details(s)["metadata"].update(startedOn="2999-01-01T00:00:00Z"), "before it began",
    ),
    "another builder": (
        lambda s: details(s)["builder"].update(id="https://starfreight.dev/builders/local"),
        "another builder",
    ),
    "another version of the builder": (
        lambda s: details(s)["builder"]["version"].update(starfreight="9"), "two versions of Starfreight",
    ),
    "no base model": (without("base"), "another base model"),
    "another base model": (on("base", lambda r: r["annotations"].update(model="x/y")), "another base model"),
    "another license of the base": (
        on("base", lambda r: r["annotations"].update(license="MIT-0")), "another license",
    ),
    "a base with an address": (
        on("base", lambda r: r.update(uri="pkg:huggingface/bigcode/starcoder2-3b@" + "0" * 40)),
        "another base model",
    ),
    "another digest of the base": (
        on("base", lambda r: r["digest"].update(sha256=HEX)), "another base model",
    ),
    "another file of the base": (
        on("base/model.safetensors", lambda r: r["digest"].update(sha256=HEX)), "other files of the base",
    ),
    "a file of the base less": (without("base/model.safetensors"), "other files of the base"),
    "a file of the base more": (
        added(name="base/x", digest={"sha256": HEX}, annotations={"size": 1}), "other files of the base",
    ),
    "a file of the base with a path that climbs": (
        added(name="base/../x", digest={"sha256": HEX}, annotations={"size": 1}), "without a path",
    ),
    "a file of the base without a size": (
        on("base/config.json", lambda r: r.pop("annotations")), "or a size",
    ),
    "a file of the base with an address": (
        on("base/config.json", lambda r: r.update(uri="https://example.org/")), "other facts",
    ),
    "no data manifest": (without("data/manifest.json"), "does not name the data manifest"),
    "another data manifest": (
        on("data/manifest.json", lambda r: r["digest"].update(sha256=HEX)), "another data manifest",
    ),
    "another list": (
        on("data/left_out.jsonl", lambda r: r["digest"].update(sha256=HEX)), "other lists of the data",
    ),
    "a list less": (without("data/left_out.jsonl"), "other lists of the data"),
    "a list more": (
        added(name="data/records-7.jsonl", digest={"sha256": HEX}), "other lists of the data",
    ),
    "a source less": (without(FIRST), "other sources"),
    "a source more": (added(name="data/9", uri="urn:x:y", annotations={}), "other sources"),
    "a license that was rewritten": (
        on(FIRST, lambda r: r["annotations"].update(
            licenses={"CC0-1.0": next(iter(r["annotations"]["licenses"].values()))})),
        "other licenses of the source data.0",
    ),
    "a license with another count": (
        on(FIRST, lambda r: next(iter(r["annotations"]["licenses"].values())).update(samples=1_000)),
        "other licenses of the source data.0",
    ),
    "no licenses": (on(FIRST, lambda r: r["annotations"].update(licenses={})), "other licenses"),
    "another license of the source": (
        on(FIRST, lambda r: r["annotations"].update(license="0BSD")), "otherwise than its recipe",
    ),
    "another name of the source": (
        on(FIRST, lambda r: r["annotations"].update(source="git:x")), "otherwise than its recipe",
    ),
    "another address of the source": (
        on(FIRST, lambda r: r.update(uri="git+https://github.com/x/y")), "otherwise than its recipe",
    ),
    "a source with a digest": (
        on(FIRST, lambda r: r.update(digest={"gitCommit": "0" * 40})), "otherwise than its recipe",
    ),
    "a source without facts": (on(FIRST, lambda r: r.pop("annotations")), "no valid facts"),
    "a source with a fact more": (on(FIRST, lambda r: r["annotations"].update(x=1)), "no valid facts"),
    "a data file": (added(name="data/0/a.py", digest={"sha256": HEX}), "unknown dependency 'data/0/a.py'"),
    "an unknown dependency": (added(name="more", uri="pkg:pypi/more@1"), "unknown dependency 'more'"),
    "a dependency in another case": (added(name="Base", digest={"sha256": HEX}), "unknown dependency 'Base'"),
    "a dependency twice": (
        lambda s: build(s)["resolvedDependencies"].append(dict(resource(s, "base"))), "is ambiguous",
    ),
    "a contradiction": (
        added(name="data/manifest.json", digest={"sha256": HEX}), "called 'data/manifest.json'",
    ),
    "an image without a digest": (
        lambda s: resource(s, "image/trainer").update(digest={"gitCommit": "0" * 40}), "'image/trainer'",
    ),
    "a third image": (added(name="image/other", digest={"sha256": HEX}), "unknown dependency"),
    "a library with another name": (
        on("packaging/numpy", lambda r: r.update(uri="pkg:pypi/numpi@1")), "'packaging/numpy'",
    ),
    "a library without a version": (
        on("training/torch", lambda r: r.update(uri="pkg:pypi/torch")), "'training/torch'",
    ),
    "a repository with a password": (
        on("recipe", lambda r: r.update(uri="git+https://a:b@github.com/acme/coder")), "'recipe'",
    ),
    "a repository by SHA-256 of something": (
        on("recipe", lambda r: r.update(digest={"sha256": HEX})), "'recipe'",
    ),
    "an invoker with a password": (
        lambda s: details(s)["starfreight_invoker"].update(repository="https://a:b@github.com/acme/coder"),
        "form of version 2",
    ),
    "another recipe": (recipe(lambda r: r["training"].update(seed=7)), "recipe with another digest"),
}  # fmt: skip


def test_the_statement_as_it_was_built_has_no_problems(parts: Any) -> None:
    assert problems(parts, parts[0]) == []


def test_a_package_that_lost_its_data_manifest_is_found(parts: Any) -> None:
    data, package, sources, _ = parts
    fewer = package.model_copy(update={"training_data": None})
    found = list(statement_problems(data, fewer, sources, None))
    assert found == ["names a data manifest that the package lacks"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_statement_does_not_fit(name: str, parts: Any) -> None:
    change, said = CHANGES[name]
    statement = json.loads(parts[0])
    change(statement)
    assert as_bytes(statement) != parts[0]
    found = problems(parts, as_bytes(statement))
    assert any(re.search(said, each) for each in found), found


FORMS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "without its spaces": (lambda d: json.dumps(json.loads(d)).encode(), "not written as packages are"),
    "with a last line more": (lambda d: d + b"\n", "not written as packages are"),
    "with a number written otherwise": (
        lambda d: d.replace(b'"training": 42', b'"training": 4.2e1'), "form of version 2",
    ),
    "with a number beyond all": (
        lambda d: d.replace(b'"seconds": ', b'"seconds": 1e999, "x": '), "form of version 2",
    ),
    "with a name twice": (
        lambda d: d.replace(b'{\n "_type"', b'{\n "_type": "x",\n "_type"'), "not valid JSON",
    ),
    "with a name in two cases": (
        lambda d: d.replace(b'"buildType"', b'"BuildType": 1, "buildType"'), "not valid JSON",
    ),
    "with a byte order mark": (lambda d: b"\xef\xbb\xbf" + d, "not valid JSON"),
    "with a NaN": (lambda d: d.replace(b'"seconds": ', b'"seconds": NaN, "x": '), "not valid JSON"),
    "nested without end": (lambda d: b"[" * 200_000, "not valid JSON"),
    "with dependencies nested deeply": (
        lambda d: d.replace(
            b'"resolvedDependencies": [',
            b'"resolvedDependencies": [{"name": "x", "annotations": {"y": ' + b"[" * 99 + b"]" * 99 + b"}},",
        ),
        "form of version 2|unknown dependency",
    ),
    "that is cut": (lambda d: d[: len(d) // 2], "not valid JSON"),
    "that is empty": (lambda d: b"", "not valid JSON"),
    "that is a number": (lambda d: b"1", "has no _type"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_statement_in_another_form_is_refused(name: str, parts: Any) -> None:
    change, said = FORMS[name]
    changed = change(parts[0])
    assert changed != parts[0]
    found = problems(parts, changed)
    assert any(re.search(said, each) for each in found), found


def test_a_source_of_another_number_of_samples_in_the_manifest_is_found(parts: Any) -> None:
    data, package, sources, training = parts
    assert training is not None
    (first, *others) = training.sources
    changed = replace(training, sources=(first.model_copy(update={"licenses": {}}), *others))
    found = list(statement_problems(data, package, sources, changed))
    assert found == ["names other licenses of the source data.0 than the data manifest"]


def test_the_claims_can_be_read(parts: Any) -> None:
    found = parse_provenance(parts[0])
    assert (found.version, found.method, found.seeds) == (2, "qlora", {"training": 42})
    assert found.images["trainer"] == f"sha256:{'1' * 64}"
    assert found.builder == "https://starfreight.dev/builders/container"
    assert found.source_commit is not None
    assert (found.source_commit.commit, found.source_commit.dirty) == ("a" * 40, False)
    assert found.invoker == {"ci": "github-actions", "repository": "https://github.com/acme/coder"}
    assert found.base is not None and found.base.digest == parts[1].base.digest
    assert found.data_manifest == parts[1].training_data.manifest.digest
    assert set(found.data_lists) == {each.path for each in parts[1].training_data.lists}
    assert [each.number for each in found.sources] == list(range(len(found.recipe.data)))
    assert found.versions.keys().isdisjoint({"packaging/numpy", "base"}) and "torch" in found.versions
    assert "libggml-python" in found.packaging_versions
    assert list(found.data_files()) == []


def test_the_package_verifies(built: Path, console: Console) -> None:
    assert examine_layout(built, console).problems == ()
