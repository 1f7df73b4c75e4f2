"""Packing: no example is lost or split, and little room is wasted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.blocks.packing import best_fit
from starfreight.jobs.data.formats import IGNORED, Example

Pack = Callable[..., list[Block]]


def random_examples(count: int, longest: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    lengths = [rng.randint(1, longest) for _ in range(count)]
    # Each has tokens of its own, so that it can be told apart in a block.
    return [Example([number] * n, [number] * n) for number, n in enumerate(lengths, start=1)]


def unpack(blocks: list[Block]) -> list[tuple[int, int]]:
    """The token and the length of every example, without the fill."""
    found = []
    for block in blocks:
        starts = np.flatnonzero(block.positions == 0).tolist()
        for start, end in zip(starts, [*starts[1:], len(block.ids)], strict=True):
            assert block.positions[start:end].tolist() == list(range(end - start))
            assert len(set(block.ids[start:end].tolist())) == 1
            if block.ids[start] != 0:
                found.append((int(block.ids[start]), end - start))
    return found


def one_by_one(lengths: Sequence[int], length: int) -> int:
    """The number of blocks by textbook best fit, longest first."""
    rooms: list[int] = []
    for size in sorted(lengths, reverse=True):
        fitting = [place for place, room in enumerate(rooms) if room >= size]
        if fitting:
            rooms[min(fitting, key=lambda place: rooms[place])] -= size
        else:
            rooms.append(length - size)
    return len(rooms)


def first_fit(lengths: Sequence[int], length: int) -> int:
    rooms: list[int] = []
    for size in lengths:
        place = next((place for place, room in enumerate(rooms) if room >= size), None)
        if place is None:
            rooms.append(length - size)
        else:
            rooms[place] -= size
    return len(rooms)


@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_lost_split_or_given_twice(seed: int, pack: Pack) -> None:
    examples = random_examples(1000, 128, seed)
    blocks = pack(examples, 128)
    assert all(len(b.ids) == len(b.labels) == len(b.positions) == 128 for b in blocks)
    assert sorted(unpack(blocks)) == [(e.ids[0], len(e.ids)) for e in examples]


@pytest.mark.parametrize("seed", range(20))
def test_all_of_one_length_at_once_gives_as_many_blocks_as_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice((rng.randint(1, 20), rng.randint(1, 64))) for _ in range(rng.randint(1, 400))]
    block_of, count = best_fit(np.array(lengths, dtype=np.uint32), 64, seed)
    assert count == one_by_one(lengths, 64)
    sums = np.bincount(block_of, weights=lengths)
    assert len(sums) == count
    assert sums.max() <= 64
    assert count <= first_fit(lengths, 64)


def test_a_million_examples_are_packed_in_seconds() -> None:
    lengths = np.random.default_rng(0).integers(1, 4097, 1_000_000).astype(np.uint32)
    began = time.process_time()
    block_of, count = best_fit(lengths, 4096, 1)
    assert time.process_time() - began < 10
    assert lengths.sum() / (count * 4096) > 0.998
    assert np.bincount(block_of, weights=lengths).max() <= 4096


def test_neither_the_first_token_of_an_example_nor_the_fill_is_counted(pack: Pack) -> None:
    (block,) = pack([Example([5, 6, 7], [5, 6, 7]), Example([8, 9], [IGNORED, 9])], 8)
    assert block.ids.tolist() == [5, 6, 7, 8, 9, 0, 0, 0]
    assert block.labels.tolist() == [IGNORED, 6, 7, IGNORED, 9, IGNORED, IGNORED, IGNORED]
    assert block.positions.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]


def test_an_example_as_long_as_a_block_fills_it(pack: Pack) -> None:
    (block,) = pack([Example([5] * 8, [5] * 8)], 8)
    assert block.ids.tolist() == [5] * 8


def test_nothing_gives_no_block(pack: Pack) -> None:
    nothing: list[Any] = []
    assert pack(nothing, 8) == []
