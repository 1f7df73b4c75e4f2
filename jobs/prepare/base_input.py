"""The base model of a run: located, opened and checked once for all recipes that use it, then hashed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import known_license, locate_base
from starfreight.checkpoint import (
    Checkpoint,
    ModelShape,
    check_tokenizer,
    check_vocabulary,
    checkpoint_files,
    open_checkpoint,
)
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import canonical_json, sha256_bytes, sha256_file
from starfreight.recipe import Base
from starfreight.records import FileDigest
from starfreight.run import BaseInput


@dataclass(frozen=True)
class OpenedBase:
    """A base model that can be trained.

    Attributes:
        base: the recipe's section.
        checkpoint: the opened model, with its local directory.
        license: the license, as an SPDX identifier or ``LicenseRef-...``.
    """

    base: Base
    checkpoint: Checkpoint
    license: str

    @property
    def folder(self) -> Path:
        """The local directory of the model."""
        return self.checkpoint.folder

    def hash_files(self, console: Console) -> BaseInput:
        """Reads all files of the model and describes it for ``run.json``; ``console`` shows progress."""
        paths = tuple(checkpoint_files(self.folder))
        total = sum(path.stat().st_size for path in paths)
        with console.progress("Hashing the base model", total=total, unit="B") as advance:
            files = tuple(
                FileDigest(
                    path=path.relative_to(self.folder).as_posix(),
                    digest=sha256_file(path, advance),
                    size=path.stat().st_size,
                )
                for path in paths
            )
        return BaseInput(
            model=self.base.model,
            revision=self.base.revision,
            license=self.license,
            architecture=self.checkpoint.architecture,
            digest=sha256_bytes(canonical_json([file.model_dump() for file in files])),
            files=files,
        )


def open_base(base: Base, folder: Path) -> OpenedBase:
    """Locates a recipe's base model, or fetches it from the hub; opens it and checks its tokenizer.

    Args:
        base: the recipe's section.
        folder: the directory where the recipe's relative paths start.

    Raises:
        RecipeError: there is no such model, or its license is unknown.
        InputError: the model or its tokenizer cannot be used.
        ServiceError: the hub does not answer.
    """
    located = locate_base(base, folder)
    checkpoint = open_checkpoint(located)
    require_tokenizer(located, checkpoint.shape)
    return OpenedBase(base, checkpoint, require_license(base))


def require_tokenizer(located: Path, shape: ModelShape) -> None:
    """Checks the tokenizer of a base model.

    Args:
        located: the local directory of the model.
        shape: of the model.

    Raises:
        InputError: the tokenizer cannot be used, lacks a token to fill in the middle, or has more tokens than
            the model.
    """
    tokenizer = check_tokenizer(located, shape.architecture)
    check_vocabulary(tokenizer, shape, located)
    missing = [role for role in ("prefix", "suffix", "middle") if role not in tokenizer.fim]
    if missing:
        raise InputError(
            f"The tokenizer has no token for the {missing[0]} of a fill-in-the-middle example.",
            where=str(located / "tokenizer.json"),
            fix="use a base model trained to fill in the middle, such as StarCoder2",
        )


def require_license(base: Base) -> str:
    """The license of a base model, as an SPDX identifier or ``LicenseRef-...``.

    Raises:
        RecipeError: it is unknown.
    """
    license_name = known_license(base)
    if license_name is None:
        raise RecipeError(
            "The license of the base model is unknown.",
            where="key base.license",
            fix="add it, as an SPDX identifier or LicenseRef-...: it decides what may be shipped",
        )
    return license_name
