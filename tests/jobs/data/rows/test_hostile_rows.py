"""Files that unpack to more than memory holds: refused in one error, within a bound for memory and time."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.rows import process as process_module
from starfreight.jobs.data.rows.process import process_rows
from starfreight.jobs.data.rows.values import OtherValue
from starfreight.jobs.data.sources import open_source
from starfreight.recipe import Data

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
np = pytest.importorskip("numpy")


def repeated(count: int, entry: str) -> Any:
    """A list of ``count`` references to one dictionary entry."""
    indices = pyarrow.array(np.zeros(count, np.int32))
    values = pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array([entry]))
    return pyarrow.ListArray.from_arrays(pyarrow.array([0, count], pyarrow.int32()), values)


def one_long_text(path: Path) -> None:
    text = pyarrow.array(["y" * (300 << 20)], pyarrow.large_string())
    parquet.write_table(
        pyarrow.table({"text": text}), path, compression="zstd", use_dictionary=False, write_statistics=False
    )


def a_list_of_a_terabyte(path: Path) -> None:
    table = pyarrow.table({"text": repeated(1_000_000, "z" * (1 << 20))})
    parquet.write_table(table, path, compression="zstd", store_schema=False)


def a_list_of_nothing(path: Path) -> None:
    nothing = pyarrow.ListArray.from_arrays(
        pyarrow.array([0, 200_000_000], pyarrow.int32()), pyarrow.nulls(200_000_000)
    )
    parquet.write_table(pyarrow.table({"text": nothing}), path, compression="zstd", store_schema=False)


def rows_without_end(path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.nulls(50_000_000, pyarrow.string())})
    parquet.write_table(table, path, row_group_size=50_000_000)


@pytest.mark.parametrize(
    ("write", "most"),
    [
        (one_long_text, 1 << 20),
        (a_list_of_a_terabyte, 4096),
        (a_list_of_nothing, 1 << 20),
        (rows_without_end, 1 << 20),
    ],
)
def test_a_small_parquet_file_that_unpacks_to_gigabytes_is_refused_in_bounded_memory(
    write: Callable[[Path], None], most: int, tmp_path: Path
) -> None:
    path = tmp_path / "small.parquet"
    # The memory to write it is not measured.
    program = (
        "import runpy, sys; from pathlib import Path\n"
        "runpy.run_path(sys.argv[1])[sys.argv[2]](Path(sys.argv[3]))"
    )
    subprocess.run([sys.executable, "-c", program, __file__, write.__name__, str(path)], check=True)
    assert path.stat().st_size < most
    program = f"""
import re, resource
from pathlib import Path
from starfreight.errors import InputError
from starfreight.jobs.data.sources import open_source
from starfreight.recipe import Data
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    sum(1 for _ in open_source(Data(source="a.parquet", format="instruct"), Path({str(path)!r})).samples())
except InputError as error:
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
    print(error.where, error.fix)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    own, child, place = done.stdout.splitlines()
    assert int(own) < 400
    assert int(child) < 1400
    assert str(path) in place


def test_a_compressed_dataset_that_unpacks_to_more_than_its_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setitem(process_module.MEMORY, "dataset", 128 << 20)
    with gzip.open(tmp_path / "train.jsonl.gz", "wb", compresslevel=1) as stream:
        stream.write(b'{"text": "')
        for _ in range(400):
            stream.write(b"w" * (1 << 20))
    with pytest.raises(InputError, match="memory") as caught:
        list(open_source(Data(source="dataset:."), tmp_path).samples())
    assert str(tmp_path) in str(caught.value.where)


def test_values_that_json_does_not_have_arrive_as_text_or_as_the_name_of_their_type(tmp_path: Path) -> None:
    import datetime
    import decimal

    row = {
        "a": datetime.datetime(2021, 5, 6, 7), "b": decimal.Decimal("1.50"), "c": datetime.timedelta(days=1),
        "d": b"\xff", "e": [{"f": datetime.date(2000, 1, 1)}], "g": None, "h": True, "i": 1.5, "j": "\u00fc",
    }  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    (read,) = process_rows("parquet", tmp_path / "a.parquet", "")
    assert read == row | {
        "a": OtherValue("2021-05-06T07:00:00", ""), "b": OtherValue("1.50", ""),
        "c": OtherValue("1 day, 0:00:00", ""), "e": [{"f": OtherValue("2000-01-01", "")}],
    }  # fmt: skip


def test_a_reader_that_dies_is_an_error_with_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": [str(number) for number in range(100_000)]}), path)
    monkeypatch.setattr(process_module, "MAX_FRAME", 4)
    with pytest.raises(InputError, match="stopped") as caught:
        list(process_rows("parquet", path, ""))
    assert caught.value.where == f"{path}, row 1 or soon after"


def test_a_reader_ends_with_the_rows_that_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["x" * 1000] * 50_000}), path)
    rows = process_rows("parquet", path, "")
    assert next(iter(rows)) == {"text": "x" * 1000}
    rows.close()  # type: ignore[attr-defined]
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(path) not in listed


def test_output_of_a_library_does_not_mix_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy/pyarrow.py").write_text(
        "import sys\nprint('noise', flush=True)\nsys.path.remove(__file__.rpartition('/')[0])\n"
        "del sys.modules['pyarrow']\nimport pyarrow\nsys.modules['pyarrow'] = pyarrow\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "noisy"), *sys.path])
    assert list(process_rows("parquet", tmp_path / "a.parquet", "")) == [{"text": "a"}, {"text": "b"}]
