"""Rows of an Arrow file, and the types that the `datasets` library notes in Arrow and Parquet schemas."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES

_ROWS_AT_ONCE = 16
_DECODED = frozenset({"Image", "Audio", "Video", "Pdf", "Nifti", "Mesh"})
"""The decoders of pictures, sound and films are not hardened against hostile data."""


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of an Arrow stream or file.

    Raises:
        InputError: a row is larger than 16 MiB.
    """
    with opened(path) as (_, batches):
        for batch in batches:
            batch.validate(full=True)
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                part = batch.slice(start, _ROWS_AT_ONCE)
                if part.nbytes > _ROWS_AT_ONCE * MAX_RECORD_BYTES:
                    raise InputError("A row is larger than 16 MiB.", where=None, fix="split the record")
                yield from part.to_pylist()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Open an Arrow stream or file; gives its schema and its batches."""
    import pyarrow
    from pyarrow import ipc

    with open_regular(path, "Arrow file") as stream:
        try:
            reader = ipc.open_stream(stream)
            yield reader.schema, iter(reader)
            return
        except (OSError, pyarrow.ArrowInvalid):
            stream.seek(0)
        file = ipc.open_file(stream)
        yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def json_columns(schema: Any, where: str) -> dict[str, Any]:
    """Return the noted types of the columns that hold JSON in texts, at any depth.

    Raises:
        InputError: a column holds pictures, sound or the like.
    """
    noted = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(noted)["info"]["features"] if noted else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        features = {}
    found = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        kind = feature.get("_type") if isinstance(feature, dict) else None
        if kind in _DECODED:
            raise InputError(
                f"The column {name!r} holds data of type {kind}, not text.",
                where=where,
                fix="remove the column",
            )
        if _has_json(feature, 0):
            found[name] = feature
    return found


def with_json(value: Any, feature: Any) -> Any:
    """Return a value with its JSON texts parsed, by its noted type."""
    if value is None or feature is None:
        return value
    if isinstance(feature, Mapping):
        if feature.get("_type") == "Json":
            return json.loads(value) if isinstance(value, str) else value
        items = feature.get("feature")
        if isinstance(value, list):
            return [with_json(each, items) for each in value]
        if isinstance(value, Mapping):
            # An old Sequence of objects is stored as an object of lists.
            fields = items if isinstance(items, Mapping) and "_type" in feature else feature
            return {name: with_json(each, fields.get(name)) for name, each in value.items()}
    if isinstance(feature, list) and isinstance(value, list):
        return [with_json(each, feature[0]) for each in value]
    return value


def _has_json(feature: Any, depth: int) -> bool:
    if depth > 32:
        return False
    if isinstance(feature, Mapping):
        return feature.get("_type") == "Json" or any(_has_json(each, depth + 1) for each in feature.values())
    return isinstance(feature, list) and any(_has_json(each, depth + 1) for each in feature)
