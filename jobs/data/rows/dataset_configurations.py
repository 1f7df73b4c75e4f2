"""The configurations in a dataset's README: read here, so that no library looks for files by them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starfreight.errors import InputError, RecipeError
from starfreight.files import open_regular
from starfreight.recipe.yaml import parse_yaml

_README = "README.md"
_HIDDEN_README = ".huggingface.yaml"
_MAX_HEAD = 1 << 20
_HEAD = re.compile(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_SEPARATORS, _FIELD = ("sep", "delimiter"), "field"
_FOLLOWED = frozenset({"config_name", "data_files", "data_dir", "default", *_SEPARATORS, _FIELD})
_WITHOUT_EFFECT = frozenset({"version", "description", "drop_labels", "drop_metadata"})
"""Keys that do not change the rows of the formats that are read."""


@dataclass(frozen=True)
class Configuration:
    """A configuration of a dataset.

    Attributes:
        patterns: of the files of each split, below ``folder``; ``None`` to tell splits by the files' names.
        folder: relative to the dataset, with a slash at the end; empty for the dataset itself.
        separator: of the columns of CSV files, one character; ``None`` for that of the file's suffix.
        field: the key of a JSON object that holds the records; ``None`` if the file holds only records.
    """

    patterns: Mapping[str, tuple[str, ...]] | None = None
    folder: str = ""
    separator: str | None = None
    field: str | None = None


def chosen_configuration(dataset: Path) -> Configuration:
    """Return the only configuration of a dataset, or the default one of several.

    Raises:
        InputError: none of several is the default, one names a file outside the dataset, or has a key that is
            not followed.
    """
    if (dataset / _HIDDEN_README).exists():
        raise InputError(
            "The dataset is configured by a hidden file.",
            where=str(dataset / _HIDDEN_README),
            fix="move its contents to the head of README.md",
        )
    readme = dataset / _README
    listed = _listed(readme)
    for each in listed:
        for key in ("data_files", "data_dir"):
            for name in _names(each.get(key)):
                if leads_out(name):
                    raise outside(name, readme)
    if not listed:
        return Configuration()
    if len(listed) == 1:
        return _configuration(listed[0], readme)
    names = [str(each.get("config_name")) for each in listed]
    default = [each for each in listed if each.get("default") is True] or [
        each for each, name in zip(listed, names, strict=True) if name == "default"
    ]
    if len(default) != 1:
        raise InputError(
            "The dataset has several configurations, and "
            f"{'none' if not default else 'more than one'} is the default: {', '.join(names)[:300]}.",
            where=str(readme),
            fix="set 'default: true' for one in its README.md, or name a file of it as the source",
        )
    return _configuration(default[0], readme)


def outside(name: str, where: Path) -> InputError:
    """Return the error for a name that no file of the dataset has."""
    return InputError(
        f"The dataset names {name[:200]!r}, which is not a file in its directory.",
        where=str(where),
        fix="copy the file into the directory and correct the configurations in README.md",
    )


def leads_out(name: str) -> bool:
    """Return true for a name that is an address, is absolute, or leaves its directory."""
    return (
        bool(urlsplit(name).scheme)
        or "::" in name
        or "\\" in name
        or name.startswith(("/", "~"))
        or ".." in name.split("/")
    )


def _listed(readme: Path) -> list[dict[str, Any]]:
    if not readme.is_file():
        return []
    with open_regular(readme, "README") as stream:
        text = stream.read(_MAX_HEAD + 1).decode("utf-8-sig", "replace")
    head = _HEAD.match(text)
    if head is None:
        if len(text) > _MAX_HEAD and text.lstrip().startswith("---"):
            raise _invalid("its head is larger than 1 MiB", readme)
        return []
    if "configs" not in head[1]:
        return []
    try:
        found = parse_yaml(head[1], str(readme))
    except RecipeError as error:
        raise _invalid(error.what.partition(": ")[2].rstrip("."), readme) from error
    listed = found.get("configs") if isinstance(found, dict) else None
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _invalid("its configs are not a list of configurations", readme)
    return listed


def _configuration(entry: dict[str, Any], readme: Path) -> Configuration:
    unknown = sorted(map(str, set(entry) - _FOLLOWED - _WITHOUT_EFFECT))
    if unknown:
        raise InputError(
            f"The configuration {str(entry.get('config_name'))!r} sets {unknown[0]!r}, "
            "which is not supported.",
            where=str(readme),
            fix="remove the key, or convert the dataset to Parquet or JSONL",
        )
    separator = next((entry[key] for key in _SEPARATORS if entry.get(key) is not None), None)
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise _invalid("a separator of columns is not one character", readme)
    folder, field = entry.get("data_dir"), entry.get(_FIELD)
    if not isinstance(folder, str | None) or not isinstance(field, str | None):
        raise _invalid("a data_dir or field is not a text", readme)
    folder = "/".join(part for part in (folder or "").split("/") if part not in ("", "."))
    return Configuration(
        patterns=_patterns(entry.get("data_files"), readme),
        folder=folder and folder + "/",
        separator=separator,
        field=field,
    )


def _patterns(value: Any, readme: Path) -> dict[str, tuple[str, ...]] | None:
    """Convert a text, a list of texts, or a list of splits with their paths."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        value = [{"split": split, "path": path} for split, path in value.items()]
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return {"train": tuple(value)}
    found: dict[str, tuple[str, ...]] = {}
    for each in value if isinstance(value, list) and value else [None]:
        split = each.get("split") if isinstance(each, dict) else None
        path = each.get("path") if isinstance(each, dict) else None
        paths = [path] if isinstance(path, str) else path
        if (
            not isinstance(split, str)
            or split in found
            or not isinstance(paths, list)
            or not all(isinstance(name, str) for name in paths)
        ):
            raise _invalid(
                "data_files is not a path, a list of paths, or a list of splits with paths", readme
            )
        found[split] = tuple(paths)
    return found


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in [value["path"]] if "path" in value else value.values():
            yield from _names(each)
    elif isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif value is not None:
        yield str(value)


def _invalid(how: str, readme: Path) -> InputError:
    return InputError(
        f"The configurations of the dataset cannot be read: {how}.",
        where=str(readme),
        fix="correct the YAML at the head of README.md",
    )
