"""License duties before training, from the recipe and the base model's directory.

    report = planned_duties(recipe, recipe_folder, base, data)

Parts that only a built package has, such as the model card, are left for later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from starfreight.base_documents import MAX_DOCUMENTS, base_documents
from starfreight.base_model import known_license, public_name
from starfreight.checkpoint.files import inside
from starfreight.errors import InputError
from starfreight.files import read_limited, sha256_bytes
from starfreight.license_files import find_license_texts, read_beside_recipe
from starfreight.licenses.data_terms import data_terms
from starfreight.licenses.training_use import DataLicense
from starfreight.packager.provenance.duties.interface import Material, ShippedText
from starfreight.packager.provenance.duties.of_package import is_notice
from starfreight.packager.provenance.duties.report import DutyReport, judge_duties
from starfreight.recipe import Recipe
from starfreight.registry.manifests import MAX_MANIFEST_BYTES


def planned_duties(
    recipe: Recipe, folder: Path, base: Path | None, data: Sequence[DataLicense] = ()
) -> DutyReport:
    """The duties of a recipe's model.

    Args:
        recipe: without a sweep.
        folder: the directory where its relative paths start.
        base: the base model's directory; ``None`` if it is not here.
        data: the licenses of its data, as far as they are known.
    """
    material = planned_material(recipe, folder, base)
    if not material.chosen:
        terms = data_terms((each.license for each in data), material.base_license)
        material = replace(material, terms=terms)
    return judge_duties(material, data, shared=recipe.publish is not None)


def planned_material(recipe: Recipe, folder: Path, base: Path | None) -> Material:
    """The parts of a recipe's package, as far as they are known. Arguments as for :func:`planned_duties`."""
    package, card = recipe.package, recipe.package.card
    base_license = known_license(recipe.base) or "NOASSERTION"
    licenses = tuple(
        ShippedText(name, sha256_bytes(text), text.decode(errors="replace"))
        for name, text in _license_texts(recipe, folder, base, base_license)
    )
    documents, notices = _documents(base) if base is not None else ({}, {})
    shipped = {sha256_bytes(text) for text in documents.values()} | {each.digest for each in licenses}
    return Material(
        name=recipe.name,
        title=card.title or recipe.name,
        license=package.license or base_license,
        chosen=package.license is not None,
        base=public_name(recipe.base.model),
        base_license=base_license,
        authors=card.authors,
        licenses=licenses,
        documents={name: text.decode() for name, text in documents.items()},
        digests=frozenset(shipped),
        base_notices=notices,
        description="\n".join((card.description, card.intended_use, card.limitations)),
        planned=True,
        base_here=base is not None,
    )


def _license_texts(
    recipe: Recipe, folder: Path, base: Path | None, base_license: str
) -> tuple[tuple[str, bytes], ...]:
    try:
        added = read_beside_recipe(recipe.package, folder)
    except InputError:
        added = ()  # Like the model itself, the text may be yet to come; a run would stop.
    return find_license_texts(recipe.package, base_license, base, added)


def _documents(base: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The documents that the package will have, and the digests of the base's licenses and notices."""
    documents: dict[str, bytes] = {}
    for each in base_documents(base)[:MAX_DOCUMENTS]:
        data = _read(base, each.path.name)
        if data is not None and data.strip() and _is_text(data):
            documents[each.name] = data
    notices = {}
    for path in sorted(base.iterdir()):
        data = _read(base, path.name) if is_notice(path.name) else None
        if data is not None and data.strip():
            notices[path.name] = sha256_bytes(data)
    return documents, notices


def _read(base: Path, name: str) -> bytes | None:
    try:
        return read_limited(inside(base, name), MAX_MANIFEST_BYTES, "document")
    except InputError:
        return None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
