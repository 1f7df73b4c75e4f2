"""Examples side by side: none lost, none split."""

from __future__ import annotations

import random

import pytest

from jobs.data.formats import IGNORED, Example
from jobs.data.packing import Block, pack


def random_examples(count: int, longest: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    lengths = [rng.randint(1, longest) for _ in range(count)]
    # Each has tokens of its own, so that it can be told apart in a block.
    return [Example([number] * n, [number] * n) for number, n in enumerate(lengths, start=1)]


def unpack(blocks: list[Block]) -> list[tuple[int, int]]:
    """The token and the length of every example, fill left out."""
    found = []
    for block in blocks:
        starts = [place for place, position in enumerate(block.positions) if position == 0]
        for start, end in zip(starts, [*starts[1:], len(block.ids)], strict=True):
            assert block.positions[start:end] == list(range(end - start))
            assert len(set(block.ids[start:end])) == 1
            if block.ids[start] != 0:
                found.append((block.ids[start], end - start))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_lost_split_or_given_twice(seed: int) -> None:
    examples = random_examples(1000, 128, seed)
    blocks = list(pack(examples, 128, fill=0))
    assert all(len(b.ids) == len(b.labels) == len(b.positions) == 128 for b in blocks)
    assert sorted(unpack(blocks)) == [(e.ids[0], len(e.ids)) for e in examples]


def test_little_of_the_blocks_stays_empty() -> None:
    for seed in range(5):
        examples = random_examples(1000, 512, seed)
        blocks = list(pack(examples, 512, fill=0))
        assert sum(len(e.ids) for e in examples) / (len(blocks) * 512) > 0.9


def test_neither_the_first_token_of_an_example_nor_the_fill_is_counted() -> None:
    (block,) = pack([Example([5, 6, 7], [5, 6, 7]), Example([8, 9], [IGNORED, 9])], 8, fill=0)
    assert block.ids == [5, 6, 7, 8, 9, 0, 0, 0]
    assert block.labels == [IGNORED, 6, 7, IGNORED, 9, IGNORED, IGNORED, IGNORED]
    assert block.positions == [0, 1, 2, 0, 1, 0, 1, 2]


def test_an_example_as_long_as_a_block_fills_it() -> None:
    (block,) = pack([Example([5] * 8, [5] * 8)], 8, fill=0)
    assert block.ids == [5] * 8


def test_nothing_gives_no_block() -> None:
    assert list(pack([], 8, fill=0)) == []
