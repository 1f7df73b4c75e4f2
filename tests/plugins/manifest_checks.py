"""Fixtures: does a Kubernetes manifest hold, field by field, for the versions that we support?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VERSIONS = tuple(f"1.{minor}" for minor in range(28, 38))
"""The versions of Kubernetes whose published schemas a manifest is held against."""

SCHEMAS = Path(__file__).parents[1] / "data/crds"


@cache
def _custom_schemas() -> Mapping[tuple[str, str], Any]:
    """Validators of ``tests/data/crds`` by API version and kind."""
    from jsonschema import Draft202012Validator

    schemas = [json.loads(path.read_bytes()) for path in sorted(SCHEMAS.glob("*.json"))]
    return {
        (one["properties"]["apiVersion"]["const"], one["properties"]["kind"]["const"]): Draft202012Validator(
            one
        )
        for one in schemas
    }


def faults(manifest: Mapping[str, Any], versions: Iterable[str] = VERSIONS) -> list[str]:
    """What is wrong with a manifest, a line each: unknown or missing fields, wrong types, unknown kinds.

    Args:
        manifest: the manifest as parsed YAML.
        versions: of Kubernetes. Custom resources have one schema, whatever the version.
    """
    import kubernetes_validate

    custom = _custom_schemas().get((manifest["apiVersion"], manifest["kind"]))
    if custom is not None:
        return [f"{error.json_path}: {error.message}" for error in custom.iter_errors(manifest)]
    found = []
    for version in versions:
        try:
            kubernetes_validate.validate(dict(manifest), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            found.append(f"Kubernetes {version}: {path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"Kubernetes {version}: has no {manifest['kind']} in {manifest['apiVersion']}")
    return found


@pytest.fixture(scope="session")
def validate_manifest() -> Callable[..., None]:
    """Fails the test when a manifest does not hold for each of the versions; see :func:`faults`."""

    def validate(manifest: Mapping[str, Any], versions: Iterable[str] = VERSIONS) -> None:
        found = faults(manifest, versions)
        name = manifest.get("metadata", {}).get("name")
        assert not found, f"{manifest['kind']} {name}:\n" + "\n".join(found)

    return validate


@pytest.fixture(scope="session")
def kubectl_program(require_service: Callable[[str], str]) -> str:
    """kubectl: the one that the extra ``dev`` brings, else the one on the PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.exists() else require_service("kubectl")
