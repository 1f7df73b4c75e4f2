"""From a run's folder to a package."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, RecipeError
from starfreight.files import sha256_file
from starfreight.gguf.keys import read_scalars
from starfreight.license_files import keep_in_run, read_beside_recipe
from starfreight.package import Descriptor, Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import verify_layout
from starfreight.recipe import PackageOptions, recipe_digest
from starfreight.records import FileDigest
from starfreight.run import Calibration, Run


def _read(out: Path, descriptor: Descriptor) -> bytes:
    return (out / "blobs" / "sha256" / descriptor.digest.removeprefix("sha256:")).read_bytes()


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_run_gives_the_same_bytes(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    build_package(run, tmp_path / "one", None, console)
    build_package(run, tmp_path / "two", None, console)
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")
    verify_layout(tmp_path / "one", console)


def test_nothing_half_made_is_left_beside_the_package(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    build_package(make_run(tmp_path), tmp_path / "packages" / "p", None, console)
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["p"]


def test_a_run_that_moved_is_packaged_with_a_base_that_is_named(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "there")
    first = build_package(run, tmp_path / "one", None, console)
    moved = tmp_path / "here"
    shutil.move(run, moved)
    shutil.move(tmp_path / "there" / "base", tmp_path / "elsewhere")
    second = build_package(moved, tmp_path / "two", tmp_path / "elsewhere", console)
    assert second == first


def test_a_run_without_the_list_of_its_inputs_needs_its_base_named(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    (run / "inputs.json").unlink()
    with pytest.raises(InputError, match="does not record the path of its base model") as refused:
        build_package(run, tmp_path / "p", None, console)
    assert refused.value.fix == "name the directory of base with --base"
    build_package(run, tmp_path / "p", tmp_path / "base", console)
    verify_layout(tmp_path / "p", console)


def test_what_is_built_already_is_not_announced(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    for announced in (True, False):
        build_package(run, tmp_path / "p", None, Console())
        said = capsys.readouterr().err
        assert ("Merging, converting" in said) is announced
        assert ("is built already" in said) is not announced


def test_another_base_than_the_run_had_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    weights = tmp_path / "base" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(GateError, match="not the one the adapter was trained on") as refused:
        build_package(run, tmp_path / "p", None, console)
    assert refused.value.where == str(weights)
    recorded = {file.path: file.digest for file in Run.load(run).base.files}["model.safetensors"]
    assert recorded in refused.value.what and sha256_file(weights) in refused.value.what
    assert not (tmp_path / "p").exists()
    weights.write_bytes(data + b"\0")
    with pytest.raises(GateError, match="bytes where the run recorded"):
        build_package(run, tmp_path / "p", None, console)


def test_a_run_without_any_license_text_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    with pytest.raises(GateError, match="text of the license MIT is missing"):
        build_package(make_run(tmp_path, license_text=None), tmp_path / "p", None, console)
    assert not (tmp_path / "p").exists()


def test_the_recipes_license_files_are_shipped_beside_the_bases(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, license="Apache-2.0", license_files=["OURS"])
    keep_in_run((b"Our license.\n",), run)
    package = build_package(run, tmp_path / "p", None, console)
    texts = {license.name: _read(tmp_path / "p", license.text) for license in package.licenses}
    assert texts == {"MIT": b"The license.\n", "Apache-2.0": b"Our license.\n"}


@pytest.mark.parametrize("status", ["prepared", "running", "stopped", "failed"])
def test_a_run_that_is_not_finished_is_refused(
    status: str, make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    Run.load(run).model_copy(update={"status": status}).save(run)
    with pytest.raises(InputError, match=status):
        build_package(run, tmp_path / "p", None, console)


def test_an_adapter_that_was_changed_after_training_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    with (run / "adapter" / "adapter_model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(GateError, match="adapter is not the run's"):
        build_package(run, tmp_path / "p", None, console)


def test_a_data_manifest_that_was_changed_after_training_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    (run / "data" / "manifest.json").write_text('{"version": 1, "sources": []}')
    with pytest.raises(GateError, match="data manifest is not the one"):
        build_package(run, tmp_path / "p", None, console)


def test_a_recipe_that_changed_makes_the_package_anew(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    build_package(run, tmp_path / "p", None, console)
    record = Run.load(run)
    recipe = record.recipe.model_copy(
        update={"package": record.recipe.package.model_copy(update={"system": "Be brief."})}
    )
    record.model_copy(update={"recipe": recipe, "recipe_digest": recipe_digest(recipe)}).save(run)
    package = build_package(run, tmp_path / "p", None, console)
    assert package.system is not None and _read(tmp_path / "p", package.system) == b"Be brief."
    verify_layout(tmp_path / "p", console)


def test_other_quantizations_than_the_recipes_can_be_asked_for(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    build_package(run, tmp_path / "p", None, console)
    package = build_package(run, tmp_path / "p", None, console, ("q4_0", "iq4_xs", "Q4_0"))
    assert [variant.quantization for variant in package.variants] == ["Q4_0", "IQ4_XS"]
    assert package.default == "Q4_0"
    definition = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["quantizations"] == ["Q4_0", "IQ4_XS"]
    verify_layout(tmp_path / "p", console)
    assert build_package(run, tmp_path / "p", None, console, ("q4_0", "iq4_xs")) == package
    with pytest.raises(RecipeError, match="Unknown quantization 'Q9'"):
        build_package(run, tmp_path / "other", None, console, ("Q9",))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("merge_base", ["original", "nf4_roundtrip"])
def test_the_package_says_what_the_adapter_was_merged_into(
    merge_base: str, make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path, merge={"base": merge_base}), tmp_path / "p", None, console)
    gguf = tmp_path / "p" / "blobs" / "sha256" / package.variants[0].gguf.digest.removeprefix("sha256:")
    assert read_scalars(gguf)["starfreight.merge_base"] == merge_base
    definition = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]["buildDefinition"]
    assert definition["internalParameters"]["mergeBase"] == merge_base
    assert f"(`{merge_base}`).".encode() in _read(tmp_path / "p", package.model_card)


def test_the_importance_matrix_of_the_run_is_used_and_named(
    make_run: Callable[..., Path],
    make_imatrix: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    import gguf

    run = make_run(tmp_path, quantizations=["Q4_K_M"], imatrix={"blocks": 1})
    with pytest.raises(GateError, match="importance matrix") as refused:
        build_package(run, tmp_path / "p", None, console)
    assert refused.value.where == str(run / "imatrix.gguf")
    path = make_imatrix(tmp_path / "base", run / "imatrix.gguf", datasets=("src",))
    digest, size = sha256_file(path), path.stat().st_size
    made = Calibration(
        imatrix=FileDigest(path="imatrix.gguf", digest=digest, size=size), blocks=1, tokens=1234
    )
    record = Run.load(run)
    assert record.outcome is not None
    outcome = record.outcome.model_copy(update={"tokens": 4 * record.recipe.training.sequence_length})
    record.model_copy(update={"calibration": made, "outcome": outcome}).save(run)
    package = build_package(run, tmp_path / "p", None, console)

    reader = gguf.GGUFReader(tmp_path / "p" / "blobs" / "sha256" / package.variants[0].gguf.digest[7:])
    assert reader.fields["quantize.imatrix.file"].contents() == "imatrix.gguf"
    assert reader.fields["quantize.imatrix.dataset"].contents() == "src"
    predicate = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]
    assert predicate["buildDefinition"]["internalParameters"]["imatrix"] == {"blocks": 1, "tokens": 1234}
    byproducts = {each["name"]: each["digest"]["sha256"] for each in predicate["runDetails"]["byproducts"]}
    assert byproducts["imatrix.gguf"] == digest.removeprefix("sha256:")
    card = _read(tmp_path / "p", package.model_card).decode()
    assert "on 1,234 tokens" in card and digest in card

    with path.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(GateError, match="importance matrix"):
        build_package(run, tmp_path / "p", None, console)


def test_a_package_without_an_importance_matrix_says_nothing_of_one(
    make_run: Callable[..., Path], make_imatrix: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    make_imatrix(tmp_path / "base", run / "imatrix.gguf")
    package = build_package(run, tmp_path / "p", None, console)
    assert b"importance" not in _read(tmp_path / "p", package.model_card)
    predicate = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]
    assert "imatrix" not in predicate["buildDefinition"]["internalParameters"]
    assert not any("imatrix" in each["name"] for each in predicate["runDetails"]["byproducts"])


def test_the_card_tells_the_figures_the_data_and_the_license(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(
        make_run(tmp_path, card={"title": "Tiny", "limitations": "All of them."}),
        tmp_path / "p",
        None,
        console,
    )
    card = _read(tmp_path / "p", package.model_card).decode()
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert 'license: "mit"' in front
    for word in ("# Tiny", "All of them.", "3.0000", "2.5000", "25.0%", "| `src` | MIT | 1 | 10 | 2 |"):
        assert word in body
    assert package.default_variant.gguf.digest in body
    assert str(tmp_path) not in card


def test_the_statement_is_in_totos_and_names_the_files_by_their_digests(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    statement = json.loads(_read(tmp_path / "p", package.provenance))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    digest = package.default_variant.gguf.digest.removeprefix("sha256:")
    assert statement["subject"] == [{"name": "tiny-Q8_0.gguf", "digest": {"sha256": digest}}]
    details = statement["predicate"]["runDetails"]
    assert details["metadata"] == {
        "invocationId": "tiny-0123456789",
        "startedOn": "2026-01-02T03:04:05Z",
        "finishedOn": "2026-01-02T03:14:05Z",
    }
    names = [each["name"] for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert {"base", "base/model.safetensors", "base/LICENSE", "data/manifest.json", "data/0"} <= set(names)
    assert {"training/torch", "packaging/numpy", "packaging/libggml-python"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_run_whose_data_manifest_an_earlier_release_wrote_can_still_be_packaged(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path, manifest_version=1), tmp_path / "p", None, console)
    assert "| `src` | BSD-3-Clause | 1 | 10 | 2 |" in _read(tmp_path / "p", package.model_card).decode()
    definition = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]["buildDefinition"]
    (source,) = (each for each in definition["resolvedDependencies"] if each["name"] == "data/0")
    assert source["annotations"]["licenses"] == {"BSD-3-Clause": {"samples": 1, "bytes": 10}}
    verify_layout(tmp_path / "p", console)


def test_the_statement_names_the_licenses_of_each_source_and_the_lists_of_the_manifest(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    definition = json.loads(_read(tmp_path / "p", package.provenance))["predicate"]["buildDefinition"]
    found = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert found["data/0"]["annotations"] == {
        "source": "./src",
        "format": "fim",
        "license": "BSD-3-Clause",
        "licenses": {"MIT": {"samples": 1, "bytes": 10}},
    }
    assert package.training_data is not None
    (left_out,) = package.training_data.lists
    assert found["data/left_out.jsonl"] == {
        "name": "data/left_out.jsonl",
        "digest": {"sha256": left_out.file.digest.removeprefix("sha256:")},
    }
    assert not any(name.startswith("data/0/") for name in found)


def test_the_facts_stand_inside_the_gguf_file_too(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    import gguf

    package = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    name = package.default_variant.gguf.digest.removeprefix("sha256:")
    reader = gguf.GGUFReader(tmp_path / "p" / "blobs" / "sha256" / name)
    facts = {key: field.contents() for key, field in reader.fields.items() if key.startswith("general.")}
    assert facts["general.license"] == "MIT"
    assert facts["general.base_model.0.name"] == "base"
    assert facts["general.dataset.0.name"] == "src"


def test_a_package_record_survives_a_round_trip(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    built = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    assert Package.load(tmp_path / "p") == built


def test_a_license_file_of_a_run_from_elsewhere_brings_no_file_of_this_machine(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for the world")
    run = make_run(tmp_path, license_files=[str(secret)])
    with pytest.raises(InputError, match="license does not exist"):
        build_package(run, tmp_path / "p", None, console)
    (run / "licenses").mkdir()
    (run / "licenses" / "0.txt").symlink_to(secret)
    with pytest.raises(InputError, match="symbolic link"):
        build_package(run, tmp_path / "p", None, console)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "inside/../../outside"])
def test_a_license_file_outside_the_recipes_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (tmp_path / "recipe" / "inside").mkdir(parents=True)
    with pytest.raises(RecipeError, match="is outside the recipe's directory"):
        read_beside_recipe(PackageOptions(license_files=(name,)), tmp_path / "recipe")


def test_two_builds_at_once_end_with_one_whole_package(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    outcomes: list[str] = []

    def build() -> None:
        try:
            build_package(run, tmp_path / "packages" / "p", None, console)
            outcomes.append("built")
        except InputError as error:
            outcomes.append(error.what)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "built" in outcomes
    assert all(outcome == "built" or "Another process is already" in outcome for outcome in outcomes)
    verify_layout(tmp_path / "packages" / "p", console)


@pytest.mark.parametrize("ship", ["merged", "adapter"])
def test_the_base_model_is_opened_once(
    ship: str, make_run: Callable[..., Path], console: Console, tmp_path: Path, config_reads: list[Path]
) -> None:
    build_package(make_run(tmp_path, ship=ship), tmp_path / "p", None, console)
    assert config_reads == [tmp_path / "base" / "config.json"]
