"""Reads the rows of a dataset, in the process of :mod:`starfreight.jobs.data.rows.server`.

No library looks for files. The files of the split are chosen by name from
:func:`~starfreight.jobs.data.rows.dataset_files.checked_files`, whose digests are in the manifest, and opened
one by one. A row has all columns of all files of its split. The `datasets` library reads what its
``save_to_disk`` has written, once the names in there are checked; in other files it would infer types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.data.rows import arrow_rows, parquet_rows, record_formats
from starfreight.jobs.data.rows.data_file import chosen_format, opened
from starfreight.jobs.data.rows.dataset_configurations import Configuration, chosen_configuration
from starfreight.jobs.data.rows.dataset_files import checked_files, saved_files, saved_splits
from starfreight.jobs.data.rows.dataset_splits import split_files
from starfreight.jobs.data.rows.json_shape import JsonShape
from starfreight.jobs.data.sources.pointers import pointer_error

Row = Mapping[str, Any]


def import_libraries(path: Path) -> None:
    """Import the libraries before the memory is limited."""
    from pyarrow import ipc, parquet  # noqa: F401

    if saved_splits(path) is not None:
        import datasets  # noqa: F401


def read_rows(path: Path, split: str) -> Iterator[Row]:
    """Yield the rows of a split.

    Raises:
        InputError: a forbidden file, a file outside the directory, a column of pictures or sound, an unknown
            split, or a file in the wrong format.
    """
    names = [each.relative_to(path).as_posix() for each in checked_files(path)]
    splits = saved_splits(path)
    if splits is not None:
        yield from _saved_rows(path, names, splits, split)
        return
    configuration = chosen_configuration(path)
    chosen = split_files(path, names, configuration, split)
    kind, chosen = chosen_format(path, chosen)
    files = [path / name for name in chosen]
    if kind in ("parquet", "arrow"):
        yield from _table_rows(files, arrow=kind == "arrow")
    else:
        yield from _record_rows(files, kind, configuration)


def _saved_rows(path: Path, names: list[str], splits: tuple[str, ...], split: str) -> Iterator[Row]:
    if splits and split not in splits:
        raise InputError(
            f"The dataset has no split {split!r}.",
            where=f"{path}, split {split}",
            fix="set data.split to one of " + ", ".join(splits),
        )
    folder = path / split if splits else path
    files = saved_files(folder)
    known = set(names)
    for file in files:
        name = (folder / file).relative_to(path).as_posix()
        if name not in known:
            raise InputError(
                f"The saved dataset lacks the file {name!r}.",
                where=str(folder),
                fix="save the dataset again with save_to_disk",
            )
        with _naming(folder / file), arrow_rows.opened(folder / file) as (schema, _):
            arrow_rows.json_columns(schema, str(folder / file))
    # Its own format: the library reads it best, and opens these files only.
    from datasets import load_from_disk

    for row in _located(folder, iter(load_from_disk(str(folder)))):
        yield dict(row)


def _table_rows(files: list[Path], *, arrow: bool) -> Iterator[Row]:
    columns: dict[str, None] = {}
    noted: dict[Path, dict[str, Any]] = {}
    for file in files:
        with _naming(file), arrow_rows.opened(file) if arrow else parquet_rows.opened(file) as found:
            schema = found[0] if isinstance(found, tuple) else found.schema_arrow
            columns.update(dict.fromkeys(schema.names))
            noted[file] = arrow_rows.json_columns(schema, str(file))
    for file in files:
        types = noted[file]
        rows = arrow_rows.read_rows(file) if arrow else parquet_rows.read_rows(file, "")
        for row in _located(file, rows):
            yield {
                name: arrow_rows.with_json(row.get(name), types[name]) if name in types else row.get(name)
                for name in columns
            }


def _record_rows(files: list[Path], kind: str, configuration: Configuration) -> Iterator[Row]:
    if kind == "text":
        yield from _rows_of(files, kind, configuration)
        return
    shape = JsonShape()
    for row in _rows_of(files, kind, configuration):
        shape.add(row)
    for row in _rows_of(files, kind, configuration):
        yield shape.row(dict(row))


def _rows_of(files: list[Path], kind: str, configuration: Configuration) -> Iterator[Row]:
    for file in files:
        yield from _located(file, _file_rows(file, kind, configuration))


def _file_rows(file: Path, kind: str, configuration: Configuration) -> Iterator[Row]:
    with opened(file) as streams:
        for name, stream in streams:
            if kind == "json":
                yield from record_formats.json_rows(stream, configuration.field)
            elif kind == "csv":
                tabs = "tsv" in name.lower().split(".")[1:]
                yield from record_formats.csv_rows(stream, configuration.separator or ("\t" if tabs else ","))
            else:
                yield from record_formats.text_rows(stream)


def _located(file: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield rows; an error names the file and the row."""
    number = 0
    with _naming(file, lambda: number):
        for row in rows:
            number += 1
            yield row


@contextlib.contextmanager
def _naming(file: Path, read: Callable[[], int] = lambda: 0) -> Iterator[None]:
    try:
        yield
    except (MemoryError, GeneratorExit):
        raise
    # The libraries have no single exception for damaged files; hostile ones raise almost any.
    except Exception as error:
        if (pointer := pointer_error(file)) is not None:
            raise pointer from error
        where = f"{file}, row {read() + 1}"
        if isinstance(error, StarfreightError):
            error.where = error.where or where
            raise
        reason = " ".join(str(error).split())[:200].rstrip(" .")  # Some libraries write several lines.
        raise InputError(
            f"The data cannot be read: {reason or type(error).__name__}.",
            where=where,
            fix="check that the file is complete and in the format of its name",
        ) from error
