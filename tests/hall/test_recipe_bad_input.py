"""Invalid recipes: each error names the problem, the place and the next step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.base_model import local_base
from starfreight.errors import RecipeError
from starfreight.recipe import load_recipe
from starfreight.recipe.models import Base

WriteRecipe = Callable[..., Path]


def refused(path: Path) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.exit_code == 2
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    ("more", "key", "nearest"),
    [
        ("trainning: {}", "trainning", "training"),
        ("Name: x", "Name", "name"),
        ("package: {quantisations: [F16]}", "package.quantisations", "quantizations"),
        ("training: {rnak: 8}", "training.rnak", "rank"),
        ("training: {batch-size: 8}", "training.batch-size", "batch_size"),
        ("package: {card: {titel: x}}", "package.card.titel", "title"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    write_recipe: WriteRecipe, more: str, key: str, nearest: str
) -> None:
    error = refused(write_recipe(more))
    assert f"unknown key {key!r}" in error.what
    assert error.fix == f"did you mean {nearest!r}?"


def test_an_unknown_key_in_a_list_is_named_with_its_index(write_recipe: WriteRecipe) -> None:
    error = refused(write_recipe("  - {source: ./b, formt: fim}"))
    assert "'data[1].formt'" in error.what
    assert error.fix == "did you mean 'format'?"


def test_an_unknown_key_without_a_similar_one_gets_the_list_of_known_keys(write_recipe: WriteRecipe) -> None:
    assert "gpu_memory" in (refused(write_recipe("run: {zzz: 1}")).fix or "")


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ("run: {time_limit: 2 bananas}", "run.time_limit", "no known unit"),
        ("run: {time_limit: 7200}", "run.time_limit", "needs a unit"),
        ("run: {time_limit: '1:30'}", "run.time_limit", "no known unit"),
        ("run: {time_limit: 2GB}", "run.time_limit", "no known unit"),
        ("run: {time_limit: 0s}", "run.time_limit", "too small"),
        ("run: {gpu_memory: 24}", "run.gpu_memory", "needs a unit"),
        ("run: {gpu_memory: 24gb}", "run.gpu_memory", "no known unit"),
        ("run: {gpu_memory: -1GB}", "run.gpu_memory", "no known unit"),
        ("run: {gpu_memory: 999999TB}", "run.gpu_memory", "too large"),
        ("training: {warmup: 150%}", "training.warmup", "outside"),
        ("training: {warmup: 1.01}", "training.warmup", "outside"),
        ("training: {warmup: -0.1}", "training.warmup", "outside"),
        ("training: {warmup: yes}", "training.warmup", "no known unit"),
        ("training: {warmup: true}", "training.warmup", "needs a percentage"),
        ("training: {learning_rate: 2}", "training.learning_rate", "less than or equal to 1"),
        ("training: {learning_rate: '2e-4'}", "training.learning_rate", "valid number"),
        ("training: {rank: 8.5}", "training.rank", "valid integer"),
        ("training: {rank: 99999999999999999999}", "training.rank", "valid integer"),
        ("training: {max_gradient_norm: .inf}", "training.max_gradient_norm", "valid number"),
        ("training: {max_gradient_norm: .nan}", "training.max_gradient_norm", "valid number"),
        ("training: {steps: 5, epochs: 1}", "training", "both steps and epochs"),
        ("training: [1]", "training", "object"),
        ("package: {quantizations: [Q4_K]}", "package.quantizations[0]", "Q4_K_M"),
        ("package: {quantizations: []}", "package.quantizations", "needs at least 1 entry"),
        ("training: {target_modules: []}", "training.target_modules", "needs at least 1 entry"),
        ("package: {quantizations: [Q8_0], default: F16}", "package", "not among"),
        ("package: {quantizations: [Q4_K_M, q4_k_m]}", "package", "twice"),
        ("package: {parameters: {temperature: {a: 1}}}", "package.parameters.temperature", "valid number"),
        ("package: {system: \"a\\x07b\"}", "package.system", "control characters"),
        ("publish: {}", "publish.reference", "missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_key_and_the_reason(
    write_recipe: WriteRecipe, more: str, key: str, words: str
) -> None:
    error = refused(write_recipe(more))
    assert repr(key) in error.what
    assert words in error.what
    assert str(error.where).endswith(f"key {key}")


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_a_number_too_large_for_a_float_is_refused(write_recipe: WriteRecipe, value: str) -> None:
    error = refused(write_recipe(f"training: {{max_gradient_norm: {value}}}"))
    assert "too large for a number" in error.what
    assert ", line " in str(error.where)


def test_half_of_a_character_is_refused_with_its_line(write_recipe: WriteRecipe) -> None:
    error = refused(write_recipe('publish: {reference: "\\ud800"}'))
    assert "half of a surrogate pair" in error.what
    assert ", line " in str(error.where)


@pytest.mark.parametrize("name", ["Acme", "-acme", "a/b", "..", "a" * 64, "''", "a b"])
def test_a_name_not_valid_for_a_directory_or_a_model_is_refused(
    write_recipe: WriteRecipe, good_recipe: str, name: str
) -> None:
    text = good_recipe.replace("acme-coder", name)
    assert "'name'" in refused(write_recipe(data=text.encode())).what


def test_a_branch_instead_of_a_commit_is_refused(write_recipe: WriteRecipe, good_recipe: str) -> None:
    text = good_recipe.replace("./base", "acme/base, revision: main")
    assert (
        "'base.revision' is not valid: 'main' is not of the form"
        in refused(write_recipe(data=text.encode())).what
    )
    text = good_recipe.replace("./base", "acme/base, revision: " + "1" * 40)
    assert "put it in quotes" in refused(write_recipe(data=text.encode())).what


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a mapping"),
        (b"# only a comment\n", "not a mapping"),
        (b"- a\n- b\n", "not a mapping"),
        (b"just words", "not a mapping"),
        (b"\xff\xfe\x00\x01", "not UTF-8"),
        (b"name: \xe9\n", "not UTF-8"),
        (b"\x7fELF\x00\x00", "not valid YAML"),
        (b"{", "not valid YAML"),
        (b"a: b: c", "not valid YAML"),
        (b"version: 2\nbelongs: to the future\n", "version 2"),
        (b"version: '1'\nname: a\n", "'version'"),
        (b"version: true\nname: a\n", "'version'"),
    ],
)
def test_a_file_that_is_not_a_recipe_is_refused_with_the_reason(
    write_recipe: WriteRecipe, data: bytes, words: str
) -> None:
    assert words in refused(write_recipe(data=data)).what


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.yaml").what
    assert "is not a file" in refused(tmp_path).what


def test_a_recipe_of_a_gigabyte_is_refused_quickly_and_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.touch()
    os.truncate(path, 10**9)
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))\n"
        "from starfreight.cli import main\n"
        f"sys.exit(main(['plan', {str(path)!r}]))\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "larger than 262,144 bytes" in done.stderr
    assert time.monotonic() - began < 20


def test_all_commands_refuse_an_invalid_recipe_in_the_same_way(
    write_recipe: WriteRecipe, run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path = write_recipe("training: {rnak: 8}")
    before = set(tmp_path.iterdir())
    for command in (["plan"], ["run"], ["jobs", "run"]):
        done = run_cli(*command, path)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "Error: The recipe has an unknown key 'training.rnak'.",
            f"  where: {path}",
            "  next:  did you mean 'rank'?",
        ]
        assert done.stdout == ""
    assert set(tmp_path.iterdir()) == before


def test_with_json_an_error_is_one_object_on_standard_output(
    write_recipe: WriteRecipe, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = write_recipe("run: {time_limit: 2 bananas}")
    done = run_cli("plan", path, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "RecipeError"
    assert error["exit_code"] == 2
    assert error["where"] == f"{path}, key run.time_limit"
    assert error["next"]


def test_an_invalid_item_of_a_list_is_one_problem(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "version: 1\nname: a\nbase: {model: builtin:starter}\n"
        "data: [{source: a, held_out: 20}]\npackage: {quantizations: [Q9]}\n"
    )
    with pytest.raises(RecipeError) as raised:
        load_recipe(recipe)
    assert (
        raised.value.what
        == "The key 'data[0].held_out' is not valid: is outside 0% to 100% (1 more after it)."
    )


def test_a_commit_in_the_name_of_a_hub_model_belongs_under_revision(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        local_base(Base(model=f"org/name@{'0' * 40}"), tmp_path)
    assert raised.value.fix is not None and "base.revision" in raised.value.fix
