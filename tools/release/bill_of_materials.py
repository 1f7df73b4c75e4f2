"""A CycloneDX bill of materials of a release: its archives, and the libraries that it was tested with.

    write_bom(built, "0.1.0", extras=("train",), epoch=1767225600, path=Path("starfreight-0.1.0.cdx.json"))

The wheel names ranges of its dependencies; the bill names the versions in this environment, where tests ran.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import uuid
from collections.abc import Iterable
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_NAME = "starfreight"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://starfreight.dev/releases")


def write_bom(
    archives: Iterable[Path], version: str, *, extras: tuple[str, ...], epoch: int, path: Path
) -> None:
    """Write the bill of materials of a release.

    Args:
        archives: the wheel and the sdist.
        version: of the release.
        extras: optional dependencies to list, too.
        epoch: its time in seconds since 1970.
        path: the file to write.
    """
    files = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in archives}
    project = _component(_NAME, version)
    project.type = ComponentType.APPLICATION
    project.external_references.update(
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/project/{_NAME}/{version}/#{name}"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for name, digest in files.items()
    )
    bom = Bom(
        serial_number=uuid.uuid5(_SPACE, " ".join(sorted(files.values()))),
        metadata=BomMetaData(
            component=project,
            timestamp=datetime.datetime.fromtimestamp(epoch, datetime.UTC),
            manufacturer=OrganizationalEntity(name="Starfreight"),
        ),
    )
    needed = _closure(extras)
    components = {name: _component(name, importlib.metadata.version(name)) for name in needed}
    bom.components.update(components.values())
    bom.register_dependency(project, [components[name] for name in _direct(_NAME, extras)])
    for name, (_, wanted) in needed.items():
        bom.register_dependency(components[name], [components[each] for each in wanted])
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    path.write_text(text + "\n")


def _closure(extras: tuple[str, ...]) -> dict[str, tuple[frozenset[str], tuple[str, ...]]]:
    """The installed distributions that a release needs: their extras and direct dependencies by name."""
    found: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}
    waiting = [(_NAME, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        before = found.get(name, (frozenset[str](), ()))
        if name in found and wanted <= before[0]:
            continue
        wanted |= before[0]
        requirements = _requirements(name, wanted)
        found[name] = (
            wanted,
            tuple(sorted({canonicalize_name(each.name) for each in requirements} - {name})),
        )
        waiting += [(canonicalize_name(each.name), frozenset(each.extras)) for each in requirements]
    del found[_NAME]
    return dict(sorted(found.items()))


def _direct(name: str, extras: Iterable[str]) -> list[str]:
    names = {canonicalize_name(each.name) for each in _requirements(name, frozenset(extras))}
    return sorted(names - {name})


def _requirements(name: str, extras: frozenset[str]) -> list[Requirement]:
    lines = importlib.metadata.requires(name) or []
    found = [Requirement(line) for line in lines]
    return [
        each
        for each in found
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def _component(name: str, version: str) -> Component:
    metadata = importlib.metadata.metadata(name)
    expression = metadata.get("License-Expression")
    plain = metadata.get("License", "").strip().split("\n")[0][:100]
    license = (
        LicenseExpression(expression) if expression else DisjunctiveLicense(name=plain) if plain else None
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("pypi", name=name, version=version),
        licenses=[license] if license else [],
    )
