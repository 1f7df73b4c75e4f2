from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from starfreight.jobs.starter.corpus import SourceFile, read_corpus
from starfreight.jobs.starter.examples import BROAD, EMPTY, FOCUSED, RowReader, pass_rows
from starfreight.jobs.starter.tokenizer import (
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    train_tokenizer,
)

LENGTH = 128


@pytest.fixture
def files(library: Path) -> tuple[SourceFile, ...]:
    return read_corpus(library)


@pytest.fixture
def tokenizer(files: tuple[SourceFile, ...]) -> Tokenizer:
    return train_tokenizer((file.text for file in files), 400)


def test_a_pass_is_the_same_every_time_and_differs_from_the_next(
    files: tuple[SourceFile, ...], tokenizer: Tokenizer
) -> None:
    first = pass_rows(files, tokenizer, LENGTH, BROAD, 0, 0)
    assert np.array_equal(first, pass_rows(files, tokenizer, LENGTH, BROAD, 0, 0))
    for seed, number in ((0, 1), (1, 0)):
        other = pass_rows(files, tokenizer, LENGTH, BROAD, seed, number)
        assert other.shape != first.shape or not np.array_equal(other, first)


def test_rows_are_nearly_full_and_hold_whole_examples(
    files: tuple[SourceFile, ...], tokenizer: Tokenizer
) -> None:
    rows = pass_rows(files, tokenizer, LENGTH, BROAD, 0, 0)
    assert (rows != EMPTY).mean() > 0.9
    for row in rows:
        ids = row[row != EMPTY].tolist()
        for mark in (FIM_PREFIX, FIM_SUFFIX):
            assert ids.count(mark) == ids.count(FIM_MIDDLE)
        assert EMPTY not in row[: len(ids)].tolist()
        assert ids[-1] == END_OF_TEXT or len(ids) == LENGTH


def test_about_half_of_the_examples_are_fill_in_the_middle_in_both_orders(
    files: tuple[SourceFile, ...], tokenizer: Tokenizer
) -> None:
    ids = [
        i
        for number in range(4)
        for row in pass_rows(files, tokenizer, LENGTH, BROAD, 0, number)
        for i in row.tolist()
    ]
    examples = ids.count(END_OF_TEXT) or 1
    assert 0.3 < ids.count(FIM_PREFIX) / examples < 0.9
    suffix_first = sum(pair == (FIM_PREFIX, FIM_SUFFIX) for pair in itertools.pairwise(ids))
    assert 0.2 < suffix_first / ids.count(FIM_PREFIX) < 0.8


def test_the_focused_mix_has_more_and_shorter_holes(
    files: tuple[SourceFile, ...], tokenizer: Tokenizer
) -> None:
    counts = []
    for mix in (BROAD, FOCUSED):
        rows = pass_rows(files, tokenizer, LENGTH, mix, 0, 0)
        counts.append(((rows == FIM_MIDDLE).sum(), (rows == END_OF_TEXT).sum()))
    assert counts[1][0] / counts[1][1] > 0.8
    assert counts[1][0] > 2 * counts[0][0]


def test_rows_by_number_run_on_from_pass_to_pass(files: tuple[SourceFile, ...], tokenizer: Tokenizer) -> None:
    passes = np.concatenate([pass_rows(files, tokenizer, LENGTH, BROAD, 5, number) for number in range(3)])
    in_order = RowReader(files, tokenizer, 5)
    for first in range(0, len(passes) - 7, 7):
        assert np.array_equal(in_order.read(LENGTH, BROAD, first, 7), passes[first : first + 7])
    last = len(passes) - 7
    assert np.array_equal(RowReader(files, tokenizer, 5).read(LENGTH, BROAD, last, 7), passes[last:])


def test_the_digest_of_the_rows_changes_with_files_tokenizer_and_seed(
    files: tuple[SourceFile, ...], tokenizer: Tokenizer
) -> None:
    other = train_tokenizer((file.text for file in files), 350)
    digests = {
        RowReader(files, tokenizer, 0).digest,
        RowReader(files, tokenizer, 1).digest,
        RowReader(files[1:], tokenizer, 0).digest,
        RowReader(files, other, 0).digest,
    }
    assert len(digests) == 4
