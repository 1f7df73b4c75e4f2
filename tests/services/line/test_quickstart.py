"""What `starfreight quickstart` promises."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.gguf.local_model import LocalModel
from starfreight.package import Package
from starfreight.packager.layout import verify_layout
from starfreight.run import Run


def _blob(quickstart: Any, digest: str) -> Path:
    return (
        quickstart.folder / quickstart.said["package"] / "blobs" / "sha256" / digest.removeprefix("sha256:")
    )


def _statement(quickstart: Any) -> dict[str, Any]:
    package = Package.load(quickstart.folder / quickstart.said["package"])
    statement: dict[str, Any] = json.loads(_blob(quickstart, package.provenance.digest).read_bytes())
    return statement


def test_it_prints_one_json_object_with_the_promised_keys(quickstart: Any) -> None:
    promised = {
        "base", "run", "package", "held_out_loss_before", "held_out_loss_after", "completion", "seconds",
    }  # fmt: skip
    assert promised <= set(quickstart.said)
    assert quickstart.said["seconds"] > 0


def test_the_gain_on_held_out_code_is_plain(quickstart: Any) -> None:
    before, after = quickstart.said["held_out_loss_before"], quickstart.said["held_out_loss_after"]
    assert after < before - 0.3, "nats per token"
    # Chance would be log(vocabulary): the base has learned something, and the tuned model more.
    assert before < math.log(2048)
    assert quickstart.said["exact_match_after"] > quickstart.said["exact_match_before"]


def test_the_packaged_file_is_evaluated_beside_the_base_model(quickstart: Any) -> None:
    tuned, base = quickstart.said["evaluations"]
    assert base["model"]["name"] == f"{tuned['model']['name']}-base"
    package = Package.load(quickstart.folder / quickstart.said["package"])
    assert tuned["model"]["gguf"] == package.default_variant.gguf.digest
    values = [
        figure["value"]
        for each in (tuned, base)
        for result in each["results"]
        for figure in result["figures"]
        if (figure["name"], figure["part"]) == ("perplexity", "")
    ]
    assert values[0] < values[1]
    page = (quickstart.folder / quickstart.said["comparison"]).read_text()
    assert "edit_similarity" in page and "<script" not in page


def test_the_held_out_files_are_not_trained_on(quickstart: Any) -> None:
    manifest = json.loads(
        (quickstart.folder / quickstart.said["run"] / "data" / "manifest.json").read_bytes()
    )
    sides: dict[str, set[str]] = {"train": set(), "held_out": set()}
    for source in manifest["sources"]:
        for file in source["files"]:
            sides[file["split"]].add(file["digest"])
    assert sides["train"] and sides["held_out"]
    assert not sides["train"] & sides["held_out"]


def test_the_package_is_whole_and_holds_both_quantizations(quickstart: Any, console: Console) -> None:
    folder = quickstart.folder / quickstart.said["package"]
    assert verify_layout(folder, console).problems == ()
    package = Package.load(folder)
    assert [variant.quantization for variant in package.variants] == ["Q4_K_M", "Q8_0"]
    assert package.default == "Q4_K_M"
    assert [license.name for license in package.licenses] == ["PSF-2.0"]


def test_q4_k_m_really_has_k_quants(quickstart: Any) -> None:
    import gguf

    package = Package.load(quickstart.folder / quickstart.said["package"])
    reader = gguf.GGUFReader(_blob(quickstart, package.default_variant.gguf.digest))
    kinds = {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) == 2}
    assert kinds == {"Q4_K", "Q6_K"}


def test_the_provenance_names_every_input_with_its_digest(quickstart: Any) -> None:
    statement = _statement(quickstart)
    run = Run.load(quickstart.folder / quickstart.said["run"])
    package = Package.load(quickstart.folder / quickstart.said["package"])
    assert {subject["digest"]["sha256"] for subject in statement["subject"]} == {
        variant.gguf.digest.removeprefix("sha256:") for variant in package.variants
    }
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    named = {each["name"]: each["digest"]["sha256"] for each in dependencies if "digest" in each}
    manifest = json.loads(
        (quickstart.folder / quickstart.said["run"] / "data" / "manifest.json").read_bytes()
    )
    expected = {f"base/{file.path}": file.digest for file in run.base.files}
    expected["base"] = run.base.digest
    expected["data/manifest.json"] = run.data_manifest.digest
    expected["data/left_out.jsonl"] = manifest["left_out"]["digest"]
    sources = {each["name"]: each.get("annotations") for each in dependencies}
    for number, source in enumerate(manifest["sources"]):
        assert sources[f"data/{number}"]["licenses"] == source["licenses"]
    assert package.training_data is not None
    assert package.training_data.manifest.digest == run.data_manifest.digest
    assert named == {name: digest.removeprefix("sha256:") for name, digest in expected.items()}
    assert named["base/model.safetensors"] == sha256_file(STARTER_FOLDER / "model.safetensors").removeprefix(
        "sha256:"
    )


def test_nothing_that_is_shipped_names_a_place_on_this_machine(quickstart: Any) -> None:
    folder = quickstart.folder / quickstart.said["package"]
    places = [str(quickstart.folder).encode(), str(Path.home()).encode() + b"/", str(STARTER_FOLDER).encode()]
    for path in [*folder.rglob("*.json"), *(folder / "blobs" / "sha256").iterdir()]:
        data = path.read_bytes()
        assert not [place for place in places if place in data], path


def test_the_quantised_file_completes_what_was_shown(quickstart: Any) -> None:
    package = Package.load(quickstart.folder / quickstart.said["package"])
    shown = quickstart.said["completion"]
    with LocalModel(_blob(quickstart, package.default_variant.gguf.digest), threads=1) as model:
        assert model.fill(shown["prefix"], shown["suffix"], max_tokens=32).text == shown["middle"]
    assert shown["middle"].strip()


def test_the_loss_plot_is_a_picture(quickstart: Any) -> None:
    assert (quickstart.folder / quickstart.said["loss_plot"]).read_bytes().startswith(b"\x89PNG")


def test_the_same_command_again_does_nothing_again(
    quickstart: Any, starfreight: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    record = quickstart.folder / quickstart.said["run"] / "run.json"
    manifest = quickstart.folder / quickstart.said["package"] / "package.json"
    times = record.stat().st_mtime_ns, manifest.stat().st_mtime_ns
    done = starfreight("quickstart", "--out", "q", cwd=quickstart.folder)
    assert "is finished already" in done.stderr and "is built already" in done.stderr
    assert (record.stat().st_mtime_ns, manifest.stat().st_mtime_ns) == times
    # The last lines say what lies where, and what to type next.
    assert re.search(r"Next:\n  \S*starfreight package inspect", done.stdout)
    assert quickstart.said["package"] in done.stdout


def test_a_package_that_lost_a_byte_is_refused_and_then_built_again(
    quickstart: Any, starfreight: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run = quickstart.folder / quickstart.said["run"]
    first = json.loads(starfreight("package", "build", run, "--out", "p", "--json", cwd=tmp_path).stdout)
    digests = {variant["quantization"]: variant["digest"] for variant in first["variants"]}
    blob = tmp_path / "p" / "blobs" / "sha256" / digests["Q8_0"].removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    refused = starfreight("package", "verify", "p", "--json", cwd=tmp_path, code=3)
    assert blob.name in json.loads(refused.stdout)["error"]["where"]
    again = json.loads(starfreight("package", "build", run, "--out", "p", "--json", cwd=tmp_path).stdout)
    assert again == first
    starfreight("package", "verify", "p", cwd=tmp_path)


@pytest.mark.parametrize("what", ["plain", "json"])
def test_inspect_shows_what_is_in_it(
    what: str, quickstart: Any, starfreight: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    options = ["--json"] if what == "json" else []
    done = starfreight("package", "inspect", quickstart.said["package"], *options, cwd=quickstart.folder)
    for word in ("Q4_K_M", "Q8_0", "PSF-2.0", "builtin:starter"):
        assert word in done.stdout
