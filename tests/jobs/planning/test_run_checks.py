"""``plan`` and ``run`` refuse the same recipes with the same errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_jobs import ALL_ALIKE

from starfreight.cli import main

SOURCE = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}


@pytest.fixture
def base(tmp_path: Path, bases: Mapping[str, Path]) -> Path:
    """A base model beside the recipe, with a license text."""
    folder = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    (folder / "LICENSE").write_text("MIT License\n")
    return folder


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """Runs a command and gives its exit code and its error object."""

    def run(*words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out).get("error")

    return run


def _records(folder: Path, *records: Mapping[str, Any]) -> None:
    (folder / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))


BROKEN: dict[str, dict[str, Any]] = {
    "base not there": {"base": {"model": "./nowhere", "license": "MIT"}},
    "base without a license": {"base": {"model": "./base"}},
    "hub id without a revision": {"base": {"model": "acme/coder", "license": "MIT"}},
    "unknown built-in model": {"base": {"model": "builtin:large"}},
    "directory without a model": {"base": {"model": "./code", "license": "MIT"}},
    "sequence too long": {"training": {"sequence_length": 257}},
    "unknown module": {"training": {"target_modules": ["c_attn"]}},
    "processes that cannot share a step": {"run": {"processes": 3}},
    "license file missing": {"package": {"license_files": ["./nothing.txt"]}},
    "license file elsewhere": {"package": {"license_files": ["../other.txt"]}},
    "reference without a tag": {"publish": {"reference": "ghcr.io/acme/coder"}},
    "source missing": {"data": SOURCE | {"source": "./cod"}},
    "source of another kind": {"data": SOURCE | {"source": "./recipe.json"}},
    "license unknown to SPDX": {"data": SOURCE | {"license": "MTI"}},
    "license forgotten": {"data": {"source": "./code", "filters": ALL_ALIKE}},
    "repositories in a file": {"data": SOURCE | {"source": "./pairs.jsonl", "repositories": "subfolders"}},
    "git without a revision": {"data": SOURCE | {"source": "git:https://localhost/acme/code"}},
    "package not installed": {"data": SOURCE | {"source": "python:no_such_package"}},
    "include selects nothing": {"data": SOURCE | {"include": ["*.rs"]}},
    "exclude leaves nothing": {"data": SOURCE | {"exclude": ["*"]}},
    "column missing": {"data": SOURCE | {"source": "./pairs.jsonl", "columns": {"content": "body"}}},
    "opt-out list missing": {"data": SOURCE | {"filters": {"opt_out": "./list.txt"}}},
    "evaluation set missing": {"data": SOURCE | {"filters": {"evaluation_sets": ["./evaluation"]}}},
    "nothing to hold out": {"data": SOURCE | {"include": ["basket_1.py"]}},
    "unknown suite": {"evaluate": {"suites": {"fmi": {}}}},
    "the same completion twice": {"evaluate": {"suites": {"fim": {"samples": 2}}}},
    "rule of an unknown suite": {"package": {"quality": ["fmi/exact_match >= 1%"]}},
    "template that Ollama refuses": {"package": {"template": "{{ .Prompt"}},
}
"""Refusals of ``run`` that a plan can know: each key of a recipe that needs more than the recipe's schema."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_recipe_that_run_refuses_at_once_is_refused_by_plan_with_the_same_error(
    name: str, base: Path, write_job: Callable[..., Path], tmp_path: Path,
    error_of: Callable[..., tuple[int, Any]],
) -> None:  # fmt: skip
    _records(tmp_path, *({"text": f"def step_{number}(): pass\n"} for number in range(9)))
    recipe = write_job(**{"base": {"model": "./base", "license": "MIT"}, "data": SOURCE, **BROKEN[name]})
    (tmp_path / "recipe.json").write_text("{}")
    planned = error_of("plan", str(recipe))
    ran = error_of("run", str(recipe), "--runs", str(tmp_path / "runs"))
    assert planned == ran
    assert ran[0] in (2, 3) and ran[1]["where"] and ran[1]["next"]


@pytest.mark.parametrize("broken", ["tokens", "weights", "license text"])
def test_a_base_model_that_run_refuses_is_refused_by_plan(
    broken: str, base: Path, write_job: Callable[..., Path], tmp_path: Path,
    error_of: Callable[..., tuple[int, Any]],
) -> None:  # fmt: skip
    if broken == "tokens":
        tokenizer = base / "tokenizer.json"
        tokenizer.write_text(tokenizer.read_text().replace("<fim_middle>", "<something>"))
    elif broken == "weights":
        weights = base / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        (base / "LICENSE").unlink()
    recipe = write_job(base={"model": "./base", "license": "MIT"}, data=SOURCE)
    planned = error_of("plan", str(recipe))
    assert planned == error_of("run", str(recipe), "--runs", str(tmp_path / "runs"))
    assert planned[0] == (3 if broken == "license text" else 2)


IN_CLUSTER: dict[str, dict[str, Any]] = {
    "no data volume": {},
    "image without a digest": {"image": "ghcr.io/acme/trainer:1", "kubernetes": {"data_claim": "data"}},
    "GPUs by number": {"image": "@", "gpus": [0, 1], "kubernetes": {"data_claim": "data"}},
    "TrainJob on one node": {"image": "@", "kubernetes": {"data_claim": "data", "engine": "trainer"}},
}


@pytest.mark.parametrize("name", IN_CLUSTER)
def test_a_job_that_cannot_be_rendered_is_refused_by_plan(
    name: str, base: Path, write_job: Callable[..., Path], error_of: Callable[..., tuple[int, Any]]
) -> None:
    run: dict[str, Any] = {"where": "kubernetes", **IN_CLUSTER[name]}
    if run.get("image") == "@":
        run["image"] = f"ghcr.io/acme/trainer@sha256:{'0' * 64}"
    recipe = write_job(base={"model": "./base", "license": "MIT"}, data=SOURCE, run=run)
    planned = error_of("plan", str(recipe))
    assert planned == error_of("jobs", "render", str(recipe), "--until", "package")
    assert planned[0] == 2


def test_the_option_for_little_data_goes_with_the_recipe_into_the_pod(
    base: Path, write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"image": f"ghcr.io/acme/trainer@sha256:{'0' * 64}", "kubernetes": {"data_claim": "data"}}
    recipe = write_job(base={"model": "./base", "license": "MIT"}, data=SOURCE, run=run)
    for options, told in ((["--allow-little-data"], True), ([], False)):
        assert main(["jobs", "render", str(recipe), "--json", *options]) == 0
        config_map = json.loads(capsys.readouterr().out)["documents"][0]
        assert ("allow_little_data: true" in config_map["data"]["recipe.yaml"]) is told


def test_an_error_about_a_column_names_the_source_by_its_number(
    base: Path, write_job: Callable[..., Path], tmp_path: Path, error_of: Callable[..., tuple[int, Any]]
) -> None:
    _records(tmp_path, {"text": "x = 1\n"})
    recipe = write_job(base={"model": "./base", "license": "MIT"}, data=SOURCE)
    wrong = SOURCE | {"source": "./pairs.jsonl", "columns": {"path": "file"}}
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"data": [SOURCE, wrong]}))
    for command in ("plan", "run"):
        assert "data[1].columns.path" in error_of(command, str(recipe))[1]["next"]


def test_a_job_on_several_nodes_and_data_of_a_volume_can_be_planned(
    base: Path, write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = {
        "where": "kubernetes", "memory": "8GB", "image": f"ghcr.io/acme/trainer@sha256:{'0' * 64}",
        "kubernetes": {"data_claim": "data", "nodes": 2},
    }  # fmt: skip
    recipe = write_job(
        base={"model": "./base", "license": "MIT"}, data=SOURCE | {"source": "./on-the-volume"}, run=run
    )
    assert main(["plan", str(recipe), "--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert "data[0], ./on-the-volume: not here yet" in variant["not_checked"]
    assert variant["data"] == [
        {"source": "./on-the-volume", "here": False, "whole": False}
        | dict.fromkeys(("texts", "left_out", "train", "held_out", "records"))
    ]


def test_checks_of_a_base_model_that_is_not_here_are_named_and_nothing_is_fetched(
    write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    hub = {"model": "bigcode/starcoder2-3b", "revision": "a" * 40}
    sources = [SOURCE, {"source": "dataset:acme/code", "revision": "b" * 40}]
    recipe = write_job(base=hub, package={"license_files": ["./later.txt"]})
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"data": sources}))
    assert main(["plan", str(recipe), "--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    kinds = [each.partition(":")[0] for each in variant["not_checked"]]
    assert kinds == [
        "the weights of bigcode/starcoder2-3b", "the tokenizer of bigcode/starcoder2-3b",
        "the license texts", "data[1], dataset",
    ]  # fmt: skip
    assert main(["plan", str(recipe)]) == 0
    assert "dataset:acme/code: not looked at, because it is not here yet" in capsys.readouterr().out


def test_a_tokenizer_in_the_hubs_cache_is_checked(
    base: Path, write_job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    error_of: Callable[..., tuple[int, Any]],
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/hub/models--acme--coder/snapshots" / ("a" * 40)
    shutil.copytree(base, snapshot)
    recipe = write_job(base={"model": "acme/coder", "revision": "a" * 40, "license": "MIT"}, data=SOURCE)
    assert error_of("plan", str(recipe)) == (0, None)
    tokenizer = snapshot / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<fim_middle>", "<something>"))
    code, error = error_of("plan", str(recipe))
    assert code == 2 and "middle" in error["what"]


@pytest.mark.parametrize("key", ["another file", "encrypted", "not here", "of a token", "keyless"])
def test_a_signer_is_checked_without_a_password_and_without_a_connection(
    key: str, base: Path, write_job: Callable[..., Path], tmp_path: Path,
    error_of: Callable[..., tuple[int, Any]], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from starfreight.packager.provenance.signing.local_key import generate_key

    monkeypatch.delenv("STARFREIGHT_KEY_PASSWORD", raising=False)
    sign: dict[str, Any] = {"key": "pkcs11:token=release;id=%02" if key == "of a token" else "acme.key"}
    if key == "another file":
        (tmp_path / "acme.key").write_text("-----BEGIN PRIVATE KEY-----\nnothing\n")
    elif key == "encrypted":
        generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"secret")
    elif key == "keyless":
        sign = {"keyless": True}
    recipe = write_job(
        base={"model": "./base", "license": "MIT"}, data=SOURCE,
        publish={"reference": "localhost:1/acme/coder:1", "sign": sign},
    )  # fmt: skip
    if key == "another file":
        planned = error_of("plan", str(recipe))
        assert planned == error_of("run", str(recipe), "--publish", "--runs", str(tmp_path / "runs"))
        assert planned[0] == 2 and "acme.key" in planned[1]["where"]
        return
    assert main(["plan", str(recipe), "--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    words = {"encrypted": "password", "not here": "not here", "of a token": "connect", "keyless": "identity"}
    assert any(words[key] in each for each in variant["not_checked"])


def test_a_plan_warns_of_a_machine_that_is_too_small(
    base: Path, write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    recipe = write_job(base={"model": "./base", "license": "MIT"}, data=SOURCE)
    assert main(["plan", str(recipe), "--json"]) == 0
    assert not json.loads(capsys.readouterr().out)["variants"][0]["warnings"]
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 1000))
    monkeypatch.setattr("starfreight.machine_limits.available_memory", lambda: 1 << 20)
    assert main(["plan", str(recipe)]) == 0
    told = capsys.readouterr().out
    assert "of disk; the current directory's has 1.0 kB free" in told
    assert "of memory; 1.0 MB is available" in told
