"""The files of each split of a dataset, chosen from the list of its files by their names alone.

The patterns are those of the `datasets` library 5.2 (``data_files.py``), applied to the list instead of the
disk: a file that is not on the list, and therefore not in the manifest, belongs to no split.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.data.rows.dataset_configurations import Configuration, leads_out, outside

_IGNORED = frozenset({
    "README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip",
    "dataset_dict.json",
})  # fmt: skip
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_BETWEEN = "[-._ 0-9]"
_IN_FOLDERS = ("**/{0}/**", "**/{0}{1}*/**", "**/*{1}{0}/**", "**/*{1}{0}{1}*/**")
_IN_NAMES = ("**/{0}{1}*", "**/*{1}{0}{1}*")
_SHARD = re.compile(r"data/(\w+(?:\.\w+)*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")


def split_files(dataset: Path, names: Sequence[str], configuration: Configuration, split: str) -> list[str]:
    """Return the names of the files of a split, in the order in which they are read.

    Args:
        dataset: the directory, for errors.
        names: of all its files, relative to it.
        configuration: of the README.
        split: of the recipe.

    Raises:
        InputError: a pattern of the README matches no file, or there is no such split.
    """
    inside = [
        name.removeprefix(configuration.folder) for name in names if name.startswith(configuration.folder)
    ]
    if configuration.patterns is None:
        splits = named_splits(inside)
        _check_capitals(dataset, inside, splits)
    else:
        splits = {
            each: _matching(inside, patterns, required_in=dataset)
            for each, patterns in configuration.patterns.items()
        }
    if split not in splits:
        in_none = sorted(set(inside) - _IGNORED - {name for files in splits.values() for name in files})
        raise InputError(
            f"The dataset has no split {split!r}."
            + (f" Files in no split: {', '.join(in_none)[:200]}." if in_none and splits else ""),
            where=f"{dataset}, split {split}",
            fix="set data.split to one of "
            + (", ".join(splits) or "its splits")
            + ", or list the files of each split in the configurations at the head of README.md",
        )
    return [configuration.folder + name for name in splits[split]]


def _check_capitals(dataset: Path, names: Sequence[str], splits: Mapping[str, Sequence[str]]) -> None:
    """Refuse ``Train.csv`` beside ``Test.csv``: to the `datasets` library, both are the split ``train``."""
    if list(splits) == ["train"] and len(found := named_splits([name.lower() for name in names])) > 1:
        raise InputError(
            f"The files of the splits {', '.join(found)} have capital letters in their names, "
            "so all of them would be read as train.",
            where=str(dataset),
            fix="rename them in small letters, or list the files of each split in the configurations at the "
            "head of README.md",
        )


def named_splits(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split by their names: ``data/dev-00000-of-00002.parquet``, ``test/a.jsonl``.

    If no name tells a split, all files are in ``train``.
    """
    shards: dict[str, list[str]] = {}
    for name in sorted(names):
        if found := _SHARD.fullmatch(name):
            shards.setdefault(found[1], []).append(name)
    if shards:
        return {split: shards[split] for split in sorted(shards, key=_rank)}
    for kind in (_IN_FOLDERS, _IN_NAMES):
        splits = {
            split: _matching(names, [each.format(word, _BETWEEN) for word in words for each in kind])
            for split, words in _KEYWORDS.items()
        }
        if any(splits.values()):
            return {split: files for split, files in splits.items() if files}
    everything = _matching(names, ["**"])
    return {"train": everything} if everything else {}


def _matching(names: Sequence[str], patterns: Sequence[str], required_in: Path | None = None) -> list[str]:
    """Return the names that match, each once, in the order of the patterns."""
    found: dict[str, None] = {}
    for pattern in patterns:
        plain = "/".join(part for part in pattern.split("/") if part not in ("", "."))
        special = sum(part.startswith("__") for part in plain.split("/"))
        matching = [
            name
            for name in sorted(names)
            if glob_matches(name, plain)
            and (name == plain or name.rsplit("/", 1)[-1] not in _IGNORED)
            and sum(part.startswith("__") for part in name.split("/")[:-1]) <= special
        ]
        if required_in is not None and (leads_out(pattern) or not matching):
            raise outside(pattern, required_in / "README.md")
        found.update(dict.fromkeys(matching))
    return list(found)


def glob_matches(name: str, pattern: str) -> bool:
    """Return true if a pattern of `fsspec` matches; ``*`` stays in one directory, ``**`` is any number.

    The time is bounded by the product of their lengths.
    """
    parts = pattern.split("/")
    last = len(parts) - 1

    def reached(positions: set[int]) -> set[int]:
        for position in sorted(positions):
            while position < last and parts[position] == "**" and position + 1 not in positions:
                position += 1
                positions.add(position)
        return positions

    at = reached({0})
    for component in name.split("/"):
        after: set[int] = set()
        for position in at:
            if position <= last and parts[position] == "**":
                after |= {position, last + 1} if position == last else {position}
            elif position <= last and fnmatch.fnmatchcase(component, parts[position]):
                after.add(position + 1)
        at = reached(after)
    return last + 1 in at


def _rank(split: str) -> tuple[int, str]:
    order = list(_KEYWORDS)
    return (order.index(split) if split in order else len(order), split)
