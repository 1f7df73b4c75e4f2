"""Conversion of records to samples by the names of their columns, for all sources of records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic

from starfreight.errors import InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES, OtherValue, is_missing
from starfreight.jobs.data.sources.common_columns import COMMON
from starfreight.jobs.data.sources.file_text import file_text
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.text_files import is_wanted
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_CUT = ("prefix", "middle", "suffix")


def read_records(
    records: Iterable[tuple[str, Mapping[str, Any]]], data: Data, where: str
) -> Iterator[Sample | Unusable]:
    """Convert records to samples.

    For the formats made from files, a record with a file's text in a column becomes that text, subject to the
    same rules as a file. Every other record is passed on unchanged.

    Args:
        records: a name, unique in the source, and the fields.
        data: the source, which names the columns.
        where: the file or directory, for errors.

    Raises:
        InputError: a column is missing or has an invalid value.
    """
    for name, record in records:
        found = _sample(name, record, data, f"{where}, {name}")
        if found is not None:
            yield found


def container(path: str, digest: str, size: int, where: str) -> FileDigest:
    """Describe a file of records.

    Raises:
        InputError: its name is not valid in a manifest.
    """
    try:
        path.encode()
        return FileDigest(path=path, digest=digest, size=size)
    except (pydantic.ValidationError, UnicodeEncodeError) as error:
        raise InputError(
            "The name of the data file is not valid UTF-8, or has a backslash.",
            where=ascii(where),
            fix="rename the file",
        ) from error


def _sample(name: str, record: Mapping[str, Any], data: Data, where: str) -> Sample | Unusable | None:
    path = _path(_column(record, "path", data, where), where)
    if path is not None and not is_wanted(path, data):
        return None
    repository = _text(_column(record, "repository", data, where), "repository", where)
    license_name = _license(_column(record, "license", data, where), where)
    content: str | Mapping[str, Any]
    if _is_text(record, data):
        content = _text(_column(record, "content", data, where), "content", where, limit=None) or ""
        encoded = _encoded(content, where)
        found = file_text(encoded, path)
        if isinstance(found, str):
            return Unusable(name, found)
        content, conversion = found.text, found.conversion
    else:
        content, encoded, conversion = record, _canonical(record, where), None
    return Sample(
        name=name,
        content=content,
        digest=sha256_bytes(encoded),
        size=len(encoded),
        path=path,
        repository=repository,
        license=license_name,
        conversion=conversion,
    )


def _is_text(record: Mapping[str, Any], data: Data) -> bool:
    if data.format == "instruct":
        return False
    if data.columns.content is not None:
        return True
    return not all(key in record for key in _CUT) and any(key in record for key in COMMON["content"])


def _column(record: Mapping[str, Any], kind: str, data: Data, where: str) -> Any:
    name: str | None = getattr(data.columns, kind)
    if name is None:
        return next((record[each] for each in COMMON[kind] if not is_missing(record.get(each))), None)
    if name not in record:
        has = ", ".join(sorted(map(str, record)))[:300]
        raise InputError(
            f"A record has no column {name!r}.",
            where=where,
            fix=f"correct data.columns.{kind}, or the record; its columns: {has}",
        )
    return None if is_missing(record[name]) else record[name]


def _text(value: Any, kind: str, where: str, limit: int | None = 500) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or (limit is not None and (len(value) > limit or not value.isprintable())):
        raise InputError(
            f"A record's {kind} is not a text"
            + (f" on one line of at most {limit} characters." if limit else "."),
            where=where,
            fix=f"correct it, or set data.columns.{kind} to another column",
        )
    return value or None


def _path(value: Any, where: str) -> str | None:
    path = _text(value, "path", where, limit=4096)
    if path is None:
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise InputError(
            "A record's path leads out of its repository.",
            where=where,
            fix="correct it, or set data.columns.path to another column",
        )
    return "/".join(parts)


def _license(value: Any, where: str) -> str | None:
    """Return one license, or all of a list joined by AND: each may apply, so each has to be allowed."""
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) > 100:
        values = [0]  # An error, as for any other value that is not a list of licenses.
    names = sorted({name for each in values if (name := _text(each, "license", where))})
    if len(names) < 2:
        return names[0] if names else None
    return " AND ".join(f"({each})" if re.search(r"\s", each) else each for each in names)


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # Half of a surrogate pair, which JSON permits.
        raise _not_text(where) from error


def _canonical(record: Mapping[str, Any], where: str) -> bytes:
    try:
        encoded = canonical_json(_plain(record))
    except UnicodeEncodeError as error:
        raise _not_text(where) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"A record has a value that is neither text nor number: {error}.",
            where=where,
            fix="remove the column, or write its values as text",
        ) from error
    if len(encoded) > MAX_RECORD_BYTES:
        raise InputError("A record is larger than 16 MiB.", where=where, fix="split the record")
    return encoded


def _not_text(where: str) -> InputError:
    return InputError(
        "A record has half of a surrogate pair, which is not valid text.",
        where=where,
        fix="correct the record",
    )


def _plain(value: Any, key: str = "") -> Any:
    """Convert the dates, numbers and bytes of a dataset's row to JSON, always in the same way.

    Raises:
        TypeError: a value of another type; ``key`` is its place in the record.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each, f"{key}.{name}".lstrip(".")) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{key}[]") for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, OtherValue) and value.text is not None:
        return value.text
    kind = value.kind if isinstance(value, OtherValue) else type(value).__name__
    raise TypeError(f"{key!r} is of type {kind}")
