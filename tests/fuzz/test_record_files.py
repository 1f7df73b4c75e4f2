"""Files of records: JSONL and Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds, slow_fuzz
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.data.dialects.describe import read_sample
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.sources.jsonl import JsonFile, JsonlFile
from starfreight.jobs.data.sources.parquet import ParquetFile
from starfreight.recipe.data import Data

DATA = [Data(source="x.jsonl", format=kind, license="MIT") for kind in ("instruct", "fim", "code")]
ROWS = [
    {"prompt": "Double 2.", "response": "4", "license": ["MIT", "Apache-2.0"]},
    {"content": "x = 1\n", "path": "src/x.py", "repo_name": "acme/x", "license": "MIT"},
    {"prefix": "a", "middle": "b", "suffix": "c"},
]


@fuzz
@given(
    lines=st.lists(st.sampled_from(ROWS).flatmap(changed_json), min_size=1, max_size=4),
    data=st.sampled_from(DATA),
)
def test_lines_of_changed_values(folder: Path, lines: list[bytes], data: Data) -> None:
    path = folder / "x.jsonl"
    path.write_bytes(b"\n".join(lines))
    holds(lambda: list(JsonlFile(path, data).samples()))


CONVERSATIONS = [
    {
        "prompt": "Double 2.",
        "response": "4",
        "system": "s",
        "input": "i",
        "history": [["a", "b"]],
        "label": True,
    },
    {"instruction": "Double 2.", "output": "4"},
    {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}], "name": "bob"},
            {"role": "assistant", "content": "b", "weight": 0, "tool_calls": []},
        ],
        "tools": None,
    },
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "loss": True}]},
]


@fuzz
@given(lines=st.lists(st.sampled_from(CONVERSATIONS).flatmap(changed_json), min_size=1, max_size=4))
def test_conversations_of_changed_values(folder: Path, lines: list[bytes]) -> None:
    path = folder / "x.json"

    def read() -> None:
        for sample in JsonFile(path, DATA[0]).samples():
            if isinstance(sample, Sample):
                read_sample(sample, DATA[0])

    path.write_bytes(b"\n".join(lines))
    holds(read)
    path.write_bytes(b"[" + b",\n".join(lines) + b"]")
    holds(read)


@fuzz
@given(data=changed_bytes(b'[{"prompt": "Double 2.", "response": "4"}, {"prompt": "Half", "response": "1"}]'))
def test_a_json_list_of_changed_bytes(folder: Path, data: bytes) -> None:
    path = folder / "x.json"
    path.write_bytes(data)
    holds(lambda: list(JsonFile(path, DATA[0]).samples()))


def parquet_bytes() -> bytes:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    table = pyarrow.table({"content": ["x = 1\n"] * 20, "path": [f"{n}.py" for n in range(20)]})
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def test_a_parquet_file_of_changed_bytes(folder: Path) -> None:
    valid = parquet_bytes()
    size = int.from_bytes(valid[-8:-4], "little")
    footer, end = valid[-8 - size : -8], valid[-8:]

    @slow_fuzz
    @given(
        changed=st.one_of(
            changed_bytes(footer).map(lambda data: valid[: -8 - size] + data + end), changed_bytes(valid)
        )
    )
    def read(changed: bytes) -> None:
        path = folder / "x.parquet"
        path.write_bytes(changed)
        holds(lambda: list(ParquetFile(path, DATA[2]).samples()))

    read()
