"""The build, by the claims of the provenance statement: builder, base, method, machine, source, images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from starfreight.base_model import public_name
from starfreight.console import human_count
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.packager.provenance.recorded import Provenance
from starfreight.pages.visible_text import shortened, visible

_WIDTH = 300
_MOST_LINES = 20


def build(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    provenance, package = inspected.provenance, inspected.package
    if provenance is None:
        lines = ["unknown: the package has no statement that can be read"]
        return Shown("Provenance", lines, {"build": None})
    commit = provenance.source_commit
    training = dict(provenance.training or {})
    data: dict[str, Any] = {
        "builder": provenance.builder,
        "builder_version": dict(provenance.builder_version),
        "build_type": provenance.build_type,
        "statement_version": provenance.version,
        "method": provenance.method,
        "recipe": provenance.recipe_digest,
        "base": provenance.base.uri if provenance.base is not None else None,
        "base_files": dict(provenance.base_files),
        "started": provenance.started,
        "ended": provenance.ended,
        "machine": dict(provenance.machine) if provenance.machine is not None else None,
        "images": dict(provenance.images),
        "commit": commit
        and {"repository": commit.uri, "commit": commit.commit, "uncommitted_changes": commit.dirty},
        "invoker": dict(provenance.invoker) if provenance.invoker is not None else None,
        "training": training or None,
        "bom": package.bom.digest if package.bom is not None else None,
    }
    lines = [shortened(visible(line), _WIDTH) for line in _lines(provenance)]
    bom = package.bom.digest if package.bom is not None else "none"
    lines += [f"statement {package.provenance.digest}", f"bill of materials {bom}"]
    return Shown("Provenance, as the package states it", lines, {"build": data})


def _lines(provenance: Provenance) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in provenance.builder_version.items())
    yield f"builder {provenance.builder}" + (f" ({versions})" if versions else "")
    base = provenance.base.uri if provenance.base is not None else None
    count = len(provenance.base_files)
    files = human_count(count, "files")
    yield f"base {base or public_name(provenance.recipe.base.model)}, {files}"
    training = provenance.training or {}
    counts = ((name, training.get(name)) for name in ("steps", "tokens"))
    figures = "".join(f", {count:,} {name}" for name, count in counts if isinstance(count, int))
    yield f"training by {provenance.method or 'an unknown method'}{figures}, on {_machine(provenance)}"
    yield f"from {provenance.started or 'an unknown time'} to {provenance.ended or 'an unknown time'}"
    for name, digest in islice(provenance.images.items(), _MOST_LINES):
        yield f"image {name} {digest}"
    if (commit := provenance.source_commit) is not None:
        dirty = ", with uncommitted changes" if commit.dirty else ""
        yield f"recipe from {commit.uri or 'a local repository'} at {commit.commit}{dirty}"
    else:
        yield "recipe from no recorded commit"
    for name, value in islice((provenance.invoker or {}).items(), _MOST_LINES):
        if value is not None:
            yield f"CI job, {name}: {value}"


def _machine(provenance: Provenance) -> str:
    machine = provenance.machine or {}
    return str(machine.get("device") or "an unknown device")
