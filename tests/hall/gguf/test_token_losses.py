"""Losses of single tokens, measured by llama.cpp in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from starfreight.console import Console
from starfreight.gguf import logits
from starfreight.gguf.local_model import LocalModel
from starfreight.gguf.token_losses import MeasurementError, MeasureRequest, measure_tokens
from starfreight.packager.press import PressRequest, press


@pytest.fixture(scope="module")
def gguf(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    base = make_checkpoint(folder / "base", hidden=64, ffn=128)
    return press(PressRequest(base, None, ("F32",), folder, "tiny"), Console(quiet=True))[0].path


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def watched(*arguments: object, **options: object) -> object:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(logits.subprocess, "Popen", watched)
    return started


def _request(gguf: Path, documents: int = 20) -> MeasureRequest:
    random = np.random.default_rng(3)
    rows = [random.integers(7, 400, 12 + number % 5).tolist() for number in range(documents)]
    return MeasureRequest(gguf, None, [(row, list(range(4, len(row), 2))) for row in rows], 1)


def test_losses_are_those_of_the_likely_next_tokens(gguf: Path) -> None:
    request, done = _request(gguf, 5), []
    found = measure_tokens(request, done.append)
    with LocalModel(gguf, threads=1) as model:
        expected = [
            [-model.next_tokens(row[:place], 400)[row[place]] for place in places]
            for row, places in request.documents
        ]
    assert [len(row) for row in found] == [len(row) for row in expected]
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=0.01)
    assert done == [len(places) for _, places in request.documents]


def test_a_file_that_llama_cpp_cannot_load_is_an_error_and_no_crash(gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf.read_bytes()[:-5000])
    with pytest.raises(MeasurementError, match="cannot load the model file") as failed:
        measure_tokens(_request(cut), lambda count: None)
    assert not failed.value.of_machine


@pytest.mark.parametrize(
    ("number", "of_machine"), [(signal.SIGABRT, False), (signal.SIGSEGV, False), (signal.SIGKILL, True)]
)
def test_a_crash_is_an_error_that_names_the_signal(
    number: signal.Signals, of_machine: bool, gguf: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(MeasurementError, match=number.name) as failed:
        measure_tokens(_request(gguf), lambda count: os.kill(processes[0].pid, number))
    assert failed.value.of_machine is of_machine


@pytest.mark.parametrize("problem", ["not installed", "of another version"])
def test_without_a_usable_llama_cpp_the_machine_is_to_blame(
    problem: str, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process finds this package instead of the real one.
    package = tmp_path / "xllamacpp"
    package.mkdir()
    (package / "__init__.py").write_text("")
    if problem == "of another version":
        (package / "xllamacpp.abi3.so").write_bytes(b"not a library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MeasurementError, match="llama") as failed:
        measure_tokens(_request(gguf), lambda count: None)
    assert failed.value.of_machine


def test_an_interruption_ends_the_process(gguf: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_tokens(_request(gguf), interrupt)
    assert processes[0].poll() is not None
