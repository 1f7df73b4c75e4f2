"""Training data compared entry by entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from starfreight.files import sha256_bytes
from starfreight.packager.provenance.diff.data_changes import DataChanges, compare_data
from starfreight.packager.provenance.diff.data_lines import change_lines
from starfreight.packager.provenance.diff.training_files import DataEntry, TrainingFiles


def files(*names: str, entries: Iterable[tuple[Any, ...]]) -> TrainingFiles:
    """Data from tuples: source, path, contents, and further fields."""
    made = []
    for source, path, contents, *more in entries:
        license_name, split = [*more, "MIT", "train"][:2] if len(more) < 2 else more
        digest = sha256_bytes(contents.encode())
        made.append(DataEntry(source, path, digest, len(contents), license_name, split))

    def entries_of() -> Iterator[DataEntry]:
        return iter(made)

    return TrainingFiles(names, (), entries_of)


BEFORE = [(0, "a.py", "a"), (0, "b.py", "b"), (0, "c.py", "c"), (1, "a.py", "other")]


def compared(after: list[tuple[Any, ...]], names: int = 5) -> DataChanges:
    return compare_data(
        files("./src", "./more", entries=BEFORE), files("./src", "./more", entries=after), names
    )


def test_the_same_data_in_another_order_have_no_changes() -> None:
    changes = compared(BEFORE[::-1])
    assert changes.sources == () and changes.renamed == 0
    assert list(change_lines(changes)) == []


@pytest.mark.parametrize(
    ("after", "kind", "name"),
    [
        ([*BEFORE, (0, "d.py", "d")], "added", "d.py"),
        (BEFORE[1:], "removed", "a.py"),
        ([(0, "a.py", "A"), *BEFORE[1:]], "changed", "a.py"),
        ([(0, "a.py", "a", "GPL-3.0-only"), *BEFORE[1:]], "relicensed", "a.py"),
        ([(0, "a.py", "a", "MIT", "held_out"), *BEFORE[1:]], "moved", "a.py"),
        ([(0, "a.py", "A", "GPL-3.0-only", "held_out"), *BEFORE[1:]], "changed", "a.py"),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_counted_and_named(after: list[tuple[Any, ...]], kind: str, name: str) -> None:
    changes = compared(after)
    assert {key: count for key, count in changes.counts.items() if count} == {kind: 1}
    (source,) = changes.sources
    assert (source.source, source.names[kind]) == ("./src", [name])  # type: ignore[index]


def test_one_path_in_two_sources_is_two_entries() -> None:
    (source,) = compared(BEFORE[:3]).sources
    assert (source.source, source.counts["removed"], source.after) == ("./more", 1, 0)


def test_a_renamed_file_is_added_and_removed_and_told() -> None:
    changes = compared([(0, "z.py", "a"), *BEFORE[1:]])
    assert (changes.counts["added"], changes.counts["removed"], changes.renamed) == (1, 1, 1)
    assert "1 added with the contents of a removed one" in list(change_lines(changes))


def test_records_of_one_name_are_compared_together() -> None:
    before = files("r", entries=[(0, "x", "1"), (0, "x", "2"), (0, "x", "2")])
    assert (
        compare_data(before, files("r", entries=[(0, "x", "2"), (0, "x", "1"), (0, "x", "2")]), 5).sources
        == ()
    )
    (source,) = compare_data(
        before, files("r", entries=[(0, "x", "1"), (0, "x", "1"), (0, "x", "2")]), 5
    ).sources
    assert source.counts["changed"] == 3
    (source,) = compare_data(before, files("r", entries=[(0, "x", "1"), (0, "x", "2")]), 5).sources
    assert source.counts["changed"] == 2


def test_an_unknown_split_is_no_change() -> None:
    before = files("r", entries=[(0, "x", "1", "MIT", None)])
    assert compare_data(before, files("r", entries=[(0, "x", "1", "MIT", "held_out")]), 5).sources == ()


def test_only_the_first_names_are_kept() -> None:
    changes = compared([*BEFORE, *((0, f"n{number}.py", str(number)) for number in range(10))], names=2)
    assert changes.sources[0].names["added"] == ["n0.py", "n1.py"]
    assert list(change_lines(changes))[-1] == "  + and 8 more added"
    silent = compared(BEFORE[1:], names=0)
    assert list(change_lines(silent)) == ["./src: 1 removed"]


def test_sources_of_one_release_alone_are_told() -> None:
    before, after = files("old", entries=[(0, "a", "a")]), files("new", entries=[(0, "a", "a")])
    assert list(change_lines(compare_data(before, after, 0)))[:2] == [
        "old: source removed, 1 removed",
        "new: new source, 1 added",
    ]


def test_empty_data_compare() -> None:
    nothing = files(entries=[])
    assert compare_data(nothing, nothing, 5).sources == ()
    assert compare_data(nothing, files("a", entries=[]), 5).sources[0].before is None
