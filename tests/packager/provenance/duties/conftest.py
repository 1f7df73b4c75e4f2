"""Small packages whose base models have any license, and any files beside their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import checkpoint_files
from starfreight.console import Console
from starfreight.files import canonical_json, sha256_bytes, sha256_file
from starfreight.license_files import keep_in_run
from starfreight.packager.build.build_package import build_package
from starfreight.recipe import recipe_digest, validate_recipe
from starfreight.records import FileDigest
from starfreight.run import Run

Build = Callable[..., Path]


@pytest.fixture
def build(make_run: Callable[..., Path], console: Console, tmp_path: Path) -> Build:
    """Builds a package and returns its directory."""

    def make(
        base_license: str,
        /,
        *,
        name: str = "tiny",
        files: Mapping[str, str] | None = None,
        texts: tuple[bytes, ...] = (),
        **package: Any,
    ) -> Path:
        """Builds it.

        Args:
            base_license: of the base model.
            name: of the tuned model.
            files: written to the base model's directory.
            texts: of the recipe's license files.
            package: the recipe's section.
        """
        folder = make_run(tmp_path, license_text=None)
        base = tmp_path / "base"
        for file, text in (files or {}).items():
            (base / file).write_text(text)
        run = Run.load(folder)
        recipe = run.recipe.model_dump(mode="json")
        recipe |= {"name": name, "base": {"model": "./base", "license": base_license}}
        recipe["package"] |= {"license_files": [f"{number}.txt" for number in range(len(texts))], **package}
        changed = validate_recipe(recipe, "recipe")
        found = tuple(
            FileDigest(path=path.name, digest=sha256_file(path), size=path.stat().st_size)
            for path in checkpoint_files(base)
        )
        digest = sha256_bytes(canonical_json([each.model_dump() for each in found]))
        origin = run.base.model_copy(update={"license": base_license, "files": found, "digest": digest})
        run.model_copy(
            update={"recipe": changed, "recipe_digest": recipe_digest(changed), "base": origin}
        ).save(folder)
        keep_in_run(texts, folder)
        out = tmp_path / "package"
        build_package(folder, out, None, console)
        return out

    return make
