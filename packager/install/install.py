"""Install a model: find the source, the variant and the name, then hand them to the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.image_layout.index import DEFAULT_NAME
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package, Variant
from starfreight.packager.install.interface import Installed, Model, Source, Target
from starfreight.packager.install.models import manifest_model, package_model, with_record
from starfreight.packager.install.sources import PackageSource, RegistrySource
from starfreight.packager.provenance.withdrawal.read import read_withdrawals, remote_withdrawals
from starfreight.packager.provenance.withdrawal.refuse import refuse_withdrawn
from starfreight.quantization import Quantization
from starfreight.registry import DigestReference, TagReference
from starfreight.registry.reference import SUFFIXES


@dataclass(frozen=True)
class InstallRequest:
    """A model to install, and its target."""

    model: str
    """A package's directory or a registry reference."""
    target: Target
    variant: str | None = None
    """A quantization; the default variant, or the one at the reference, if ``None``."""
    name: str | None = None
    """Name in Ollama; by default the reference, or the package's name."""
    insecure: bool = False
    """Use plain http for the registry."""
    force: bool = False
    """Install a withdrawn release, too."""


def install(request: InstallRequest, console: Console) -> Installed:
    """Install a model.

    Raises:
        InputError: no such model, variant or place, or an invalid name.
        GateError: bytes with another digest than announced, or the release is withdrawn.
        ServiceError: a registry or Ollama cannot be reached or fails, or a disk is full.
    """
    quantization = None if request.variant is None else Quantization.parse(request.variant)
    if Path(request.model).is_dir():
        folder = Path(request.model)
        package = Package.load(folder)
        if not request.force:
            refuse_withdrawn(read_withdrawals(package, ImageLayout(folder)), str(folder))
        variant = choose_variant(package, quantization, str(folder))
        source: Source = PackageSource(folder)
        name = request.name or f"{package.name}:{_tag(package, variant)}"
        request.target.check(name)
        return request.target.install(package_model(package, variant, source), source, name, console)
    name, model, source = _from_registry(request, quantization)
    return request.target.install(model, source, name, console)


def choose_variant(package: Package, quantization: Quantization | None, where: str) -> Variant:
    """The variant of a quantization, or the default one.

    Raises:
        InputError: there is none.
    """
    if quantization is None:
        return package.default_variant
    for variant in package.variants:
        if variant.quantization == quantization:
            return variant
    raise InputError(
        f"The package has no variant {quantization}.",
        where=where,
        fix="choose from " + ", ".join(str(each.quantization) for each in package.variants),
    )


def _tag(package: Package, variant: Variant) -> str:
    return DEFAULT_NAME if variant == package.default_variant else variant.tag


def _from_registry(request: InstallRequest, quantization: Quantization | None) -> tuple[str, Model, Source]:
    from starfreight.packager.registry.read_model import parse_any_reference, read_model
    from starfreight.packager.registry.read_record import read_record
    from starfreight.registry.client import RegistryClient

    if not _is_reference(request.model):
        raise InputError(
            "There is no such directory, and it is not a registry reference.",
            where=repr(request.model[:200]),
            fix="name a package's directory, or HOST/NAMESPACE/NAME:TAG",
        )
    reference = parse_any_reference(request.model)
    if isinstance(reference, TagReference) and quantization is not None:
        reference = _tag_of(reference, quantization)
    name = request.name or _default_name(reference)
    request.target.check(name)
    client = RegistryClient(reference, insecure=request.insecure)
    manifest = read_model(client, reference)
    if not request.force:
        refuse_withdrawn(remote_withdrawals(client, manifest.digest, str(reference)), str(reference))
    record = read_record(client, manifest.digest, reference)
    package = None if record is None else record.package
    if isinstance(reference, DigestReference) and quantization is not None:
        reference = _digest_of(reference, package, quantization)
        manifest = read_model(client, reference)
        if not request.force:
            refuse_withdrawn(remote_withdrawals(client, manifest.digest, str(reference)), str(reference))
    source = RegistrySource(client, str(reference))
    stem = reference.repository.rpartition("/")[2][:100]
    model = manifest_model(manifest, stem, source)
    return name, model if package is None else with_record(model, package, manifest.digest), source


def _is_reference(text: str) -> bool:
    return "/" in text and not text.startswith(("/", "./", "../", "~"))


def _tag_of(reference: TagReference, quantization: Quantization) -> TagReference:
    """The tag of another variant of the model at a tag, in the same format."""
    suffix = next((each for each in SUFFIXES if reference.tag.endswith(each)), "")
    tag, ending = reference.tag.removesuffix(suffix), f"-{quantization.tag}"
    return reference if tag.endswith(ending) else reference.with_tag(tag + ending + suffix)


def _digest_of(
    reference: DigestReference, package: Package | None, quantization: Quantization
) -> DigestReference:
    """The manifest of another variant of the package that a manifest belongs to, in the same format."""
    if package is None:
        raise InputError(
            "A digest names one variant.", where=str(reference), fix="omit --variant, or name a tag"
        )
    formats = {
        each.manifest.digest: each.format for variant in package.variants for each in variant.manifests
    }
    chosen = choose_variant(package, quantization, str(reference))
    for each in chosen.manifests:
        if each.format == formats.get(reference.digest):
            return replace(reference, digest=each.manifest.digest)
    raise InputError(
        f"{quantization} is not in this format.", where=str(reference), fix="name the tag of the variant"
    )


def _default_name(reference: DigestReference | TagReference) -> str:
    """The name that ``ollama pull`` would give, if it could pull from there."""
    short = reference.repository.rpartition("/")[2]
    if isinstance(reference, DigestReference):
        return short
    if reference.repository.count("/") == 1 and "." not in reference.repository.partition("/")[0]:
        return str(reference)
    return f"{short}:{reference.tag}"
