"""Reads the rows of a dataset, in the process of :mod:`starfreight.jobs.data.rows.server`.

The `datasets` library finds the files of a directory by its README, which may name any file or address. Names
are therefore checked before it sees them, and its list of files before it opens them: each has to be in
:func:`~starfreight.jobs.data.rows.dataset_files.checked_files`, whose digests are in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starfreight.errors import InputError
from starfreight.jobs.data.rows.dataset_files import checked_files, saved_splits

_README = "README.md"
_HIDDEN_README = ".huggingface.yaml"
_FORMATS = frozenset(("arrow", "csv", "json", "parquet", "text"))
"""Modules of the library whose files neither run code nor name other files."""


def import_libraries() -> None:
    """Import the libraries before the memory is limited."""
    import datasets  # noqa: F401
    from pyarrow import parquet  # noqa: F401


def read_rows(path: Path, split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a split.

    Raises:
        InputError: a forbidden file, or a file outside the directory, or a column of pictures or sound.
    """
    from datasets import DatasetDict, load_from_disk

    files = checked_files(path)
    splits = saved_splits(path)
    if splits is not None:
        loaded = load_from_disk(str(path))
        rows = loaded[split] if isinstance(loaded, DatasetDict) else loaded
    else:
        rows = _builder(path, files).as_streaming_dataset(split=split)
    _check_columns(rows.features or {}, f"{path}, split {split}")
    for row in rows:
        yield dict(row)


def _builder(path: Path, files: list[Path]) -> Any:
    from datasets import load_dataset_builder

    _check_configurations(path)
    try:
        builder = load_dataset_builder(str(path))
    except ValueError as error:
        if "Config name is missing" not in str(error):
            raise
        raise InputError(
            "The dataset has several configurations, and none is the default.",
            where=str(path / _README),
            fix="set 'default: true' for one in its README.md, or name a file of it as the source",
        ) from error
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in _FORMATS:
        raise InputError(
            f"The dataset has files of the format {kind!r}, which is not read.",
            where=str(path),
            fix="convert the dataset to Parquet or JSONL",
        )
    home = path.resolve()
    known = {str(home / file.relative_to(path)) for file in files}
    for named in (builder.config.data_files or {}).values():
        for name in named:
            if str(name) not in known:
                raise _outside(str(name), path)
    return builder


def _check_configurations(path: Path) -> None:
    """Refuse a README that names files outside the directory, with the library's own parser."""
    from huggingface_hub import DatasetCard

    if (path / _HIDDEN_README).exists():
        raise InputError(
            "The dataset is configured by a hidden file.",
            where=str(path / _HIDDEN_README),
            fix="move its contents to the head of README.md",
        )
    readme = path / _README
    if not readme.is_file():
        return
    found = DatasetCard.load(str(readme)).data.to_dict().get("configs")
    for configuration in found if isinstance(found, list) else []:
        if isinstance(configuration, dict):
            for key in ("data_files", "data_dir"):
                for name in _names(configuration.get(key)):
                    if _leads_out(name):
                        raise _outside(name, readme)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _names(value.get("path"))
    elif isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif value is not None:
        yield str(value)


def _leads_out(name: str) -> bool:
    return (
        bool(urlsplit(name).scheme)
        or "::" in name
        or "\\" in name
        or name.startswith(("/", "~"))
        or ".." in name.split("/")
    )


def _outside(name: str, where: Path) -> InputError:
    return InputError(
        f"The dataset names {name[:200]!r}, which is not a file in its directory.",
        where=str(where),
        fix="copy the file into the directory and correct the configurations in README.md",
    )


def _check_columns(columns: Mapping[str, Any], where: str) -> None:
    for name, kind in columns.items():
        # The decoders of images, audio and video are not hardened against hostile data.
        if hasattr(kind, "decode_example"):
            raise InputError(
                f"The column {name!r} holds data of type {type(kind).__name__}, not text.",
                where=where,
                fix="remove the column",
            )
