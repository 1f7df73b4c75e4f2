"""Data in the shape of code, measured by its share of the tokens."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable

import pytest

from starfreight.jobs.data.filters.encoded_data import find_encoded
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.minified import MinifiedFilter

CODE = "def total(prices):\n    return sum(price for price in prices if price is not None)\n\n\n"
DATA = random.Random(12).randbytes(15_000)
B64 = base64.b64encode(DATA).decode()


def wrapped(text: str, columns: int, start: str = "", end: str = "\n") -> str:
    return "".join(start + text[at : at + columns] + end for at in range(0, len(text), columns))


@pytest.mark.parametrize("columns", [24, 32, 48, 60, 64, 76, 200, 900])
@pytest.mark.parametrize(
    ("start", "end"),
    [("", "\n"), ('    b"', '"\n'), ("X += '", "'\n"), ("// ", "\n"), ('"', '",\n'), ("", "\r\n")],
)
def test_base64_of_any_width_in_any_dress_is_left_out(
    columns: int, start: str, end: str, make_document: Callable[..., Document]
) -> None:
    text = CODE * 3 + wrapped(B64, columns, start, end) + CODE * 3
    assert MinifiedFilter().reject(make_document(text, "a.py")) is not None


@pytest.mark.parametrize(
    "text",
    [
        wrapped(DATA.hex(), 64),
        wrapped(DATA.hex().upper(), 32, '"', '"\n'),
        wrapped(base64.b32encode(DATA).decode(), 64),
        wrapped("ACGT" * 5000, 70),
        wrapped("".join(f"\\u{number:04x}" for number in DATA), 60, "'", "'\n"),
        wrapped("".join(f"0x{number:02x}, " for number in DATA[:200]), 60) + CODE,
        wrapped("3, 14, 159, ", 12) * 500,
        "a,b\n" + "".join(f"{number},{number * number}\n" for number in range(300)),
    ],
    ids=["hex", "HEX", "base32", "genes", "escapes", "bytes", "numbers", "table"],
)
def test_other_data_is_left_out(text: str, make_document: Callable[..., Document]) -> None:
    for path in ("a.py", "a.csv", "a.h"):
        assert MinifiedFilter().reject(make_document(text, path)) is not None


@pytest.mark.parametrize("path", ["a.md", "a.html", "a.json", "a.svg"])
def test_an_embedded_picture_of_one_word_is_left_out_of_documents(
    path: str, make_document: Callable[..., Document]
) -> None:
    text = "A word about prices.\n" * 300 + f'<img src="data:image/png;base64,{B64}">\n'
    assert "encoded data (a word of" in str(MinifiedFilter().reject(make_document(text, path)))


@pytest.mark.parametrize(
    "text",
    [
        CODE + f"KEY = 'ssh-rsa {B64[:372]}'\n",
        CODE + wrapped(B64[:700], 64, '"', '"\n') + CODE,
        CODE * 80 + wrapped(B64[:2000], 50, '"', '"\n'),
        CODE + "".join(f'"{DATA[at : at + 32].hex()}",\n' for at in range(10)),
        "".join(
            f"def test_a_reader_that_dies_is_an_error_with_the_row_number_{n}_and_its_file(): ...\n"
            for n in range(30)
        ),
        "".join(
            f"import com/example/shop/orders/processing/internal/pricing/calculators/Total{n}\n"
            for n in range(30)
        ),
        "".join(f"class SeamlessM4Tv2Text{n}To2UnitForConditionalGeneration: ...\n" for n in range(40)),
        "".join(
            f"Source/WebCore/Modules/Module{n}/Web2File{n}ControllerForTheMainWindow.cpp\n" for n in range(99)
        ),
        "".join(
            f"com/example/applicationmanifest/serviceworkers/backgroundsync/handler{n}\n" for n in range(99)
        ),
        "".join(f"if (opcode == 32'b{n:032b}) result <= 0b{n * 7:032b};\n" for n in range(80)),
        (CODE + "# " + "=" * 76 + "\n") * 20,
        ("class AbstractSingletonProxyFactoryBeanConfiguration2: ...\n") * 30,
        "".join(f"{n}\n" for n in range(100)),
        "PI = 3.14159265358979323846264338327950288\n" + CODE,
    ],
    ids=[
        "key",
        "icon",
        "certificate",
        "digests",
        "tests",
        "paths",
        "models",
        "files",
        "packages",
        "binary",
        "lines",
        "names",
        "short",
        "pi",
    ],
)
def test_source_with_constants_long_names_and_paths_stays(
    text: str, make_document: Callable[..., Document]
) -> None:
    assert MinifiedFilter().reject(make_document(text, "a.py")) is None


def test_languages_of_few_letters_stay(make_document: Callable[..., Document]) -> None:
    text = "".join(f"G1 X{n}.25 Y{n}.75 Z0.10 E{n}.00012\n" for n in range(200))
    assert MinifiedFilter().reject(make_document(text, "part.gcode")) is None


@pytest.mark.parametrize(
    "text", ["a" * 23, "0x1f " * 7, "A1" * 11 + " ", "0x, " * 100_000, "\\u{" * 100_000, "é" * 100_000]
)
def test_hostile_and_short_texts_take_little_time(text: str) -> None:
    began = time.process_time()
    assert find_encoded(text.encode()).share == 0
    assert time.process_time() - began < 1
