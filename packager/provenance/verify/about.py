"""The facts of a package for the head of the page."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.package import Package
from starfreight.packager.provenance.verify.interface import Examined
from starfreight.packager.provenance.verify.verdict import About

_MOST_LINES = 8


def about(examined: Examined) -> About:
    """The facts of a package whose parts were read."""
    package = examined.package
    base = package.base
    at = f" at {base.revision}" if base.revision else f" ({base.digest})"
    facts = {
        "package": (f"{package.name} of the run {package.run}, which ended {package.created}",),
        "base": (base.name + at,),
        "data": _shortened(_data(examined)),
        "licenses": (", ".join(dict.fromkeys(each.name for each in package.licenses)) or "none named",),
        "models": tuple(_models(package)),
        "figures": _shortened(_figures(examined)),
    }
    return About(package.title, facts)


def _models(package: Package) -> Iterator[str]:
    for variant in package.variants:
        yield f"{variant.quantization} {human_count(variant.gguf.size, 'B')} {variant.gguf.digest}"
    if package.adapter is not None:
        yield f"adapter {human_count(package.adapter.size, 'B')} {package.adapter.digest}"


def _data(examined: Examined) -> Iterator[str]:
    if examined.provenance is None:
        yield "unknown: the package has no statement"
        return
    for source in examined.provenance.recipe.data:
        yield f"{source.source} ({source.license})"


def _figures(examined: Examined) -> Iterator[str]:
    from starfreight.package_evaluations import read_evaluations
    from starfreight.packager.cli.evaluations import evaluation_lines
    from starfreight.packager.provenance.verify.evaluations import with_signatures

    found = with_signatures(examined, read_evaluations(examined.folder, examined.package))
    if not found.evaluations:
        yield "none: no evaluation is attached"
    for line in evaluation_lines(examined.package, found):
        yield line.removeprefix("  ")


def _shortened(lines: Iterator[str]) -> tuple[str, ...]:
    listed = tuple(lines)
    left = len(listed) - _MOST_LINES
    return (*listed[:_MOST_LINES], f"and {human_count(left, 'more lines')}") if left > 1 else listed
