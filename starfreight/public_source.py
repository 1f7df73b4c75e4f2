"""Names of sources of data in records, without local paths."""

from __future__ import annotations

from pathlib import Path


def public_source(source: str) -> str:
    """A source of a recipe as manifests name it: without a local path, but for its last part."""
    kind, mark, place = source.rpartition(":") if "://" not in source else ("", "", source)
    return kind + mark + (Path(place).name if place.startswith(("/", "~")) else place)
