"""The first form of the bill of materials. A change of its bytes needs another form beside this one:
``package verify`` makes the document of an earlier package again. ``tests/packager/golden/bom`` pins it.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from starfreight.packager.bom.components import (
    BASE,
    DATA_MANIFEST,
    MODEL,
    base_model,
    description,
    images,
    libraries,
    model_files,
    training_data,
)
from starfreight.packager.bom.facts import BomFacts
from starfreight.packager.bom.licenses import license_choices
from starfreight.packager.bom.model_card import model_card
from starfreight.packager.bom.values import hashes, line, present, properties, url
from starfreight.packager.manifests.flat_names import document_names, license_names

FIGURES = "https://starfreight.dev/predicates/evaluation/v1"
"""Address of a reference to a statement with figures."""
_CONTACT = re.compile(r"([^<>]{1,200}) <([A-Za-z0-9.+_-]{1,100}@[A-Za-z0-9.-]{1,100})>")
_NAMESPACE = uuid.UUID("c2b6f0f0-6d4d-5c55-9a55-8f6a1c1f4e3a")
"""Of the serial numbers of bills of materials."""


def document(facts: BomFacts) -> bytes:
    """The document, as sorted and indented JSON.

    Raises:
        ValueError: a document of the package has the name of another file.
    """
    components = [
        *model_files(facts),
        base_model(facts),
        *training_data(facts),
        *libraries(facts),
        *images(facts),
    ]
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {
            "timestamp": facts.package.created,
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [_tool(facts)]},
            "component": _model(facts),
        },
        "components": _unique(components),
        "dependencies": _dependencies(components),
        "properties": properties({"bom:form": 1}),
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True, ensure_ascii=False))
    return _bytes(content | {"serialNumber": f"urn:uuid:{serial}"})


def _bytes(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _tool(facts: BomFacts) -> dict[str, Any]:
    builder = facts.provenance.statement["predicate"]["runDetails"].get("builder", {})
    versions = builder.get("version") if isinstance(builder, dict) else None
    version = versions.get("starfreight") if isinstance(versions, dict) else None
    known = version if isinstance(version, str) and re.fullmatch(r"[0-9A-Za-z.+-]{1,50}", version) else None
    return present(
        {
            "type": "application",
            "name": "starfreight",
            "version": known,
            "purl": f"pkg:pypi/starfreight@{known}".replace("+", "%2B") if known else None,
        }
    )


def _model(facts: BomFacts) -> dict[str, Any]:
    package = facts.package
    return present(
        {
            "type": "machine-learning-model",
            "bom-ref": MODEL,
            "name": line(package.name),
            "version": line(package.run),
            "description": description(package.description),
            "authors": [_author(name) for name in facts.provenance.recipe.package.card.authors],
            "licenses": license_choices(each.name for each in package.licenses),
            "externalReferences": _references(facts),
            "modelCard": model_card(facts),
            "properties": properties(
                {
                    "package:title": package.title,
                    "package:recipe": package.recipe,
                    "package:builder": facts.provenance.builder,
                }
            ),
        }
    )


def _author(name: str) -> dict[str, str]:
    found = _CONTACT.fullmatch(line(name))
    return {"name": found[1].strip(), "email": found[2]} if found else {"name": line(name)}


def _references(facts: BomFacts) -> list[dict[str, Any]]:
    """Files of the package by their names in an export, the model's addresses, and its evaluations."""
    package, card = facts.package, facts.provenance.recipe.package.card
    files = [
        ("model-card", "README.md", package.model_card),
        ("attestation", "provenance.intoto.json", package.provenance),
        *(("license", name, part) for name, part in license_names(package.licenses)),
        *(("documentation", name, part) for name, part in document_names(package.documents)),
    ]
    found: list[dict[str, Any]] = [
        {"type": kind, "url": name, "hashes": hashes(part.digest)} for kind, name, part in files
    ]
    addresses = [
        ("website", card.url),
        ("vcs", card.repository),
        ("citation", f"https://doi.org/{card.doi}" if card.doi else None),
    ]
    found += [
        {"type": kind, "url": address}
        for kind, value in addresses
        if value is not None and (address := url(value)) is not None
    ]
    source = facts.provenance.source_commit
    if source is not None and source.uri is not None and (address := url(source.uri)) is not None:
        found.append({"type": "vcs", "url": address, "comment": line(f"recipe at commit {source.commit}")})
    found += [
        {
            "type": "quality-metrics",
            "url": FIGURES,
            "comment": line(f"Evaluation of {each.quantization}, measured {each.ended.date().isoformat()}"),
            "hashes": hashes(each.statement.digest),
        }
        for each in facts.counted
    ]
    return found


def _unique(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The components, those with a reference of an earlier one left out."""
    return list({each["bom-ref"]: each for each in reversed(components)}.values())[::-1]


def _dependencies(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The graph: the model is made from everything, its files from the base and the data."""
    references = list(dict.fromkeys(each["bom-ref"] for each in components))
    made_from = [each for each in references if each in (BASE, DATA_MANIFEST)]
    graph: list[dict[str, Any]] = [{"ref": MODEL, "dependsOn": references}]
    for each in references:
        needs = made_from if each.startswith("gguf:") else []
        graph.append(present({"ref": each, "dependsOn": needs}))
    return graph
