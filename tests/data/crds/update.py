"""Makes the JSON Schemas of this folder from the CustomResourceDefinitions that the projects publish.

    python tests/data/crds/update.py path/to/crd.yaml [...]

Of each CRD its newest served version is taken, without ``status``, descriptions, defaults and what only an
API server evaluates (CEL rules, list types). An API server drops fields that the schema does not name, so
here they are errors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KEPT = {
    "type", "required", "enum", "pattern", "anyOf", "oneOf", "allOf", "not",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip
COMBINED = ("anyOf", "oneOf", "allOf")


def strict(schema: dict[str, Any], *, combined: bool = False) -> dict[str, Any]:
    """A structural schema of OpenAPI v3 as a JSON Schema that knows no other fields.

    Args:
        schema: a schema or a part of one.
        combined: it stands under ``anyOf`` and the like, where it only adds to a schema that says all fields.
    """
    made = {key: value for key, value in schema.items() if key in KEPT}
    for key in COMBINED:
        if key in made:
            made[key] = [strict(one, combined=True) for one in made[key]]
    if "not" in made:
        made["not"] = strict(made["not"], combined=True)
    if schema.get("nullable"):
        made["type"] = [made["type"], "null"]
    if "items" in schema:
        made["items"] = strict(schema["items"], combined=combined)
    if "properties" in schema:
        made["properties"] = {
            name: strict(one, combined=combined) for name, one in schema["properties"].items()
        }
    open_ended = (
        schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties") is True
    )
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(schema["additionalProperties"], combined=combined)
    elif schema.get("type") == "object" and not open_ended and not combined:
        # An object of which nothing is said is emptied by the API server.
        made["additionalProperties"] = False
    return made


def schema_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a CRD's newest served version."""
    spec = definition["spec"]
    version = [one for one in spec["versions"] if one["served"]][-1]
    schema = strict(version["schema"]["openAPIV3Schema"])
    kind, api_version = spec["names"]["kind"], f"{spec['group']}/{version['name']}"
    schema["properties"].pop("status", None)
    # The API server has a schema of its own for the metadata at the top.
    schema["properties"] |= {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": {"type": "object", "required": ["name"]},
    }
    schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{api_version} {kind}",
    } | schema


def main(paths: list[str]) -> None:
    """Writes a file for each CRD: ``GROUP.VERSION.KIND.json``."""
    for path in paths:
        schema = schema_of(yaml.safe_load(Path(path).read_text()))
        api_version, kind = schema["title"].split()
        name = f"{api_version.replace('/', '.')}.{kind}.json".lower()
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        (Path(__file__).parent / name).write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
