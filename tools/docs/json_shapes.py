"""Shapes of the commands' JSON, as JSON Schemas learnt from real outputs, and the page about them.

    python tools/docs/json_shapes.py recorded.jsonl

adds what ``record_json`` recorded to ``docs/json-outputs.json``, and writes the section of
``docs/json-output.md``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs/json-outputs.json"
PAGE = ROOT / "docs/json-output.md"
BEGIN, END = "<!-- generated: tools/docs/json_shapes.py -->", "<!-- end of the generated part -->"

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_MAPS = frozenset(
    (
        *("labels", "languages", "left_out", "left_out_names", "licenses", "machine"),
        *("options", "other_licenses", "parameters", "tags"),
    )
)
"""Keys of objects whose own keys are names, even if these look like keys of a format."""

_Shape = dict[str, Any]


def shape_of(value: Any, key: str = "") -> _Shape:
    """The schema of one value."""
    if isinstance(value, Mapping):
        named = (key in _MAPS and bool(value)) or not all(_KEY.fullmatch(each) for each in value)
        if named:
            return {"type": ["object"], "additionalProperties": joined(map(shape_of, value.values()))}
        properties = {each: shape_of(part, each) for each, part in value.items()}
        return {"type": ["object"], "properties": properties, "required": sorted(properties)}
    if isinstance(value, list):
        return {"type": ["array"], "items": joined(map(shape_of, value))}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return {"type": [kinds[type(value)]]}


def joined(shapes: Iterable[_Shape]) -> _Shape:
    """The schema that all values of these schemas meet."""
    result: _Shape = {}
    for shape in shapes:
        result = _both(result, shape) if result else shape
    return result


def _both(one: _Shape, other: _Shape) -> _Shape:
    if not one or not other:
        return one or other
    kinds = {*one["type"], *other["type"]}
    result: _Shape = {"type": sorted(kinds - ({"integer"} if "number" in kinds else set()))}
    if "array" in kinds:
        result["items"] = _both(one.get("items", {}), other.get("items", {}))
    if "object" not in kinds:
        return result
    objects = [each for each in (one, other) if "object" in each["type"]]
    if any("additionalProperties" in each for each in objects):
        parts = [
            part
            for each in objects
            for part in (*each.get("properties", {}).values(), each.get("additionalProperties", {}))
            if part
        ]
        result["additionalProperties"] = joined(parts)
        return result
    first, last = objects[0], objects[-1]
    names = [*first["properties"], *(name for name in last["properties"] if name not in first["properties"])]
    result["properties"] = {
        name: _both(first["properties"].get(name, {}), last["properties"].get(name, {})) for name in names
    }
    result["required"] = sorted({*first["required"]} & {*last["required"]})
    return result


def learn(schemas: Mapping[str, _Shape], recorded: Path) -> dict[str, _Shape]:
    """The schemas, widened by the recorded outputs."""
    result = dict(schemas)
    for line in recorded.read_text(encoding="utf-8").splitlines():
        command, data = json.loads(line)
        result[command] = _both(result.get(command, {}), shape_of(data))
    return dict(sorted(result.items()))


def section(schemas: Mapping[str, _Shape]) -> str:
    """The tables of the page."""
    lines = [BEGIN]
    for command, schema in schemas.items():
        lines += ["", f"### `{command}`", "", "| key | type |", "|---|---|"]
        lines += [f"| `{path}` | {kind} |" for path, kind in _rows(schema)]
    return "\n".join([*lines, "", END])


def _rows(schema: _Shape, path: str = "", *, deep: int = 3) -> Iterator[tuple[str, str]]:
    required = set(schema.get("required", ()))
    for name, part in schema.get("properties", {}).items():
        yield from _row(f"{path}{name}", part, deep, optional=name not in required)
    if named := schema.get("additionalProperties"):
        yield from _row(f"{path}NAME", named, deep, optional=False)


def _row(path: str, part: _Shape, deep: int, *, optional: bool) -> Iterator[tuple[str, str]]:
    inner, suffix = part, ""
    while inner.get("items") and "array" in inner["type"]:
        inner, suffix = inner["items"], f"{suffix}[]"
    kinds = "any" if part.get("type") in (None, ["null"]) else " or ".join(part["type"])
    yield path, kinds + (", optional" if optional else "")
    if deep > 1 and "object" in inner.get("type", ()):
        yield from _rows(inner, f"{path}{suffix}.", deep=deep - 1)


def strict(schema: _Shape) -> _Shape:
    """The schema, refusing keys that it does not have; nothing is known of values that were always empty."""
    if schema.get("type") in (None, ["null"]):
        return {}
    result = dict(schema)
    if "items" in schema:
        result["items"] = strict(schema["items"])
    if schema.get("properties"):
        result["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        result["additionalProperties"] = False
    elif "properties" in schema:
        del result["properties"]
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = strict(schema["additionalProperties"])
    return result


def page(text: str, schemas: Mapping[str, _Shape]) -> str:
    """The page with its generated part made again."""
    before, _, rest = text.partition(BEGIN)
    return before + section(schemas) + rest.partition(END)[2]


if __name__ == "__main__":
    known = json.loads(SCHEMAS.read_text(encoding="utf-8")) if SCHEMAS.exists() else {}
    for argument in sys.argv[1:]:
        known = learn(known, Path(argument))
    SCHEMAS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8")
