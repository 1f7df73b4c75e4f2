"""License duties of a package, from its own files.

    report = package_duties(folder, package)

The base model's license is that of the recipe in the provenance statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from starfreight.base_documents import packaged_name
from starfreight.base_model import known_license
from starfreight.console import printable
from starfreight.data_manifest import DataManifest
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.licenses.training_use import DataLicense, data_licenses
from starfreight.package import Descriptor, Package
from starfreight.package_training_data import read_training_data
from starfreight.packager.model_license import recorded_terms
from starfreight.packager.provenance.duties.interface import Material, ShippedText
from starfreight.packager.provenance.duties.report import DutyReport, judge_duties
from starfreight.packager.provenance.recorded import MAX_STATEMENT_BYTES, Provenance, read_provenance

_MOST_TEXTS = 200
_MOST_LICENSES = 20_000
_LICENSE = re.compile(r"licen[sc]e([._-].*)?", re.IGNORECASE)


def package_duties(folder: Path, package: Package | None = None) -> DutyReport:
    """The duties of a package.

    Args:
        folder: its directory.
        package: its record, if it is loaded.

    Raises:
        InputError: no package there.
        GateError: a text of it, its statement or its data manifest is missing or damaged.
    """
    package = package or Package.load(folder)
    data = read_training_data(folder, package)
    return judge_package(ImageLayout(folder), package, _provenance(folder, package), data)


def judge_package(
    layout: ImageLayout, package: Package, provenance: Provenance | None, data: DataManifest | None
) -> DutyReport:
    """The duties of a package whose statement and data manifest are read.

    Args:
        layout: its files.
        package: its record.
        provenance: its statement; ``None`` if it makes no claims.
        data: its data manifest, if it has one.

    Raises:
        GateError: a text of it is missing, damaged or too large.
    """
    of_data = licenses_of_data(data) if data is not None else ()
    material = package_material(layout, package, provenance)
    if not material.chosen:
        found = _data_license_names(provenance, data)
        material = replace(material, terms=recorded_terms(package, found, material.base_license))
    return judge_duties(material, of_data)


def _data_license_names(provenance: Provenance | None, data: DataManifest | None) -> set[str]:
    """The licenses of the data, from the data manifest, or without one from the statement."""
    if data is not None:
        return {name for source in data.sources for name in source.licenses}
    return {name for source in provenance.sources for name in source.licenses} if provenance else set()


def licenses_of_data(data: DataManifest) -> tuple[DataLicense, ...]:
    """The licenses in a data manifest, with the number of texts under each.

    Raises:
        GateError: they are too many to be real.
    """
    if len({name for source in data.sources for name in source.licenses}) > _MOST_LICENSES:
        raise GateError(
            f"The data manifest names more than {_MOST_LICENSES:,} licenses.",
            where=str(data.path),
            fix="get the package again from its source",
        )
    return data_licenses(
        (source.source, {name: count.samples for name, count in source.licenses.items()})
        for source in data.sources
    )


def package_material(layout: ImageLayout, package: Package, provenance: Provenance | None) -> Material:
    """The parts of a package that duties are about.

    Raises:
        GateError: a text is missing, damaged, too large, or one of too many.
    """
    if len(package.licenses) + len(package.documents) > _MOST_TEXTS:
        raise GateError(
            f"The package has more than {_MOST_TEXTS} licenses and documents.",
            where=str(layout.folder),
            fix="get the package again from its source",
        )
    licenses = tuple(
        ShippedText(each.name, each.text.digest, _text(layout, each.text)) for each in package.licenses
    )
    documents = {each.name: _text(layout, each.text) for each in package.documents}
    stated = " AND ".join(dict.fromkeys(each.name for each in package.licenses)) or "NOASSERTION"
    recipe = provenance.recipe if provenance is not None else None
    base_license = (known_license(recipe.base) if recipe is not None else None) or stated
    chosen = recipe.package.license if recipe is not None else None
    return Material(
        name=package.name,
        title=package.title,
        license=chosen or base_license,
        chosen=chosen is not None,
        base=package.base.name,
        base_license=base_license,
        authors=recipe.package.card.authors if recipe is not None else (),
        licenses=licenses,
        documents=documents,
        digests=frozenset(
            [each.text.digest for each in package.licenses] + [each.text.digest for each in package.documents]
        ),
        base_notices=_notices(provenance.base_files) if provenance is not None else {},
        card=_text(layout, package.model_card),
        description=package.description,
        earlier=package.version == 1,
    )


def _notices(files: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): digest for name, digest in sorted(files.items()) if is_notice(name)}


def is_notice(name: str) -> bool:
    """True for the name of a license or a notice of a base model."""
    return _LICENSE.fullmatch(name) is not None or packaged_name(name) is not None


def _provenance(folder: Path, package: Package) -> Provenance | None:
    """The statement; ``None`` for the made-up golden package, which has an empty one."""
    from starfreight.packager.provenance.compare import is_made_up

    data = ImageLayout(folder).read(package.provenance, MAX_STATEMENT_BYTES)
    return None if is_made_up(data, package) else read_provenance(folder, package)


def _text(layout: ImageLayout, descriptor: Descriptor) -> str:
    return layout.read(descriptor).decode(errors="replace")
