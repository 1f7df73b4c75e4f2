"""The resolved dependencies of a package's statement, as in-toto resource descriptors.

Each resource has a name of its own: ``base``, ``base/<file>``, ``data/manifest.json``, ``data/<list>``,
``data/<number>``, ``recipe``, ``image/trainer``, ``image/packager``, ``training/<library>`` and
``packaging/<library>``. ``docs/build-type.md`` describes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starfreight import __version__
from starfreight.base_model import public_name
from starfreight.data_manifest import SourceSummary
from starfreight.image import image_digest
from starfreight.origin import RecipeSource
from starfreight.packager.provenance.addresses import base_address, library_url, source_address
from starfreight.public_source import public_source
from starfreight.records import FileDigest
from starfreight.run import DATA_MANIFEST, BaseInput, Run

DATA_FOLDER = "data/"
_KERNELS = ("gguf", "libggml-python", "numba", "numpy")

Resource = dict[str, Any]


def dependencies(run: Run, data_manifest: Mapping[str, Any]) -> Iterator[Resource]:
    """All dependencies of a run's package.

    Args:
        run: the finished run.
        data_manifest: ``data/manifest.json``, of any version.
    """
    yield base_resource(run.base)
    for file in run.base.files:
        yield base_file(file)
    yield named(DATA_MANIFEST, run.data_manifest.digest)
    sources = data_manifest["sources"]
    # Manifests of version 1 have no lists beside them.
    for listed in (data_manifest.get("left_out"), *(source.get("records") for source in sources)):
        if listed:
            yield named(f"{DATA_FOLDER}{listed['path']}", listed["digest"])
    for number, source in enumerate(sources):
        yield source_resource(number, run.data_manifest.digest, source, licenses_of(source))
    if run.origin is not None and run.origin.source is not None:
        yield recipe_resource(run.origin.source)
    for name, digest in (("trainer", run.image), ("packager", image_digest())):
        if digest is not None:
            yield named(f"image/{name}", digest)
    for part, versions in (("training", run.versions), ("packaging", packaging_versions())):
        for name, found in sorted(versions.items()):
            yield {"name": f"{part}/{name}", "uri": library_url(name, found)}


def named(name: str, digest: str) -> Resource:
    """A resource with nothing but its digest."""
    algorithm, value = digest.split(":")
    return {"name": name, "digest": {algorithm: value}}


def base_resource(base: BaseInput) -> Resource:
    """The base model: its address, the digest of the list of its files, and its license."""
    return base_of_recipe(base.model, base.revision, base.digest, base.license)


def base_of_recipe(model: str, revision: str | None, digest: str, license_name: str) -> Resource:
    """As :func:`base_resource`, from the parts that a recipe and a package know."""
    address = base_address(model, revision)
    notes = {"license": license_name, "model": public_name(model)}
    resource = named("base", digest) | {"annotations": notes}
    return resource if address.uri is None else resource | {"uri": address.uri}


def base_file(file: FileDigest) -> Resource:
    """A file of the base model."""
    return named(f"base/{file.path}", file.digest) | {"annotations": {"size": file.size}}


def licenses_of(source: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Samples and bytes used from a source by license, from a data manifest of any version."""
    if "found" in source:
        return {
            name: {"samples": count["samples"], "bytes": count["bytes"]}
            for name, count in source["licenses"].items()
        }
    sizes = [file["size"] for file in source["files"]]
    return {source["license"]: {"samples": len(sizes), "bytes": sum(sizes)}} if sizes else {}


def source_resource(
    number: int,
    manifest_digest: str,
    source: Mapping[str, Any],
    licenses: Mapping[str, Mapping[str, int]],
) -> Resource:
    """A source of training data: its address and the licenses found in it, without its files.

    Args:
        number: of the source, from 0.
        manifest_digest: of the data manifest, which stands for the files.
        source: its entry in the data manifest.
        licenses: samples and bytes used, by license.
    """
    name = public_source(source["source"])
    address = source_address(name, source["revision"])
    notes: dict[str, Any] = {"source": name, "licenses": licenses}
    for key in ("format", "license", "revision"):
        if source.get(key) is not None:
            notes[key] = source[key]
    resource: Resource = {
        "name": f"{DATA_FOLDER}{number}",
        "uri": address.uri or f"urn:starfreight:data:{manifest_digest}:{number}",
        "annotations": notes,
    }
    return resource | ({"digest": address.digest} if address.digest else {})


def summary_resource(number: int, manifest_digest: str, summary: SourceSummary) -> Resource:
    """As :func:`source_resource`, for a source of a data manifest that is loaded."""
    source = summary.model_dump(exclude={"licenses"})
    licenses = {name: count.model_dump() for name, count in summary.licenses.items()}
    return source_resource(number, manifest_digest, source, licenses)


def recipe_resource(source: RecipeSource) -> Resource:
    """The commit of the recipe's repository."""
    resource: Resource = {"name": "recipe", "digest": {"gitCommit": source.commit}}
    if source.uri is not None:
        resource["uri"] = source.uri
    if source.dirty is not None:
        resource["annotations"] = {"dirty": source.dirty}
    return resource


def packaging_versions() -> dict[str, str]:
    """Versions of the libraries that make the files of a package, in this installation."""
    found = {"starfreight": __version__}
    for name in _KERNELS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # A copy without metadata.
            continue
    return found


def resources_by_name(resources: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The resources by name.

    Raises:
        ValueError: two have one name.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for each in resources:
        if each["name"] in found:
            raise ValueError(f"two dependencies are called {str(each['name'])[:200]!r}")
        found[each["name"]] = each
    return found
