"""A look at a base model: its architecture, context and license. Nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import builtin_folder, known_license, local_base
from starfreight.errors import InputError, RecipeError
from starfreight.recipe import Base

_MOST_OF_CARD = 1 << 20


@dataclass(frozen=True)
class BaseLook:
    """Facts about a base model.

    Attributes:
        model: for ``base.model``; a directory is absolute.
        revision: the commit of a hub id.
        folder: its directory; ``None`` if the model is not on this machine.
        license: an SPDX identifier or ``LicenseRef-...``; ``None`` if none was found.
        architecture: ``starcoder2`` or ``starcoder``; ``None`` like the next two if the model is elsewhere.
        parameters: number of its weights.
        context: maximum sequence length in tokens.
    """

    model: str
    revision: str | None
    folder: Path | None
    license: str | None
    architecture: str | None = None
    parameters: int | None = None
    context: int | None = None


def look_at_base(name: str) -> BaseLook:
    """Look at a base model.

    Args:
        name: a directory, ``builtin:starter``, ``oci://...``, or a hub id as ``ORG/NAME@COMMIT``.

    Raises:
        RecipeError: neither a directory nor a valid name.
        InputError: the directory is not a model that Starfreight can train.
    """
    from starfreight.checkpoint import open_checkpoint

    path = Path(name)
    if path.exists() and not path.is_dir():
        raise InputError(
            "The base model is a file; a directory with its config.json is required.",
            where=f"--base {name}",
            fix="name the directory that holds the model's files",
        )
    if path.is_dir():
        base, folder = Base(model=str(path.resolve())), path.resolve()
    elif name.startswith("builtin:"):
        base, folder = Base(model=name), builtin_folder(name, "--base")
    else:
        model, at, revision = name.rpartition("@")
        pinned = bool(at) and re.fullmatch(r"[0-9a-f]{40}", revision) is not None
        if at and not pinned and "://" not in name and name.count("/") == 1:
            raise InputError(
                f"The revision {revision!r} is not a commit: a branch or a tag can move.",
                where=f"--base {name}",
                fix=f"write the commit, 40 hex digits in lower case: --base {model}@COMMIT",
            )
        base = Base(model=model, revision=revision) if pinned else Base(model=name)
        try:
            found = local_base(base, Path())
        except RecipeError as error:
            if "revision" in error.what:
                error.fix = f"add the commit, 40 hex digits: --base {name}@COMMIT; a branch or a tag can move"
            else:
                error.fix = "correct the path, or write a hub id as ORG/NAME@COMMIT"
            error.where = f"--base {name}"
            raise
        if found is None:
            return BaseLook(base.model, base.revision, None, known_license(base))
        folder = found
    shape = open_checkpoint(folder).shape
    return BaseLook(
        model=base.model,
        revision=base.revision,
        folder=folder,
        license=known_license(base) or _license_in(folder),
        architecture=shape.architecture,
        parameters=shape.parameters,
        context=shape.context_length,
    )


def _license_in(folder: Path) -> str | None:
    """The license that a model's card or its LICENSE file states."""
    from starfreight.files import read_limited
    from starfreight.jobs.data.repository_license import is_license_file, license_of_text
    from starfreight.licenses.registry import all_licenses, canonical_name, has_phrases, is_known

    card = folder / "README.md"
    if card.is_file():
        text = read_limited(card, _MOST_OF_CARD, "model card").decode(errors="replace")
        head = text.split("\n---", 1)[0] if text.startswith("---") else ""
        # A license that the hub does not list: `license: other`, and its name in a key of its own.
        for key in ("license", "license_name"):
            stated = re.search(rf"^{key}:[ \t]*[\"']?([A-Za-z0-9.+-]{{1,60}})", head, re.MULTILINE)
            if stated and is_known(stated[1]):
                return canonical_name(stated[1])
    for path in sorted(folder.iterdir()):
        if is_license_file(path.name) and path.is_file():
            data = read_limited(path, 1 << 20, "license")
            words = data.decode(errors="replace")
            known = next((each.ids[0] for each in all_licenses() if has_phrases(each, words)), None)
            found = license_of_text(data) or known
            if found:
                return found
    return None
