"""``package.ship: adapter``: the base as everybody has it, and beside it what makes it the tuned model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from starfreight.console import Console
from starfreight.errors import GateError, RecipeError
from starfreight.gguf.keys import read_scalars
from starfreight.gguf.local_model import LocalModel
from starfreight.package import PACKAGE_FILE, Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.cli import package as command
from starfreight.packager.layout import ImageLayout, verify_layout
from starfreight.recipe import recipe_digest, validate_recipe
from starfreight.run import Inputs, Run

TOKENS = [5, 90, 1, 100, 350, 60, 3, 77, 30, 2]


def blob(folder: Path, digest: str) -> Path:
    return ImageLayout(folder).blob_path(digest)


def likely(gguf: Path, adapter: Path | None = None) -> dict[int, float]:
    with LocalModel(gguf, adapter=adapter, threads=1) as model:
        return model.next_tokens(TOKENS, 400)


def furthest(one: dict[int, float], other: dict[int, float]) -> float:
    return max(abs(one[token] - other[token]) for token in range(400))


def test_base_and_adapter_complete_as_the_merged_model_does(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    ways = {}
    for ship in ("merged", "adapter"):
        run = make_run(tmp_path / ship, ship=ship, quantizations=["F32"])
        ways[ship] = build_package(run, tmp_path / f"{ship}-package", None, console)
    merged = likely(blob(tmp_path / "merged-package", ways["merged"].default_variant.gguf.digest))
    built, folder = ways["adapter"], tmp_path / "adapter-package"
    base = blob(folder, built.default_variant.gguf.digest)
    assert built.adapter is not None
    # Merging rounds to the base's bfloat16 once; beside the base, the adapter is not rounded so.
    beside = furthest(likely(base, blob(folder, built.adapter.digest)), merged)
    alone = furthest(likely(base), merged)
    assert beside < 0.02
    assert alone > 10 * beside
    assert ways["merged"].adapter is None


def test_every_package_of_a_base_holds_the_same_base_file(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    """Whatever a recipe calls its base, its license and itself."""
    one = make_run(tmp_path / "one", ship="adapter", quantizations=["Q8_0", "Q4_K_M"])
    other = make_run(
        tmp_path / "other",
        ship="adapter",
        quantizations=["Q8_0", "Q4_K_M"],
        license="Apache-2.0",
        card={"title": "Another", "description": "Other words.", "url": "https://a.example"},
    )
    (tmp_path / "other" / "base").rename(tmp_path / "other" / "a-model")
    record = Run.load(other)
    said = record.recipe.model_dump(mode="json") | {
        "name": "another",
        "base": {"model": "./a-model", "license": "Apache-2.0"},
    }
    recipe = validate_recipe(said, "recipe")
    base = record.base.model_copy(update={"model": "./a-model", "license": "Apache-2.0"})
    record.model_copy(
        update={
            "id": "another-0123456789",
            "recipe": recipe,
            "recipe_digest": recipe_digest(recipe),
            "base": base,
        }
    ).save(other)
    Inputs(version=1, recipe_folder=str(tmp_path / "other"), base="gone", data=()).save(other)
    packages = [build_package(run, run.parent.parent / "p", None, console) for run in (one, other)]
    assert [v.gguf for v in packages[0].variants] == [v.gguf for v in packages[1].variants]
    assert packages[0].adapter != packages[1].adapter
    assert packages[0].base.name != packages[1].base.name


def test_the_package_names_the_adapter_wherever_it_names_the_model(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, ship="adapter", quantizations=["Q8_0", "Q4_0"])
    built = build_package(run, tmp_path / "p", None, console)
    assert Package.load(tmp_path / "p") == built
    assert built.adapter is not None
    assert verify_layout(tmp_path / "p", console).problems == ()
    layout = ImageLayout(tmp_path / "p")
    for variant in built.variants:
        ollama, modelpack = (json.loads(layout.read(each.manifest))["layers"] for each in variant.manifests)
        kinds = [layer["mediaType"].rpartition(".")[2] for layer in ollama]
        assert kinds == ["model", "adapter", "template", "params", "license"]
        assert [layer["digest"] for layer in ollama[:2]] == [variant.gguf.digest, built.adapter.digest]
        paths = {layer["annotations"]["org.cncf.model.filepath"]: layer["digest"] for layer in modelpack}
        assert paths[f"0-tiny-base-{variant.quantization}.gguf"] == variant.gguf.digest
        assert paths["1-tiny-F16-LoRA.gguf"] == built.adapter.digest
    statement = json.loads(layout.read(built.provenance))
    assert {each["name"]: "sha256:" + each["digest"]["sha256"] for each in statement["subject"]} == {
        "tiny-base-Q8_0.gguf": built.variants[0].gguf.digest,
        "tiny-base-Q4_0.gguf": built.variants[1].gguf.digest,
        "tiny-F16-LoRA.gguf": built.adapter.digest,
    }
    assert statement["predicate"]["buildDefinition"]["internalParameters"]["mergeBase"] is None
    card = layout.read(built.model_card).decode()
    assert "llama-server --model tiny-base-Q8_0.gguf --lora tiny-F16-LoRA.gguf" in card
    assert built.adapter.digest in card and "merged into nothing" in card
    shown = CliRunner().invoke(command, ["inspect", str(tmp_path / "p")])
    assert f"{built.adapter.digest} (beside the base" in shown.output


def test_the_same_run_gives_the_same_bytes(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, ship="adapter")
    for name in ("one", "two"):
        build_package(run, tmp_path / name, None, console)
    trees = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    ]
    assert trees[0] == trees[1]


def test_a_manifest_without_the_adapter_of_the_record_is_noticed(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    build_package(make_run(tmp_path), tmp_path / "p", None, console)
    path = tmp_path / "p" / PACKAGE_FILE
    data = json.loads(path.read_bytes())
    adapter = data["model_card"] | {"media_type": data["variants"][0]["gguf"]["media_type"]}
    path.write_text(json.dumps(data | {"adapter": adapter}))
    with pytest.raises(GateError, match="does not have the manifests of this version"):
        verify_layout(tmp_path / "p", console)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"merge": {"base": "nf4_roundtrip"}}, "merge.base: nf4_roundtrip"),
        ({"imatrix": {"blocks": 4}}, "imatrix"),
    ],
)
def test_a_base_that_was_made_for_one_adapter_is_not_shared(
    given: dict[str, Any], named: str, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"has both ship: adapter and {named}"):
        make_run(tmp_path, ship="adapter", **given)


def test_the_files_say_where_the_tuned_model_is_made_when_the_recipe_does(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    links = {
        "url": "https://acme.example/coder",
        "repository": "https://git.acme.example/coder",
        "doi": "10.5281/zenodo.1234",
    }
    source = {
        "general.source.url": links["url"],
        "general.source.repo_url": links["repository"],
        "general.source.doi": links["doi"],
    }

    def keys(folder: Path, digest: str) -> dict[str, Any]:
        found = read_scalars(blob(folder, digest))
        return {key: value for key, value in found.items() if key.startswith(("general.", "starfreight."))}

    for number, (ship, card) in enumerate((s, c) for s in ("merged", "adapter") for c in (links, {})):
        folder = tmp_path / f"p{number}"
        built = build_package(make_run(tmp_path / str(number), ship=ship, card=card), folder, None, console)
        model = keys(folder, built.default_variant.gguf.digest)
        tuned = keys(folder, built.adapter.digest) if built.adapter else model
        given = {key: value for key, value in tuned.items() if "source" in key}
        assert given == (source if card else {})
        assert tuned["general.name"] == "tiny" and tuned["general.license"] == "MIT"
        if built.adapter:
            assert tuned["general.base_model.0.name"] == "base"
            assert set(model) == {
                "general.architecture", "general.type", "general.size_label",
                "general.quantization_version", "general.file_type",
            }  # fmt: skip
        manifest = json.loads(ImageLayout(folder).read(built.default_variant.manifests[1].manifest))
        label = manifest["annotations"].get("org.opencontainers.image.source")
        assert label == (links["repository"] if card else None)
        assert (links["doi"] in ImageLayout(folder).read(built.model_card).decode()) == bool(card)


@pytest.mark.parametrize(
    "card", [{"url": "javascript:alert(1)"}, {"repository": "https://a b"}, {"doi": "doi:10.1/x"}]
)
def test_what_is_no_link_is_refused(
    card: dict[str, str], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=rf"package\.card\.{next(iter(card))}"):
        make_run(tmp_path, card=card)
