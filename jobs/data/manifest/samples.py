"""The samples of a manifest, read from their source and verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NoReturn, cast

from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.jobs.data.sources.interface import Sample, Source, Unusable

Split = Literal["train", "held_out"]


def verified_samples(source: Source, manifest: DataManifest, number: int) -> Iterator[tuple[Sample, Split]]:
    """Yield the samples of a source in the manifest, in order, each with its split.

    The whole source is read in parallel with the manifest and the list of samples left out, which have the
    same order; memory does not grow with it.

    Args:
        source: the opened source.
        manifest: of the run.
        number: of the source in the recipe.

    Raises:
        InputError: the source has changed since the run was prepared.
    """
    spelled = manifest.sources[number].source
    kept, out = manifest.kept(number), manifest.left_out_names(number)
    expected, skipped = next(kept, None), next(out, None)
    for found in source.samples():
        if expected is not None and found.name == expected.path:
            if isinstance(found, Unusable) or found.digest != expected.digest:
                _changed(spelled, found.name, "has different content")
            yield found, cast(Split, expected.split)
            expected = next(kept, None)
        elif found.name == skipped:
            skipped = next(out, None)
        else:
            _changed(spelled, found.name, "is new, or the one before it is missing")
    missing = expected.path if expected is not None else skipped
    if missing is not None:
        _changed(spelled, missing, "is missing")


def _changed(source: str, name: str, how: str) -> NoReturn:
    raise InputError(
        f"The data has changed since the run was prepared: {name} {how}.",
        where=source,
        fix="restore it, or prepare a new run: starfreight jobs run RECIPE",
    )
