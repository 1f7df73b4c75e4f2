"""A device takes work from the cores, and gives it back when it cannot do it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from starfreight.errors import RecipeError
from starfreight.packager.press.kernels import (
    Accelerator,
    Floats,
    accelerator,
    find_accelerator,
    ggml,
    quantise,
)
from starfreight.packager.press.kernels.tensors import encode_tensors

torch = pytest.importorskip("torch")

Q4_K, Q6_K, Q8_0 = (GGMLQuantizationType[name] for name in ("Q4_K", "Q6_K", "Q8_0"))
MANY = {Q4_K: 1 << 40}

no_gpu_here = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")

Numbers = Callable[[str], Floats]


@pytest.fixture
def device() -> Accelerator:
    """torch on the processor, ready for Q4_K."""
    made = Accelerator("cpu", waits=False)
    assert made.prepare(Q4_K) is None
    return made


def test_it_does_the_types_it_is_ready_for(device: Accelerator, numbers: Numbers) -> None:
    values = numbers("normal")
    expected = ggml.quantise(values, Q4_K)
    np.testing.assert_array_equal(device.quantise(values, Q4_K), expected)
    np.testing.assert_array_equal(quantise(values, Q4_K, device), expected)
    assert device.quantise(values, Q6_K) is None
    assert device.prepare(Q8_0) is None
    assert device.quantise(values, Q8_0) is None


@no_gpu_here
def test_a_device_that_does_not_work_is_not_used_and_a_note_says_so(numbers: Numbers) -> None:
    broken = Accelerator("cuda", waits=True)
    note = broken.prepare(Q4_K)
    assert note is not None
    assert note.startswith("Q4_K is quantised without the GPU: torch fails (")
    assert "\n" not in note
    assert broken.quantise(numbers("normal"), Q4_K) is None


def test_a_device_that_gives_other_bytes_is_not_used(
    monkeypatch: pytest.MonkeyPatch, numbers: Numbers
) -> None:
    def off_by_one_bit(values: Floats, kind: str, device: str) -> ggml.Bytes:
        made = encode_tensors(values, kind, device)
        made[-1] ^= 1
        return made

    monkeypatch.setattr(accelerator, "encode_tensors", off_by_one_bit)
    wrong = Accelerator("cpu", waits=True)
    note = wrong.prepare(Q4_K)
    assert note is not None
    assert "its bytes differ from the processor's" in note
    values = numbers("normal")
    np.testing.assert_array_equal(quantise(values, Q4_K, wrong), ggml.quantise(values, Q4_K))


def test_a_device_that_fails_at_work_leaves_the_rest_to_the_cores(
    device: Accelerator, monkeypatch: pytest.MonkeyPatch, numbers: Numbers
) -> None:
    calls = []

    def full(values: Floats, kind: str, device: str) -> ggml.Bytes:
        calls.append(kind)
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 160 MiB")

    monkeypatch.setattr(accelerator, "encode_tensors", full)
    values = numbers("normal")
    assert device.trouble is None
    for _ in range(2):
        np.testing.assert_array_equal(quantise(values, Q4_K, device), ggml.quantise(values, Q4_K))
    assert calls == ["Q4_K"]
    assert device.trouble is not None
    assert "CUDA out of memory." in device.trouble
    assert "\n" not in device.trouble


@pytest.mark.parametrize("waits", [False, True])
def test_while_it_is_busy_work_goes_to_the_cores_unless_it_is_to_wait(
    waits: bool, monkeypatch: pytest.MonkeyPatch, numbers: Numbers
) -> None:
    device = Accelerator("cpu", waits=waits)
    assert device.prepare(Q4_K) is None
    begun, go_on = threading.Event(), threading.Event()

    def slow(values: Floats, kind: str, name: str) -> ggml.Bytes:
        begun.set()
        assert go_on.wait(30)
        return encode_tensors(values, kind, name)

    monkeypatch.setattr(accelerator, "encode_tensors", slow)
    values, results = numbers("normal"), {}

    def work(worker: str) -> None:
        results[worker] = device.quantise(values, Q4_K)

    first = threading.Thread(target=work, args=["first"])
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=work, args=["second"])
    second.start()
    second.join(0.2)
    assert second.is_alive() == waits
    go_on.set()
    first.join(30)
    second.join(30)
    np.testing.assert_array_equal(results["first"], ggml.quantise(values, Q4_K))
    assert (results["second"] is not None) == waits


@no_gpu_here
def test_a_gpu_that_is_not_there_is_refused_only_if_it_was_asked_for() -> None:
    with pytest.raises(RecipeError, match="No GPU to quantise on") as caught:
        find_accelerator("cuda", MANY, 1)
    assert caught.value.fix is not None
    assert find_accelerator("auto", MANY, 1) is None
    assert find_accelerator("cpu", MANY, 1) is None


def test_torch_is_imported_only_where_a_driver_is_and_enough_to_do() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={"PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == ["False", "False", "False", "True"]


IMPORTS = """
import sys
from gguf import GGMLQuantizationType as Types
from starfreight.packager.press.kernels import accelerator
def look(device, elements, drivers):
    accelerator._DRIVER = drivers
    accelerator.find_accelerator(device, elements, 2)
    print("torch" in sys.modules)
look("cpu", {Types.Q4_K: 1 << 40}, (sys.executable,))
look("auto", {Types.Q4_K: 1 << 40}, ())
look("auto", {Types.Q4_K: 1 << 20, Types.Q8_0: 1 << 40}, (sys.executable,))
look("auto", {Types.Q4_K: 1 << 40}, (sys.executable,))
"""


def test_without_torch_a_gpu_that_was_asked_for_is_refused() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", NO_TORCH],
        env={"PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.startswith("No GPU to quantise on: torch cannot be imported (")


NO_TORCH = """
import sys
sys.modules["torch"] = None
from starfreight.packager.press.kernels import find_accelerator
from starfreight.errors import RecipeError
try:
    find_accelerator("cuda", {}, 2)
except RecipeError as error:
    print(error)
"""
