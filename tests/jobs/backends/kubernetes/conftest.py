"""Recipe files for clusters, and their rendering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.backends.kubernetes.manifests.render import Rendered, render
from starfreight.jobs.kinds.table import find_kind
from starfreight.recipe import load_recipe

RECIPES = Path(__file__).with_name("recipes")


@pytest.fixture
def render_file() -> Callable[..., Rendered]:
    """Renders a recipe of this directory by name, or a file, with options of the command line."""

    def make(recipe: str | Path, version: str = "1.37", **options: Any) -> Rendered:
        path = recipe if isinstance(recipe, Path) else RECIPES / f"{recipe}.yaml"
        kind = find_kind("evaluate" if path.stem.startswith("evaluate") else "train")
        return render(load_recipe(path).with_run_options(**options), version=version, kind=kind)

    return make


@pytest.fixture
def write_job(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe for a cluster from the text of its parts, and returns its path."""

    def write(
        *,
        name: str = "tiny",
        base: str = '{model: "builtin:starter"}',
        data: str = '[{source: "python:huggingface_hub", license: Apache-2.0}]',
        run: str = "{gpus: 0}",
        more: str = "",
    ) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(
            f"version: 1\nname: {name}\nbase: {base}\ndata: {data}\nrun: {run}\n{more}\n", encoding="utf-8"
        )
        return path

    return write


@pytest.fixture(scope="session")
def containers_of() -> Callable[[Any], list[Any]]:
    """All containers of a document of any kind, including init containers."""

    def find(document: Any) -> list[Any]:
        return list(_containers(document))

    return find


def _containers(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("containers", "initContainers"):
                yield from value
            else:
                yield from _containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from _containers(value)
