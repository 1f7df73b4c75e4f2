"""Losses of single tokens, measured by llama.cpp in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from starfreight.console import Console
from starfreight.gguf import token_losses
from starfreight.gguf.local_model import LocalModel
from starfreight.gguf.token_losses import MeasurementError, MeasureRequest, measure_tokens
from starfreight.packager.press import PressRequest, press


@pytest.fixture(scope="module")
def gguf(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    base = make_checkpoint(folder / "base", hidden=64, ffn=128)
    return press(PressRequest(base, None, ("F32",), folder, "tiny"), Console(quiet=True))[0].path


def _request(gguf: Path, documents: int = 20) -> MeasureRequest:
    random = np.random.default_rng(3)
    rows = [random.integers(7, 400, 12 + number % 5).tolist() for number in range(documents)]
    return MeasureRequest(gguf, None, [(row, list(range(4, len(row), 2))) for row in rows], 1)


def test_documents_side_by_side_have_the_losses_of_each_alone(gguf: Path) -> None:
    request, done = _request(gguf), []
    found = measure_tokens(request, done.append)
    with LocalModel(gguf, threads=1) as model:
        expected = [
            [model.token_loss(row[:place], row[place]) for place in places]
            for row, places in request.documents
        ]
    assert [len(row) for row in found] == [len(row) for row in expected]
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=1e-3)
    assert sum(done) == sum(len(places) for _, places in request.documents)


def test_a_token_that_is_part_of_a_character_has_a_loss(gguf: Path) -> None:
    with LocalModel(gguf, threads=1) as model:
        # Of the byte tokens, those of continuation bytes are no text alone.
        everything = model.next_tokens([20, 21], 400)
        assert len(everything) == 400
        for token in range(7, 400, 13):
            assert model.token_loss([20, 21], token) == pytest.approx(-everything[token], abs=1e-3)


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
    number: signal.Signals, of_machine: bool, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(token_losses.subprocess, "Popen", Watched)
    with pytest.raises(MeasurementError, match=number.name) as failed:
        measure_tokens(_request(gguf), lambda count: os.kill(started[0].pid, number))
    assert failed.value.of_machine is of_machine


def test_an_interruption_ends_the_process(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = subprocess.Popen

    def watched(*arguments: object, **options: object) -> object:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[0]

    monkeypatch.setattr(token_losses.subprocess, "Popen", watched)

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_tokens(_request(gguf), interrupt)
    assert started[0].poll() is not None


def test_the_process_ends_when_its_parent_is_killed(gguf: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from starfreight.gguf import token_losses as t\n"
        "popen = t.subprocess.Popen\n"
        "def watched(*a, **k):\n"
        "    child = popen(*a, **k); print(child.pid, flush=True); return child\n"
        "t.subprocess.Popen = watched\n"
        "r = t.MeasureRequest(Path(sys.argv[1]), None, [(list(range(7, 90)), list(range(1, 80)))] * 400, 1)\n"
        "t.measure_tokens(r, lambda count: None)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(gguf)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 60
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
