"""The components of a bill of materials: files, base model, data, libraries and images. Part of form 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from starfreight.packager.bom.facts import BomFacts
from starfreight.packager.bom.licenses import license_choices
from starfreight.packager.bom.values import (
    hashes,
    line,
    present,
    properties,
    purl,
    source_name,
    text,
    url,
)
from starfreight.packager.file_names import lora_name, model_stem
from starfreight.packager.provenance.recorded import Dependency

MODEL, BASE, DATA_MANIFEST = "model", "base", "data"
"""References of the model itself, of its base and of its data manifest."""

_IMAGE = "image"
_LIBRARIES = ("pkg:pypi/", "pkg:generic/")
_HUB = "https://huggingface.co/"


def model_files(facts: BomFacts) -> Iterator[dict[str, Any]]:
    """The GGUF files of the package, and the adapter's."""
    package = facts.package
    stem = model_stem(package.name, with_adapter=package.adapter is not None)
    for variant in package.variants:
        yield {
            "type": "file",
            "bom-ref": f"gguf:{variant.quantization}",
            "name": line(f"{stem}-{variant.quantization}.gguf"),
            "mime-type": "application/octet-stream",
            "hashes": hashes(variant.gguf.digest),
            "properties": properties(
                {
                    "file:format": "GGUF",
                    "file:size": variant.gguf.size,
                    "file:quantization": variant.quantization,
                    "file:default": "true" if variant.quantization == package.default else None,
                    "file:content": "base model" if package.adapter is not None else "tuned model",
                }
            ),
        }
    if package.adapter is not None:
        yield {
            "type": "file",
            "bom-ref": "gguf:adapter",
            "name": line(lora_name(package.name)),
            "mime-type": "application/octet-stream",
            "hashes": hashes(package.adapter.digest),
            "properties": properties(
                {"file:format": "GGUF", "file:size": package.adapter.size, "file:content": "LoRA adapter"}
            ),
        }


def base_model(facts: BomFacts) -> dict[str, Any]:
    """The base model, with its files."""
    base, stated = facts.package.base, facts.provenance.base
    name = line(base.name)
    address = url(_HUB + base.name) if base.revision else None
    files = [
        {
            "type": "file",
            "bom-ref": line(f"base/{path}"),
            "name": line(path),
            "hashes": hashes(digest),
        }
        for path, digest in facts.provenance.base_files.items()
    ]
    return present(
        {
            "type": "machine-learning-model",
            "bom-ref": BASE,
            "name": name,
            "version": base.revision or base.digest,
            "licenses": license_choices(_base_licenses(facts)),
            "purl": purl(stated.uri) if stated is not None and stated.uri else None,
            "externalReferences": [{"type": "distribution", "url": address}] if address else None,
            "components": files,
            "modelCard": {
                "modelParameters": {
                    "architectureFamily": "transformer",
                    "modelArchitecture": line(facts.package.architecture),
                }
            },
            "properties": properties({"base:digest": base.digest}),
        }
    )


def training_data(facts: BomFacts) -> Iterator[dict[str, Any]]:
    """The data manifest, then each source of data."""
    governance = _governance(facts)
    manifest = facts.provenance.data_manifest
    if manifest is not None:
        yield {
            "type": "data",
            "bom-ref": DATA_MANIFEST,
            "name": "data/manifest.json",
            "hashes": hashes(manifest),
            "data": [present({"type": "dataset", "name": "list of the training data",
                              "governance": governance})],
            "properties": properties(
                {"data:included": "true" if facts.package.training_data is not None else "false"}
            ),
        }  # fmt: skip
    for source in facts.provenance.sources:
        counts = {
            f"data:license:{name}": _amount(samples, size)
            for name, (samples, size) in sorted(source.licenses.items())
        }
        address = url(source.uri) if source.uri else None
        yield present(
            {
                "type": "data",
                "bom-ref": source_reference(source.number),
                "name": source_name(source.source),
                "version": source.revision,
                "licenses": license_choices(sorted(source.licenses) or [source.license or ""]),
                "data": [
                    present(
                        {
                            "type": "dataset",
                            "name": source_name(source.source),
                            "contents": present(
                                {"url": address, "properties": properties(counts)}
                            ) or None,
                            "governance": governance,
                        }
                    )
                ],
                "properties": properties(
                    {
                        "data:samples": sum(samples for samples, _ in source.licenses.values()),
                        "data:bytes": sum(size for _, size in source.licenses.values()),
                    }
                ),
            }
        )  # fmt: skip


def source_reference(number: int) -> str:
    """The reference of a source of data, by its place in the recipe."""
    return f"data:{number}"


def libraries(facts: BomFacts) -> Iterator[dict[str, Any]]:
    """The libraries of training and packaging, each version once."""
    phases: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for each in facts.provenance.dependencies:
        address = purl(each.uri)
        if address is None or each.digest is not None or not address.startswith(_LIBRARIES):
            continue
        phase, _, name = each.name.rpartition("/")
        phases.setdefault(address, []).append(phase or "training")
        names.setdefault(address, name)
    for address in sorted(phases):
        yield {
            "type": "library",
            "bom-ref": address,
            "name": line(names[address]),
            "version": line(unquote(address.rpartition("@")[2])) if "@" in address else "",
            "scope": "excluded",
            "purl": address,
            "properties": properties({"library:used-in": ", ".join(sorted(set(phases[address])))}),
        }


def images(facts: BomFacts) -> Iterator[dict[str, Any]]:
    """The container images that training and packaging ran in."""
    for each in _image_dependencies(facts.provenance.dependencies):
        name = each.name.partition("/")[2] or "trainer"
        yield present(
            {
                "type": "container",
                "bom-ref": line(each.name),
                "name": line(name),
                "version": each.digest,
                "scope": "excluded",
                "hashes": hashes(each.digest or ""),
                "purl": purl(each.uri) if each.uri else None,
            }
        )


def _image_dependencies(found: Iterable[Dependency]) -> Iterator[Dependency]:
    for each in found:
        if each.digest is not None and (each.name == _IMAGE or each.name.startswith(_IMAGE + "/")):
            yield each


def _base_licenses(facts: BomFacts) -> list[str]:
    """The license of the base, as the statement names it, or the recipe, or the package."""
    stated = facts.provenance.base
    notes = (stated.annotations or {}) if stated is not None else {}
    recipe = facts.provenance.recipe
    named = notes.get("license") or recipe.base.license
    if isinstance(named, str):
        return [named]
    names = [each.name for each in facts.package.licenses]
    return names[:1] if recipe.package.license is None else []


def _governance(facts: BomFacts) -> dict[str, Any] | None:
    """The people who answer for the choice of data: the recipe's contact, or else its authors."""
    card = facts.provenance.recipe.package.card
    names = [card.contact] if card.contact else list(card.authors)
    parties = [{"contact": {"name": line(name)}} for name in names]
    return {"stewards": parties} if parties else None


def _amount(samples: int, size: int) -> str:
    return f"{samples} samples, {size} bytes"


def description(value: str) -> str | None:
    """A text of the recipe, if there is any."""
    return text(value).strip() or None
