"""The license of a tuned model, from its base and its training data.

Without ``package.license`` a model is under its base model's license, and under the licenses of its data that
bind its users (:mod:`starfreight.licenses.data_terms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starfreight.licenses.data_terms import data_terms, in_conjunction, joint_license
from starfreight.package import Package
from starfreight.packager.model_description import LicenseText
from starfreight.packager.provenance.shown_source import shown_source
from starfreight.public_source import public_source
from starfreight.run import Run

_NOTICE = """{name}

Texts under this license were among the training data of this model:

{sources}

The license's own text is not in this package, and nobody has stated what it means for the model. It may limit
who may use the model, and whether it may be passed on. Ask the publisher.

The license of the base model, {base}, applies as well.
"""
_MOST_SOURCES = 100
_MOST_LICENSES = 20_000


def model_license(run: Run, manifest: Mapping[str, Any]) -> str:
    """The license of a run's model.

    Args:
        run: the finished run.
        manifest: ``data/manifest.json``, of version 1 or 2.
    """
    return run.recipe.package.license or joint_license(run.base.license, own_terms(run, manifest))


def own_terms(run: Run, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The licenses of the data that bind the model's users; empty if the recipe chooses the license."""
    if run.recipe.package.license is not None:
        return ()
    names = (name for source in manifest["sources"] for name in _licenses(source))
    return data_terms(names, run.base.license)


def recorded_terms(package: Package, licenses: Iterable[str], base: str) -> tuple[str, ...]:
    """The licenses of the data among those of a package: earlier versions named the base's alone.

    Args:
        package: its record.
        licenses: of its data.
        base: license of the base model.
    """
    named = {each.name for each in package.licenses} - {base, in_conjunction(base)}
    found = set(licenses) if named else set()
    if len(found) > _MOST_LICENSES:  # Too many to be real, and to be parsed.
        return ()
    return tuple(term for term in data_terms(found, base) if term in named)


def with_data_terms(
    licenses: Sequence[LicenseText], run: Run, manifest: Mapping[str, Any]
) -> tuple[LicenseText, ...]:
    """The licenses of a package, with a notice for each license of the data that binds its users."""
    terms = own_terms(run, manifest)
    if not terms:
        return tuple(licenses)
    base = run.base.license
    named = [each.model_copy(update={"name": in_conjunction(each.name)}) for each in licenses]
    return (*named, *(_notice(term, base, manifest) for term in terms))


def _notice(term: str, base: str, manifest: Mapping[str, Any]) -> LicenseText:
    sources = [
        shown_source(public_source(source["source"]))
        for source in manifest["sources"]
        if term in data_terms(_licenses(source), base)
    ] or [shown_source(public_source(source["source"])) for source in manifest["sources"]]
    listed = [f"  {' '.join(each.split())}" for each in dict.fromkeys(sources)]
    if (more := len(listed) - _MOST_SOURCES) > 0:
        listed[_MOST_SOURCES:] = [f"  and {more:,} more"]
    text = _NOTICE.format(name=term, sources="\n".join(listed), base=base)
    return LicenseText(name=term, text=text.encode())


def _licenses(source: Mapping[str, Any]) -> tuple[str, ...]:
    """The licenses of a source in use. Manifests of version 1 have one."""
    return tuple(source["licenses"]) if "found" in source else (source["license"],)
