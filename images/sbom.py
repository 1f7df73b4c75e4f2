"""The software bill of materials of an image: its Python and Debian packages, as CycloneDX 1.6 JSON.

    bom = make_sbom(engine, image)

The same image gives the same bytes: the serial number is derived from the image's id, and the time is
the image's. Specification: https://cyclonedx.org/docs/1.6/json/.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfreight import __version__
from starfreight.image import BuiltImage
from starfreight.images.contents import DebianPackage, ImageContents, PythonPackage, read_contents

if TYPE_CHECKING:
    import docker
    from cyclonedx.model.component import Component

MEDIA_TYPE = "application/vnd.cyclonedx+json"
"""Media type of the layer and artifact type; registered with IANA."""


def make_sbom(engine: docker.DockerClient, image: BuiltImage) -> bytes:
    """Inspects an image and writes its software bill of materials.

    Raises:
        InputError: the engine does not have the image, or a list of packages in it is invalid.
        ServiceError: the engine refuses or stops answering.
    """
    return render_sbom(image, read_contents(engine, image.id))


def render_sbom(image: BuiltImage, contents: ImageContents) -> bytes:
    """Renders the bill of materials from an image's contents."""
    # Takes a third of a second to import.
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    root = Component(
        name=image.name, version=image.id, type=ComponentType.CONTAINER, bom_ref=image.id,
    )  # fmt: skip
    parts = [_python(package) for package in contents.python]
    parts += [_debian(package, contents.system) for package in contents.debian]
    name, version = contents.system
    if name:
        parts.append(
            Component(
                name=name,
                version=version,
                type=ComponentType.OPERATING_SYSTEM,
                bom_ref=f"os:{name}@{version}",
            )
        )
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, image.id), components=parts)
    bom.metadata.timestamp = datetime.fromisoformat(contents.created)
    bom.metadata.component = root
    bom.metadata.tools.components.add(
        Component(
            name="starfreight", version=__version__, type=ComponentType.APPLICATION, bom_ref="starfreight"
        )
    )
    bom.register_dependency(root, parts)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return text.encode() + b"\n"


def _python(package: PythonPackage) -> Component:
    from cyclonedx.factory.license import LicenseFactory
    from packageurl import PackageURL

    licenses = [LicenseFactory().make_from_string(package.license)] if package.license else []
    url = PackageURL("pypi", name=package.name, version=package.version)
    return _component(package.name, package.version, url, licenses=licenses)


def _debian(package: DebianPackage, system: tuple[str, str]) -> Component:
    from packageurl import PackageURL

    qualifiers = {"arch": package.architecture}
    if all(system):
        qualifiers["distro"] = "-".join(system)
    if package.source != package.name:
        qualifiers["upstream"] = package.source
    url = PackageURL("deb", system[0] or "debian", package.name, package.version, qualifiers)
    return _component(package.name, package.version, url)


def _component(name: str, version: str, url: Any, **more: Any) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    # Components without a bom_ref get a random one.
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url), **more
    )
