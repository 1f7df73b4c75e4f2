"""The figures of a run, also of one that somebody else wrote."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.train.metrics import Metrics, read_metrics

ROW = {"step": 1, "loss": 2.5}


@pytest.mark.parametrize(
    "line",
    [
        "[" * 60_000, '{"step": ' + "9" * 5000 + "}", 
        '{"step": true}', '{"step": "1"}', '{"step": 1e3}', "[1]",
        "\udcff", '{"loss": 1.0}', '{"step": 99999999999999999999}',
    ],
)  # fmt: skip
def test_a_line_that_is_not_a_row_of_figures_is_left_out(line: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    text = f"{json.dumps(ROW)}\n{line}\n{json.dumps(ROW | {'step': 2})}\n"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert list(read_metrics(path)) == [ROW, ROW | {"step": 2}]


def test_values_that_are_not_figures_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(ROW | {"a": "b", "c": [1], "d": True, "e": None, "f": 10**30, "g": 7}) + "\n")
    assert list(read_metrics(path)) == [ROW | {"g": 7}]


def test_a_line_without_end_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"step": 1, "x": "')
        stream.seek(64 << 20)
        stream.write(b'"}\n' + json.dumps(ROW).encode() + b"\n")
    tracemalloc.start()
    try:
        assert list(read_metrics(path)) == [ROW]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["pipe", "device", "link", "directory"])
def test_only_a_regular_file_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    (tmp_path / "other.jsonl").write_text(json.dumps(ROW) + "\n")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "other.jsonl")
    with pytest.raises(InputError) as caught:
        list(read_metrics(path))
    assert caught.value.where == str(path)


def test_rows_of_steps_to_be_repeated_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert list(read_metrics(path)) == []
    path.write_text("".join(json.dumps({"step": step, "loss": 0.5}) + "\n" for step in range(1, 6)) + '{"ste')
    Metrics(path).begin_after(3)
    assert path.read_text() == "".join(f'{{"step": {step}, "loss": 0.5}}\n' for step in (1, 2, 3))
