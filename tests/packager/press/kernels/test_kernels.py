"""The fast kernels write the bytes that ggml writes, or leave the work to it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.packager.press.kernels import (
    Floats,
    encode,
    encoding,
    ggml,
    lanes,
    prepare,
    quantise,
    round_to,
)

FAST = [GGMLQuantizationType[name] for name in lanes.KERNELS]
Numbers = Callable[[str], Floats]


@pytest.fixture(scope="module", params=FAST, ids=lambda kind: kind.name)
def fast(request: pytest.FixtureRequest) -> GGMLQuantizationType:
    """A type with its fast kernel in use."""
    kind: GGMLQuantizationType = request.param
    assert prepare(kind) is None
    assert kind in encoding._fast
    return kind


def test_fast_kernels_write_the_bytes_of_ggml(fast: GGMLQuantizationType, any_numbers: Floats) -> None:
    for values in (any_numbers, round_to(any_numbers, "BF16")):
        np.testing.assert_array_equal(quantise(values, fast), ggml.quantise(values, fast))


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5])
def test_any_number_of_blocks_is_whole(fast: GGMLQuantizationType, blocks: int, numbers: Numbers) -> None:
    values = numbers("heavy-tailed")[:blocks]
    np.testing.assert_array_equal(quantise(values, fast), ggml.quantise(values, fast))


def test_bytes_do_not_depend_on_the_neighbours(fast: GGMLQuantizationType, numbers: Numbers) -> None:
    values = numbers("uneven")
    size = GGML_QUANT_SIZES[fast][1]
    together = quantise(values, fast).reshape(-1, size)
    for row in (0, 1, len(values) - 1):
        np.testing.assert_array_equal(quantise(values[row : row + 1], fast).reshape(-1), together[row])


GOLDEN = {
    "Q2_K": "36a7033506a9391235e5961be42c8f80f8637c59ad32040ec479919804a604b2",
    "Q3_K": "b7c433ec621fdf32f7d3da5fed31799ad505423f18d05ed0b54169a6f1935915",
    "Q4_K": "0b39ea5f7164498414dd77cf51c951735738217a8422f881f48b66f2c828abb8",
    "Q5_K": "3a44e29fd56fb14d57904d99705665002b72547d4d536267c434efde4d487ab3",
    "Q6_K": "571cd950a76580c58c9a8e78452e3f5d8d6e7db7875d04684cf4d92b07b6e532",
    "Q8_0": "9ed46cbc1206d564371cae5da3f1b0d1ec134f39188ba32f7f0a753748164f1d",
    "Q5_0": "bf56123f12b745a6d593cb29a152846d0f202549e9ca5dcc09059136e4727319",
    "Q4_0": "c0b66830f2956bc506283d96996d7fc8713af12da65b09b9f587ac9b303d1e83",
    "IQ4_NL": "629a6749ef03e25dbccbc321ac85998e0a1a71c61ddb737947344cd1d982af12",
    "IQ4_XS": "4fb179acc25d2994eccbdc736311771f916ccbad2858bcc077fe203bba9b24d6",
}
"""SHA-256 of what llama.cpp makes of :func:`fixed_numbers`. They never change."""


def fixed_numbers() -> Floats:
    """Numbers between -1 and 1 that need no library's random generator: x -> 1664525 x + 1013904223."""
    state, made = 1, []
    for _ in range(8 * 256):
        state = (1664525 * state + 1013904223) % 2**32
        made.append((state >> 8) / 2**23 - 1)
    return np.array(made, dtype=np.float32).reshape(8, 256)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_of_every_type_stay_what_they_are(name: str) -> None:
    kind = GGMLQuantizationType[name]
    prepare(kind)
    encoded = encode(fixed_numbers(), kind)
    assert encoded is not None
    assert hashlib.sha256(encoded).hexdigest() == GOLDEN[name]


def test_numbers_too_large_for_a_scale_are_told(fast: GGMLQuantizationType, numbers: Numbers) -> None:
    assert encode(numbers("normal") * np.float32(1e10), fast) is None


def test_numbers_may_be_read_only(fast: GGMLQuantizationType, numbers: Numbers) -> None:
    values = numbers("normal")
    expected = quantise(values, fast)
    values.setflags(write=False)
    np.testing.assert_array_equal(quantise(values, fast), expected)


def test_other_threads_run_while_a_kernel_does(numbers: Numbers) -> None:
    prepare(GGMLQuantizationType.Q4_K)
    values = np.tile(numbers("normal"), (400, 1))
    ran: list[float] = []

    def work() -> None:
        ran.append(time.perf_counter())
        quantise(values, GGMLQuantizationType.Q4_K)
        ran.append(time.perf_counter())

    worker = threading.Thread(target=work)
    worker.start()
    moments = []
    while worker.is_alive():
        moments.append(time.perf_counter())
        time.sleep(0.0005)
    began, ended = ran
    third = (ended - began) / 3
    assert any(began + third < moment < ended - third for moment in moments)


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no kernel had been chosen yet."""
    monkeypatch.setattr(encoding, "_fast", {})
    monkeypatch.setattr(encoding, "_notes", {})


@pytest.mark.usefixtures("unprepared")
def test_a_kernel_that_writes_other_bytes_is_not_used(
    monkeypatch: pytest.MonkeyPatch, numbers: Numbers
) -> None:
    sound = lanes.compiled("Q6_K")

    def off_by_one_bit(values: Floats, out: ggml.Bytes) -> None:
        sound(values, out)
        out[-1] ^= 1

    monkeypatch.setattr(lanes, "compiled", lambda name: off_by_one_bit)
    note = prepare(GGMLQuantizationType.Q6_K)
    assert note is not None
    assert "Q6_K" in note
    assert "same bytes" in note
    values = numbers("normal")
    kind = GGMLQuantizationType.Q6_K
    np.testing.assert_array_equal(quantise(values, kind), ggml.quantise(values, kind))


@pytest.mark.usefixtures("unprepared")
def test_a_small_job_does_not_compile(monkeypatch: pytest.MonkeyPatch, numbers: Numbers) -> None:
    def never(name: str) -> lanes.Kernel:
        raise AssertionError(name)

    monkeypatch.setattr(lanes, "compiled", never)
    assert prepare(GGMLQuantizationType.Q4_K, elements=encoding.SMALL_JOB - 1) is None
    assert encode(numbers("normal"), GGMLQuantizationType.Q4_K) is not None


PREPARE = """
from gguf import GGMLQuantizationType as Types
from starfreight.packager.press.kernels import prepare
print(prepare(Types.Q6_K))
"""


def run(code: str, **environment: str) -> str:
    """What a Python program prints, in a process of its own."""
    root = str(Path(__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PATH": "", "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


def test_without_numba_ggml_does_the_work_and_a_note_says_so() -> None:
    printed = run(
        "import sys; sys.modules['numba'] = None\n"
        "import numpy\n"
        "from gguf import GGMLQuantizationType as Types\n"
        "from starfreight.packager.press.kernels import encode, prepare\n"
        "print(prepare(Types.Q4_K))\n"
        "print(len(encode(numpy.ones((1, 256), numpy.float32), Types.Q4_K)))"
    )
    note, size = printed.splitlines()
    assert note.startswith("Q4_K is quantised by ggml's slow kernel: numba cannot be imported")
    assert size == "144"


def test_with_compilation_switched_off_ggml_does_the_work() -> None:
    note = run(PREPARE, NUMBA_DISABLE_JIT="1")
    assert note.startswith("Q6_K is quantised by ggml's slow kernel: ")


def test_numba_is_not_imported_until_a_fast_kernel_is_wanted() -> None:
    printed = run(
        "import sys\n"
        "from gguf import GGMLQuantizationType as Types\n"
        "from starfreight.packager.press.kernels import prepare\n"
        "prepare(Types.Q8_0); prepare(Types.F16); prepare(Types.Q4_K, elements=256)\n"
        "print('numba' in sys.modules)"
    )
    assert printed == "False"


def test_a_damaged_cache_of_machine_code_does_no_harm(tmp_path: Path) -> None:
    assert run(PREPARE, NUMBA_CACHE_DIR=str(tmp_path)) == "None"
    stored = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stored
    for path in stored:
        path.write_bytes(b"not what numba wrote")
    assert run(PREPARE, NUMBA_CACHE_DIR=str(tmp_path)) == "None"


def test_where_no_cache_can_be_written_kernels_are_compiled_all_the_same(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    # Through the links: the rooms become part of the copy.
    ignored = shutil.ignore_patterns("__pycache__", "starter")
    shutil.copytree(root / "starfreight", tmp_path / "starfreight", ignore=ignored)
    kernels = tmp_path / "starfreight/packager/press/kernels/lanes"
    (kernels / "__pycache__").write_text("a file where numba wants a directory")
    printed = run(
        PREPARE + "from starfreight.packager.press.kernels import lanes; print(lanes.__file__)",
        PYTHONPATH=str(tmp_path),
        HOME=__file__,
    )
    assert printed.splitlines() == ["None", str(kernels / "__init__.py")]
    assert not list(tmp_path.rglob("*.nbi"))


def test_compiled_code_is_not_reused_when_a_source_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in Path(lanes.__file__).parent.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(lanes, "__file__", str(tmp_path / "__init__.py"))
    before = lanes._sources.__wrapped__()
    with (tmp_path / "affine.py").open("a") as stream:
        stream.write("# changed\n")
    assert lanes._sources.__wrapped__() != before
