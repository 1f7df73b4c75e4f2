"""What training reads: the samples of a source that a manifest names, each proved to be the one it names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NoReturn, cast

from starfreight.errors import InputError
from starfreight.jobs.data.manifest.manifest import DataManifest
from starfreight.jobs.data.sources.interface import Sample, Source, Unusable

Split = Literal["train", "held_out"]


def used_samples(source: Source, manifest: DataManifest, number: int) -> Iterator[tuple[Sample, Split]]:
    """The samples of a source that are used, in its order, and the side of each.

    The source is read from its beginning to its end beside the manifest and the list of what stays out, which
    are in the same order; memory does not grow with it.

    Args:
        source: opened where it lies now.
        manifest: of the run.
        number: of the source in the recipe.

    Raises:
        InputError: the source does not hold exactly what it held when the run was prepared.
    """
    spelled = manifest.sources[number].source
    kept, out = manifest.kept(number), manifest.left_out_names(number)
    expected, skipped = next(kept, None), next(out, None)
    for found in source.samples():
        if expected is not None and found.name == expected.path:
            if isinstance(found, Unusable) or found.digest != expected.digest:
                _changed(spelled, found.name, "is another text now")
            yield found, cast(Split, expected.split)
            expected = next(kept, None)
        elif found.name == skipped:
            skipped = next(out, None)
        else:
            _changed(spelled, found.name, "was not there, or one before it is gone")
    missing = expected.path if expected is not None else skipped
    if missing is not None:
        _changed(spelled, missing, "is gone")


def _changed(source: str, name: str, how: str) -> NoReturn:
    raise InputError(
        f"The data has changed since the run was prepared: {name} {how}.",
        where=source,
        fix="restore it, or prepare a new run: starfreight jobs run RECIPE",
    )
