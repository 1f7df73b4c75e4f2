"""The catalogue: duplicates and held-out samples, with made-up findings."""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.data.filters.interface import Finding
from starfreight.jobs.data.manifest.catalogue import Catalogue, held_out_count
from starfreight.jobs.data.manifest.catalogue_entries import CatalogueEntry
from starfreight.jobs.data.sources.interface import Unusable
from starfreight.recipe.data import Data, Filters


def finding(name: str, text: str = "", **changes: Any) -> Finding:
    """The finding for a file with this text; by default each file has a text of its own."""
    text = text or name
    digest = hashlib.sha256(text.encode())
    values: dict[str, Any] = {
        "sample_name": name, "digest": "sha256:" + digest.hexdigest(), "size": len(text), "swhid": None,
        "path": name, "repository": None, "commit": None, "license": "MIT", "language": "Python",
        "rejected_by": None, "detail": None, "replaced": {}, "key": digest.digest()[:16], "signature": None,
    }  # fmt: skip
    return Finding(**{**values, **changes})


def signature(seed: int, changed: int = 0) -> bytes:
    """128 values drawn with a seed, the first ``changed`` of them other ones."""
    rng = random.Random(seed)
    values = [rng.randrange(2**32) for _ in range(128)]
    values[:changed] = [value ^ 1 for value in values[:changed]]
    return struct.pack("<128I", *values)


Fill = Callable[..., list[list[CatalogueEntry]]]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Adds the findings of sources to a catalogue and returns the entries kept from each."""

    def fill_catalogue(
        *sources: tuple[Data, Sequence[Finding | Unusable]],
        left_out: list[Any] | None = None,
        records: bool = False,
    ) -> list[list[CatalogueEntry]]:
        path = tmp_path / f"catalogue-{len(list(tmp_path.iterdir()))}"
        with Catalogue(path, [data for data, _ in sources]) as catalogue:
            for number, (_, found) in enumerate(sources):
                for each in found:
                    catalogue.add(number, each)
            catalogue.split([records] * len(sources))
            if left_out is not None:
                left_out += catalogue.left_out()
            return [list(catalogue.kept(number)) for number in range(len(sources))]

    return fill_catalogue


def source(held_out: float = 0, **filters: Any) -> Data:
    return Data(source="./a", held_out=held_out, filters=Filters(**filters))


def names(entries: Iterable[CatalogueEntry]) -> list[str]:
    return [entry.name for entry in entries]


def apart(entries: Iterable[CatalogueEntry]) -> set[str]:
    return {entry.name for entry in entries if entry.held_out}


def test_of_equal_texts_the_first_in_the_recipes_order_stays(fill: Fill) -> None:
    left: list[Any] = []
    a = (source(), [finding("b.py", "x"), finding("a.py", "x"), finding("c.py", "y")])
    b = (source(), [finding("d.py", "y"), finding("e.py", "z")])
    kept = fill(a, b, left_out=left)
    assert [names(entries) for entries in kept] == [["b.py", "c.py"], ["e.py"]]
    assert [(each.source, each.name, each.filter, each.twin) for each in left] == [
        (0, "a.py", "exact_duplicates", (0, "b.py")),
        (1, "d.py", "exact_duplicates", (0, "c.py")),
    ]


def test_equal_texts_stay_where_the_source_lets_them(fill: Fill) -> None:
    a = (source(), [finding("a.py", "x")])
    b = (source(exact_duplicates=False), [finding("b.py", "x"), finding("c.py", "x")])
    assert [names(entries) for entries in fill(a, b)] == [["a.py"], ["b.py", "c.py"]]


def test_what_is_left_out_for_another_reason_takes_no_other_text_with_it(fill: Fill) -> None:
    refused = finding("a.py", "x", rejected_by="license", detail="GPL-3.0-only", signature=signature(1))
    left: list[Any] = []
    (kept,) = fill((source(), [refused, finding("b.py", "x", signature=signature(1))]), left_out=left)
    assert names(kept) == ["b.py"]
    assert [(each.filter, each.detail) for each in left] == [("license", "GPL-3.0-only")]


@pytest.mark.parametrize(
    ("changed", "stays"), [(0, False), (12, False), (19, False), (20, True), (128, True)]
)
def test_a_text_near_one_that_stays_is_left_out_at_the_threshold(
    fill: Fill, changed: int, stays: bool
) -> None:
    # 109 of 128 values are 85.2%, 108 are 84.4%.
    texts = [finding("a.py", signature=signature(1)), finding("b.py", signature=signature(1, changed))]
    (kept,) = fill((source(near_duplicates=0.85), texts))
    assert ("b.py" in names(kept)) == stays
    (kept,) = fill((source(near_duplicates=False), texts))
    assert names(kept) == ["a.py", "b.py"]


def test_a_text_near_one_that_is_left_out_stays(fill: Fill) -> None:
    # b is near a, c is near b but not near a.
    chain = [
        finding(f"{name}.py", signature=signature(1, changed))
        for name, changed in zip("abc", (0, 15, 30), strict=True)
    ]
    (kept,) = fill((source(near_duplicates=0.85), chain))
    assert names(kept) == ["a.py", "c.py"]


def test_near_duplicates_are_found_in_a_source_before(fill: Fill) -> None:
    a = (source(near_duplicates=False), [finding("a.py", signature=signature(1))])
    b = (source(near_duplicates=0.85), [finding("b.py", signature=signature(1, 5))])
    left: list[Any] = []
    assert [names(entries) for entries in fill(a, b, left_out=left)] == [["a.py"], []]
    assert left[0].twin == (0, "a.py")


def test_the_most_similar_of_very_many_candidates_is_still_found(fill: Fill) -> None:
    """All share one band; only the last shares all of them."""

    def sharing_a_band(seed: int) -> bytes:
        return signature(0)[:32] + signature(seed)[32:]

    texts = [finding(f"{n}.py", signature=sharing_a_band(n)) for n in range(1, 700)]
    texts += [finding("original.py", signature=signature(0)), finding("copy.py", signature=signature(0, 3))]
    (kept,) = fill((source(near_duplicates=0.85), texts))
    assert len(kept) == 700
    assert "copy.py" not in names(kept)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 1.0])
def test_a_part_of_the_files_is_held_out_and_the_same_ones_whatever_else_there_is(
    fill: Fill, fraction: float
) -> None:
    files = [finding(f"{number:02}.py") for number in range(20)]
    (kept,) = fill((source(fraction), files))
    assert len(apart(kept)) == min(19, round(20 * fraction))
    (shuffled,) = fill((source(fraction), files[::-1]))
    assert apart(shuffled) == apart(kept)
    (more,) = fill((source(fraction), [*files, finding("more.py")]))
    assert len(apart(kept) - apart(more)) <= 1


def test_at_least_one_file_is_held_out_and_at_least_one_stays() -> None:
    assert [held_out_count(units, 0.01) for units in (0, 1, 2, 49, 200)] == [0, 0, 1, 1, 2]
    assert held_out_count(200, 1.0) == 199
    assert held_out_count(200, 0) == 0


def test_a_source_of_several_repositories_is_divided_by_repository(fill: Fill) -> None:
    files = [finding(f"{n}.py", repository=f"acme/{n // 10}") for n in range(50)]
    (kept,) = fill((source(0.4), files))
    held = {entry.repository for entry in kept if entry.held_out}
    assert len(held) == 2
    assert not held & {entry.repository for entry in kept if not entry.held_out}
    (kept,) = fill((source(0.4), [finding(f"{n}.py", repository="acme/app") for n in range(50)]))
    assert len(apart(kept)) == 20, "one repository is divided by file"


def test_equal_files_and_equal_records_are_on_one_side(fill: Fill) -> None:
    same = [finding(f"{n:02}.py", text=f"text {n // 4}") for n in range(40)]
    for records in (False, True):
        (kept,) = fill((source(0.3, exact_duplicates=False), same), records=records)
        held = {entry.digest for entry in kept if entry.held_out}
        assert len(held) == 3
        assert not held & {entry.digest for entry in kept if not entry.held_out}


def test_records_are_divided_by_their_text_and_not_by_their_place(fill: Fill) -> None:
    records = [finding(f"a.jsonl:{n}", text=f"text {n}") for n in range(20)]
    moved = [finding(f"a.jsonl:{n + 5}", text=f"text {n}") for n in range(20)]
    held = []
    for each in (records, moved):
        (kept,) = fill((source(0.2), each), records=True)
        held.append({entry.digest for entry in kept if entry.held_out})
    assert held[0] == held[1]
    assert len(held[0]) == 4


def test_nothing_that_is_held_out_is_learned_from_another_source_or_repository(fill: Fill) -> None:
    files = [finding(f"{n}.py", text=f"text {n}") for n in range(20)]
    left: list[Any] = []
    first, second = fill((source(0.3), files), (source(0, exact_duplicates=False), files), left_out=left)
    assert len(apart(first)) == 6
    assert set(names(second)) == {each.sample_name for each in files} - apart(first)
    assert {(each.filter, each.source) for each in left} == {("held_out", 1)}
    left.clear()
    shared = [finding(f"{r}/{n}.py", text=f"text {n}", repository=str(r)) for r in range(4) for n in range(3)]
    (kept,) = fill((source(0.25, exact_duplicates=False), shared), left_out=left)
    held = {entry.digest for entry in kept if entry.held_out}
    assert len(held) == 3
    assert not held & {entry.digest for entry in kept if not entry.held_out}


def test_what_cannot_be_used_is_counted_with_its_reason(fill: Fill, tmp_path: Path) -> None:
    left: list[Any] = []
    (kept,) = fill((source(), [Unusable("a.bin", "binary"), finding("b.py")]), left_out=left)
    assert names(kept) == ["b.py"]
    assert [(each.name, each.filter, each.detail) for each in left] == [("a.bin", "unusable", "binary")]


MEASURE = """
import hashlib, random, resource, sys
from pathlib import Path
from starfreight.jobs.data.manifest import catalogue
from starfreight.jobs.data.manifest.catalogue import Catalogue
from starfreight.jobs.data.filters.interface import Finding
from starfreight.jobs.data.manifest.writer import write_manifest
from starfreight.data_manifest import DataManifest
from starfreight.recipe.data import Data

def findings(count):
    rng = random.Random(1)
    for n in range(count):
        yield Finding(f"src/{n:07}.py", "sha256:" + f"{n:064x}", 4000, None, "a.py", f"acme/{n // 20}", None,
                      "MIT", "Python", None, None, {}, n.to_bytes(16, "big"), rng.randbytes(512))

catalogue._CACHE = 4096
folder = Path(sys.argv[1])
data = [Data(source="./a")]
with Catalogue(folder / "catalogue", data) as table:
    for found in findings(int(sys.argv[2])):
        table.add(0, found)
    table.split([False])
    (folder / "out").mkdir()
    write_manifest(table, data, [()], folder / "out")
kept = sum(1 for _ in DataManifest.load(folder / "out/manifest.json").kept(0))
assert kept == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_is_flat_in_the_number_of_samples(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(folder), str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    # The signatures of the second are 10 MB by themselves and its manifest 5 MB; as objects, much more.
    assert peaks[1] < peaks[0] + 6, f"{peaks} MiB"
