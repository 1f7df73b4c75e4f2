"""Files of datasets, the configurations of their README, notebooks and texts in other encodings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.data.filters.encoded_data import find_encoded
from starfreight.jobs.data.sources.file_text import file_text

CONFIGS = {
    "configs": [
        {
            "config_name": "a",
            "data_files": [{"split": "train", "path": ["a/*.jsonl", "b.csv"]}],
            "default": True,
        },
        {"config_name": "b", "data_dir": "a", "sep": ";", "field": "rows"},
    ]
}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Load\n", "text"]},
        {"cell_type": "code", "source": "%time\nx = 1", "outputs": [{"data": {"image/png": "AAAA"}}]},
    ],
    "worksheets": [{"cells": [{"cell_type": "code", "input": ["y"], "language": "python"}]}],
    "metadata": {"kernelspec": {"name": "python3", "language": "python"}, "language_info": {"name": "R"}},
    "nbformat": 4,
}
TEXTS = (
    b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\r\noid sha256:00\r\n",
    b"../.git/annex/objects/a1/b2/SHA256-s1--00/SHA256-s1--00",
    "# -*- coding: latin-1 -*-\nx = 'caf\u00e9'\n".encode("latin-1"),
    "\ufeffx = 1\n".encode("utf-16-le"),
    b"<<<<<<< a\n=======\n>>>>>>> b\n",
)


@fuzz
@given(head=changed_json(CONFIGS))
def test_configurations_of_changed_values(folder: Path, head: bytes) -> None:
    pytest.importorskip("pyarrow")
    from starfreight.jobs.data.rows.dataset_rows import read_rows

    (folder / "a").mkdir(exist_ok=True)
    (folder / "a/x.jsonl").write_text('{"text": "x"}\n')
    (folder / "b.csv").write_text("text\nx\n")
    (folder / "README.md").write_bytes(b"---\n" + head + b"\n---\n")
    holds(lambda: list(read_rows(folder, "train")))


@fuzz
@given(data=changed_json(NOTEBOOK))
def test_notebooks_of_changed_values(data: bytes) -> None:
    holds(lambda: file_text(data, "a.ipynb"))


@fuzz
@given(data=changed_bytes(json.dumps(NOTEBOOK).encode()))
def test_notebooks_of_changed_bytes(data: bytes) -> None:
    holds(lambda: file_text(data, "a.ipynb"))


@fuzz
@given(data=st.sampled_from(TEXTS).flatmap(changed_bytes))
def test_texts_of_changed_bytes(data: bytes) -> None:
    holds(lambda: file_text(data, "a.py"))
    holds(lambda: find_encoded(data))


@fuzz
@given(
    data=changed_bytes(b'a,b\r\n"x, ""y""",1\n'), name=st.sampled_from(["a.csv", "a.json", "a.txt", "a.zip"])
)
def test_data_files_of_changed_bytes(folder: Path, data: bytes, name: str) -> None:
    pytest.importorskip("pyarrow")
    from starfreight.jobs.data.rows.dataset_rows import read_rows

    for each in folder.iterdir():
        if each.is_file():
            each.unlink()
    (folder / name).write_bytes(data)
    holds(lambda: list(read_rows(folder, "train")))
