"""The sources of the training data, with the licenses of the texts that training read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.console import human_count
from starfreight.package_training_data import read_training_data
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.packager.provenance.shown_source import shown_source
from starfreight.pages.visible_text import shortened, visible

_MOST_SOURCES = 20
_MOST_LICENSES = 12
_WIDTH = 200


def training_data(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    package, provenance = inspected.package, inspected.provenance
    manifest = read_training_data(inspected.folder, package, verified=True)
    if manifest is not None:
        sources = [
            {
                "source": shown_source(each.source),
                "revision": each.revision,
                "format": each.format,
                "license": each.license,
                "texts": each.train.samples + each.held_out.samples,
                "bytes": each.train.bytes + each.held_out.bytes,
                "left_out": max(0, each.found - each.train.samples - each.held_out.samples),
                "licenses": {name: count.model_dump() for name, count in each.licenses.items()},
            }
            for each in manifest.sources
        ]
    elif provenance is not None:
        sources = [
            {
                "source": shown_source(claim.source),
                "revision": claim.revision,
                "format": data.format,
                "license": claim.license,
                "texts": sum(samples for samples, _ in claim.licenses.values()),
                "bytes": sum(size for _, size in claim.licenses.values()) or None,
                "left_out": None,
                "licenses": {
                    name: {"samples": samples, "bytes": size or None}
                    for name, (samples, size) in claim.licenses.items()
                },
            }
            for claim, data in zip(provenance.sources, provenance.recipe.data, strict=False)
        ]
    else:
        return Shown("Training data", ["unknown: the package has no statement"], {"training_data": None})
    digest = provenance.data_manifest if provenance is not None else None
    digest = manifest.digest if manifest is not None else digest
    lines = [line for each in sources[:_MOST_SOURCES] for line in _source(each)]
    if (more := len(sources) - _MOST_SOURCES) > 0:
        lines.append(f"and {human_count(more, 'more sources')} with --json")
    if digest is not None:
        listed = "every file is listed in the package" if manifest is not None else "not in the package"
        lines.append(f"data manifest {digest} ({listed})")
    data = {"manifest": digest, "in_package": manifest is not None, "sources": sources}
    return Shown("Training data", lines, {"training_data": data})


def _source(source: Mapping[str, Any]) -> Iterator[str]:
    at = f" at {source['revision']}" if source["revision"] else ""
    size = f", {human_count(source['bytes'], 'B')}" if source["bytes"] else ""
    left_out = f"; {source['left_out']:,} left out" if source["left_out"] else ""
    name = shortened(visible(source["source"]), _WIDTH)
    yield f"{name}{at}: {_texts(source['texts'])}{size}{left_out}"
    counts = sorted(source["licenses"].items(), key=lambda each: (-each[1]["samples"], each[0]))
    named = [f"{shortened(visible(name), 100)} ({count['samples']:,})" for name, count in counts]
    more = f" and {len(named) - _MOST_LICENSES:,} more" if len(named) > _MOST_LICENSES else ""
    yield f"  licenses {', '.join(named[:_MOST_LICENSES]) or 'unknown'}{more}"


def _texts(count: int) -> str:
    return human_count(count, "texts")
