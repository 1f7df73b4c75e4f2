"""Find the model of a package, of a run, or in a GGUF file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starfreight.errors import GateError, InputError
from starfreight.package import PACKAGE_FILE, Package, Variant
from starfreight.quantization import Quantization
from starfreight.run import RUN_FILE, Run
from starfreight.strict_json import strict_loads

_TEXT_LIMIT = 1 << 20
_STATEMENT_LIMIT = 1 << 30


@dataclass(frozen=True)
class ModelSource:
    """A model on this machine.

    Attributes:
        name: of the package, or of the file.
        gguf: its file.
        adapter: a LoRA file beside it; ``None`` without one.
        settings: Ollama's parameters, as packaged; empty for a file.
        template: Ollama's template, as packaged; ``None`` for a file.
        system: the packaged system prompt.
        formats: formats of the training data, by the package's provenance; empty if unknown.
        package: directory of its package; ``None`` for a file.
    """

    name: str
    gguf: Path
    adapter: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    formats: frozenset[str] = frozenset()
    package: Path | None = None

    def number(self, name: str) -> int | None:
        """A whole number among the settings; ``None`` without one."""
        value = self.settings.get(name)
        return value if type(value) is int else None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a completion."""
        stops = self.settings.get("stop", ())
        return tuple(each for each in stops if isinstance(each, str)) if isinstance(stops, list) else ()


def find_model(path: Path, quantization: str | None = None) -> ModelSource:
    """The model at a path.

    Args:
        path: a package's directory, the directory of a packaged run, or a GGUF file.
        quantization: the package's variant; its default if ``None``.

    Raises:
        InputError: no model there.
        RecipeError: the quantization does not exist.
        GateError: the package is damaged.
    """
    if path.is_dir() and (path / RUN_FILE).exists() and not (path / PACKAGE_FILE).exists():
        path = _package_of_run(path)
    if path.is_dir():
        return _packaged(path, Package.load(path), quantization)
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"The model {what}.", where=str(path), fix="check the path")
    if quantization is not None:
        raise InputError("A GGUF file has one quantization.", where=str(path), fix="leave --quantization out")
    return ModelSource(path.stem, path)


def _package_of_run(folder: Path) -> Path:
    run = Run.load(folder)
    absolute = folder.resolve()
    package = absolute.parent.parent / "packages" / absolute.name
    if (package / PACKAGE_FILE).exists() and Package.load(package).run == run.id:
        return package
    if run.status != "done":
        raise InputError(
            f"The run is not finished: its status is {run.status!r}.",
            where=str(folder),
            fix="finish it with starfreight jobs run RECIPE, then build its package",
        )
    raise InputError(
        "The run is not packaged, and only a package has a file to run.",
        where=str(folder),
        fix=f"make its package, then name that: starfreight package build {shlex.quote(str(folder))}",
    )


def _packaged(folder: Path, package: Package, quantization: str | None) -> ModelSource:
    from starfreight.image_layout.reader import ImageLayout

    layout = ImageLayout(folder)
    variant = _variant(package, quantization, folder)

    def text(name: str) -> str | None:
        descriptor = getattr(package, name)
        return None if descriptor is None else layout.read(descriptor, _TEXT_LIMIT).decode("utf-8", "replace")

    for descriptor in (variant.gguf, package.adapter):
        if descriptor is not None:
            with layout.open(descriptor):
                pass
    return ModelSource(
        package.name,
        layout.blob_path(variant.gguf.digest),
        layout.blob_path(package.adapter.digest) if package.adapter else None,
        _settings(text("settings"), folder),
        text("template"),
        text("system"),
        _formats(layout.read(package.provenance, _STATEMENT_LIMIT)),
        folder,
    )


def _variant(package: Package, quantization: str | None, folder: Path) -> Variant:
    if quantization is None:
        return package.default_variant
    wanted = Quantization.parse(quantization)
    for variant in package.variants:
        if variant.quantization == wanted:
            return variant
    raise InputError(
        f"The package has no {wanted}.",
        where=str(folder),
        fix=f"choose from {', '.join(variant.quantization for variant in package.variants)}",
    )


def _settings(text: str | None, folder: Path) -> Mapping[str, Any]:
    try:
        settings = strict_loads((text or "{}").encode())
    except ValueError as error:
        raise _damaged(folder) from error
    if not isinstance(settings, dict):
        raise _damaged(folder)
    return settings


def _damaged(folder: Path) -> GateError:
    return GateError(
        "The package's parameters are not a JSON object.", where=str(folder), fix="build the package again"
    )


def _formats(statement: bytes) -> frozenset[str]:
    """The formats of the data, from the statement's recipe; empty if it has none."""
    try:
        value = strict_loads(statement)
        data = value["predicate"]["buildDefinition"]["externalParameters"]["recipe"]["data"]
        found = {source.get("format", "fim") for source in data}
    except (ValueError, LookupError, TypeError, AttributeError):
        return frozenset()
    return frozenset(each for each in found if isinstance(each, str))
