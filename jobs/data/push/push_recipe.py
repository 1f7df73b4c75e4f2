"""A recipe's local data and base model, pushed, and the recipe that names the artifacts instead."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.base_artifact import fetch_base_artifact
from starfreight.base_model import local_base
from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.files import read_limited, write_bytes
from starfreight.jobs.data.push.base_files import base_files
from starfreight.jobs.data.push.pack_source import PackedSource, pack_source
from starfreight.jobs.data.push.push_artifact import BASE, DATA, ArtifactFile, push_artifact
from starfreight.jobs.data.push.rewrite_recipe import Key, replace_values
from starfreight.jobs.data.sources import check_source, kind_of, naming_source
from starfreight.jobs.data.sources.dataset import DatasetKind
from starfreight.recipe import RecipeFile, load_recipe
from starfreight.recipe.load import MAX_RECIPE_BYTES
from starfreight.registry import is_local
from starfreight.registry.reference import TagReference, parse_tag_reference

_PREFIX = "oci://"


@dataclass(frozen=True)
class PushedSource:
    """A source and the artifact that stands for it."""

    number: int
    """In the recipe's list, from 0."""
    written: str
    replacement: str
    tag: str
    texts: int
    size: int
    left_out: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The source as ``--json`` prints it."""
        return {**vars(self), "left_out": list(self.left_out)}


@dataclass(frozen=True)
class PushedBase:
    """The base model and the artifact that stands for it."""

    written: str
    replacement: str
    tag: str
    size: int


@dataclass(frozen=True)
class PushedRecipe:
    """The outcome."""

    recipe: Path
    base: PushedBase | None
    """``None`` if it is not a local directory."""
    sources: tuple[PushedSource, ...]
    staying: tuple[str, ...]
    """Keys whose local paths cannot travel, with the reason."""
    written: Path | None

    def as_dict(self) -> dict[str, Any]:
        """The outcome as ``--json`` prints it."""
        return {
            "recipe": str(self.recipe),
            "base": vars(self.base) if self.base else None,
            "sources": [source.as_dict() for source in self.sources],
            "staying": list(self.staying),
            "written": str(self.written) if self.written else None,
        }

    def as_text(self) -> str:
        """The lines to put in place, or the recipe that has them."""
        lines = []
        if self.base is not None:
            lines.append(f"base {self.base.written}: {human_count(self.base.size, 'B')}")
            lines.append(f"  model: {self.base.replacement}")
        for source in self.sources:
            amount = f"{human_count(source.texts, 'texts')}, {human_count(source.size, 'B')}"
            lines.append(f"data[{source.number}] {source.written}: {amount}")
            lines.append(f"  source: {source.replacement}")
        lines += [f"Stays here: {each}" for each in self.staying]
        if self.written is not None:
            lines.append(f"Recipe written to {self.written}.")
        elif lines:
            lines.append("Put these lines in place of the local ones, or add --write NEW.yaml.")
        return "\n".join(lines) or "The recipe has no local data, and no local base model."


def push_recipe(
    recipe: Path, target: str, *, insecure: bool, with_secrets: bool, write: Path | None, console: Console
) -> PushedRecipe:
    """Push the local sources and the local base model of a recipe.

    Args:
        recipe: the recipe's file.
        target: ``oci://HOST/PATH``, a repository.
        insecure: use plain HTTP, which sources are read over from this machine only.
        with_secrets: push texts with secrets, too.
        write: file for the changed recipe.
        console: shows progress.

    Raises:
        RecipeError: the recipe or a source is invalid.
        InputError: a malformed target, or a file that cannot be packed.
        GateError: secrets that would be published.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    repository = _parse_target(target)
    if insecure and not is_local(repository.host):
        raise InputError(
            "Sources are read over plain HTTP from this machine only.",
            where=target,
            fix="push to a registry with TLS, without --insecure",
        )
    if write is not None and write.resolve() == recipe.resolve():
        raise InputError(
            "The changed recipe would replace the original.", where=str(write), fix="name a new file"
        )
    file = load_recipe(recipe)
    local, staying = _local_sources(file)
    with tempfile.TemporaryDirectory(prefix="starfreight-push-") as temporary:
        packed = {
            number: _pack(file, number, Path(temporary), with_secrets=with_secrets, console=console)
            for number in local
        }
        model = _local_model(file)
        base_layers = base_files(model, console) if model is not None else ()
        base: PushedBase | None = None
        sources: tuple[PushedSource, ...] = ()
        if packed or base_layers:
            base, sources = _push(file, base_layers, packed, repository, insecure=insecure, console=console)
    if write is not None:
        _write(write, recipe, base, sources)
    return PushedRecipe(recipe, base, sources, tuple(staying), write)


def _write(write: Path, recipe: Path, base: PushedBase | None, sources: tuple[PushedSource, ...]) -> None:
    replacements: dict[Key, str] = {("data", each.number, "source"): each.replacement for each in sources}
    if base is not None:
        replacements["base", "model"] = base.replacement
    text = read_limited(recipe, MAX_RECIPE_BYTES, "recipe").decode()
    write_bytes(write, replace_values(text, replacements, str(recipe)).encode())
    load_recipe(write)


def _local_model(file: RecipeFile) -> Path | None:
    """The directory of a base model that only this machine has."""
    base = file.recipe.base
    if base.model.startswith(("builtin:", _PREFIX)) or base.revision is not None:
        return None
    return local_base(base, file.folder)


def _parse_target(target: str) -> TagReference:
    if not target.startswith(_PREFIX) or ":" in target.rpartition("/")[2] or "@" in target:
        raise InputError(
            "The target is not a repository of a registry.",
            where=repr(target[:200]),
            fix="write oci://HOST/NAMESPACE/NAME, without a tag",
        )
    return parse_tag_reference(f"{target.removeprefix(_PREFIX)}:data")


def _local_sources(file: RecipeFile) -> tuple[list[int], list[str]]:
    """Numbers of the sources to push, and what cannot be pushed."""
    local, staying = [], []
    for number, data in enumerate(file.recipe.data):
        kind = kind_of(data.source, file.folder / data.source)
        filters = data.filters
        if kind.local_path(data.source) is not None:
            if isinstance(kind, DatasetKind):
                staying.append(f"data[{number}].source: a local dataset; save its rows as Parquet or JSONL")
            else:
                local.append(number)
        for key, paths in (("evaluation_sets", filters.evaluation_sets), ("opt_out", filters.opt_out or "")):
            if paths:
                staying.append(f"data[{number}].filters.{key}: files beside the recipe")
        if data.format == "repository" and number in local:
            staying.append(
                f"data[{number}]: the name of the repository; examples will have the registry's path instead"
            )
    return local, staying


def _pack(
    file: RecipeFile, number: int, temporary: Path, *, with_secrets: bool, console: Console
) -> PackedSource:
    data = file.recipe.data[number]
    with naming_source(number):
        check_source(data, file.folder)
        path = kind_of(data.source, file.folder / data.source).locate(data, file.folder, console)
        return pack_source(data, path, temporary, with_secrets=with_secrets, number=number, console=console)


def _push(
    file: RecipeFile,
    base_layers: tuple[ArtifactFile, ...],
    packed: dict[int, PackedSource],
    repository: TagReference,
    *,
    insecure: bool,
    console: Console,
) -> tuple[PushedBase | None, tuple[PushedSource, ...]]:
    from starfreight.registry.publishing import PublishingClient

    client = PublishingClient(repository, insecure=insecure)
    client.connect()
    prefix = f"{_PREFIX}{repository.host}/{repository.repository}@"
    base, pushed = None, []
    layers = [*(each.layer for each in base_layers), *(each.file.layer for each in packed.values())]
    with console.progress("Pushing", total=sum(layer.size for layer in layers), unit="B") as advance:
        for number, each in packed.items():
            tag, digest = push_artifact(client, DATA, each.file.name, (each.file,), advance)
            pushed.append(
                PushedSource(
                    number=number,
                    written=file.recipe.data[number].source,
                    replacement=prefix + digest,
                    tag=tag,
                    texts=each.texts,
                    size=each.file.layer.size,
                    left_out=each.left_out,
                )
            )
        if base_layers:
            model = file.recipe.base.model
            tag, digest = push_artifact(client, BASE, f"base-{Path(model).name}", base_layers, advance)
            size = sum(each.layer.size for each in base_layers)
            base = PushedBase(model, prefix + digest, tag, size)
    if base is not None:
        # Plans and manifests of pods need the shape of the model, which they read from the cache.
        fetch_base_artifact(base.replacement, weights=False)
    return base, tuple(pushed)
