"""Valid recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.quantization import Quantization
from starfreight.recipe import Recipe, load_recipe, recipe_digest, validate_recipe

EVERY_KEY = """\
version: 1
name: acme-coder.v2
base:
  model: bigcode/starcoder2-3b
  revision: 733247c55e3f73af49ce8e9c7949bf14af205928
  license: LicenseRef-BigCode-OpenRAIL-M
data:
  - source: ./code
    format: fim
    license: Apache-2.0
    include: ["*.py", "src/*"]
    exclude: ["*_test.py"]
    held_out: 12.5%
    fim: {rate: 90%, spm_rate: 0.5, line_rate: 1, node_rate: 0}
  - source: dataset:acme/pairs
    format: instruct
    revision: 733247c55e3f73af49ce8e9c7949bf14af205928
    split: validation
training:
  rank: 8
  target_modules: [q_proj, v_proj]
  epochs: 1.5
  learning_rate: 2e-4
  warmup: 3%
package:
  quantizations: [q4_k_m, Q8_0, bf16]
  default: Q8_0
  template: "{{ .Prompt }}"
  parameters: {temperature: 0.2, top_k: 40, stop: ["a", "b"], penalize_newline: true, mirostat: 0}
  system: You complete code.
  license: Apache-2.0
  license_files: [LICENSE]
  card: {title: Acme Coder, authors: [Acme]}
publish: {reference: "localhost:5000/acme/coder:1.0", insecure: true}
run: {gpu_memory: 24GiB, time_limit: 90m, threads: 2}
sweep: {training.rank: [8, 16]}
"""


def load_text(path: Path, text: str) -> Recipe:
    path.write_text(text)
    return load_recipe(path).recipe


def test_every_key_is_read_as_written(tmp_path: Path) -> None:
    recipe = load_text(tmp_path / "recipe.yaml", EVERY_KEY)
    assert recipe.base.revision == "733247c55e3f73af49ce8e9c7949bf14af205928"
    assert recipe.data[0].held_out == 0.125
    assert recipe.data[0].fim.rate == 0.9
    assert recipe.data[1].split == "validation"
    assert recipe.training.learning_rate == 2e-4
    assert recipe.training.epochs == 1.5
    assert recipe.training.target_modules == ("q_proj", "v_proj")
    assert recipe.package.quantizations == (Quantization.Q4_K_M, Quantization.Q8_0, Quantization.BF16)
    parameters = recipe.package.parameters
    assert parameters == {
        "temperature": 0.2, "top_k": 40, "stop": ("a", "b"), "penalize_newline": True, "mirostat": 0,
    }  # fmt: skip
    assert parameters["penalize_newline"] is True
    assert parameters["mirostat"] is not False
    assert recipe.run.gpu_memory == 24 * 2**30
    assert recipe.run.time_limit == 5400


def test_a_recipe_written_as_json_is_read_back_equal(tmp_path: Path) -> None:
    recipe = load_text(tmp_path / "recipe.yaml", EVERY_KEY)
    assert validate_recipe(recipe.model_dump(mode="json"), "again") == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_relative_paths_start_at_the_recipes_directory(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe()
    assert load_recipe(path).folder == path.parent.resolve()


def test_the_digest_ignores_spelling_order_and_comments(tmp_path: Path, good_recipe: str) -> None:
    plain = load_text(tmp_path / "a.yaml", good_recipe + "training: {rank: 8, warmup: 10%}\n")
    other = load_text(tmp_path / "b.yaml", "# A comment.\ntraining: {warmup: 0.1, 'rank': 8}\n" + good_recipe)
    changed = load_text(tmp_path / "c.yaml", good_recipe + "training: {rank: 9, warmup: 10%}\n")
    assert recipe_digest(plain) == recipe_digest(other)
    assert recipe_digest(plain) != recipe_digest(changed)


def test_a_recipe_with_a_byte_order_mark_and_windows_line_ends_is_read(
    write_recipe: Callable[..., Path], good_recipe: str
) -> None:
    marked = load_recipe(write_recipe(data=b"\xef\xbb\xbf" + good_recipe.replace("\n", "\r\n").encode()))
    assert marked.recipe == load_recipe(write_recipe()).recipe


@pytest.mark.parametrize("change", [{"name": "other"}, {"version": 2}])
def test_a_recipe_is_immutable(write_recipe: Callable[..., Path], change: dict[str, object]) -> None:
    recipe = load_recipe(write_recipe()).recipe
    (key, value), *_ = change.items()
    with pytest.raises(ValueError, match="frozen"):
        setattr(recipe, key, value)
