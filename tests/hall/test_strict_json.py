"""JSON that two readers could read in two ways is refused, in every record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.files import read_json
from starfreight.package import Package
from starfreight.run import Run
from starfreight.strict_json import only_exact, strict_loads

GOLDEN = Path(__file__).parents[1] / "golden"
RUN = next((GOLDEN / "finished-runs").iterdir())
PACKAGE = GOLDEN / "finished-packages/golden-fim-de8303b786"

AMBIGUOUS = {
    "a name twice": b'{"a":1,"a":1}',
    "a name twice in an object within": b'[{"x":{"a":1,"b":2,"a":1}}]',
    "a name twice, once escaped": b'{"a":1,"\\u0061":1}',
    "a name in two cases": b'{"layers":1,"Layers":1}',
    "a long s": '{"size":1,"\u017fize":1}'.encode(),
    "a Kelvin sign": '{"key":1,"\u212aey":1}'.encode(),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not UTF-8": b'{"a":"\xff"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b"[-Infinity]",
    "an unpaired surrogate": b'{"a":"\\ud83d"}',
    "an unpaired surrogate in a name": b'{"\\uDE00":1}',
    "nesting without end": b"[" * 100_000,
    "two values": b"{} {}",
    "a number of too many digits": b"9" * 5000,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_json_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        strict_loads(AMBIGUOUS[name])


@pytest.mark.parametrize(
    "value", [{}, [], {"a": {"A": 1}, "b": [{"a": 1}, {"A": 1}]}, "\U0001f600", {"\u00e9": None, "e": 1.5}]
)
def test_plain_json_is_read_as_by_any_reader(value: Any) -> None:
    for ascii_only in (True, False):
        assert strict_loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_a_known_name_in_another_case_is_refused_even_alone() -> None:
    only_exact({"layers": 1, "more": 2}, ["layers", "config"])
    for name in ("Layers", "LAYERS", "layer\u017f"):
        with pytest.raises(ValueError, match="is read as 'layers'"):
            only_exact({name: 1}, ["layers", "config"])


@pytest.mark.parametrize(
    ("kind", "folder", "file"), [(Run, RUN, "run.json"), (Package, PACKAGE, "package.json")]
)
@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('"version": 1,', "given twice"),
        ('"Version": 1,', "given in two cases"),
        ('"\u017fource": 1,', "ource"),
        ('"x": "\\ud800",', "not valid JSON"),
    ],
)
def test_a_record_with_an_ambiguous_name_is_refused(
    kind: Any, folder: Path, file: str, added: str, said: str, tmp_path: Path
) -> None:
    text = (folder / file).read_text()
    assert text.startswith("{")
    (tmp_path / file).write_text(text)
    kind.load(tmp_path)
    (tmp_path / file).write_text("{" + added + text[1:])
    with pytest.raises(InputError, match=said) as caught:
        kind.load(tmp_path)
    assert caught.value.where == str(tmp_path / file)


def test_a_file_of_json_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"vocab": {"a": 0, "A": 1}}')
    assert read_json(path, 1000, "file") == {"vocab": {"a": 0, "A": 1}}
    path.write_text('{"vocab": {"a": 0, "a": 1}}')
    with pytest.raises(InputError, match="'a' is given twice"):
        read_json(path, 1000, "file")
