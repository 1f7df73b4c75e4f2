"""Exact logits of GGUF files, computed by llama.cpp in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.gguf.logits import Logits, context_of
from starfreight.packager.press import (
    LoraRequest,
    PressRequest,
    press,
    press_lora,
)

TOKENS = [0, *np.random.default_rng(5).integers(7, 400, 700).tolist()]
PROJECTION = {"model.layers.0.self_attn.q_proj.weight": (64, 64)}


@pytest.fixture(scope="module")
def base(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of 400 tokens, trained on a context of 1,024."""
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("base")
    return make_checkpoint(folder / "base", dtype="F32", hidden=64, ffn=128, context=1024)


@pytest.fixture(scope="module")
def gguf(base: Path) -> Path:
    """Its file."""
    return press(PressRequest(base, None, ("F32",), base.parent, "tiny"), Console(quiet=True))[0].path


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[Logits]:
    """It is running."""
    with Logits(gguf, threads=1) as found:
        yield found


def test_log_probabilities_equal_those_of_transformers(base: Path, model: Logits) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    reference = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = reference(torch.tensor([TOKENS])).logits[0].log_softmax(-1).numpy()
    found = model.log_probabilities(TOKENS, range(len(TOKENS)))
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    assert np.abs(found - expected).max() < 0.01  # Keys and values are kept in 16 bits.
    wanted = -expected[np.arange(len(TOKENS) - 1), TOKENS[1:]]
    assert model.losses(TOKENS) == pytest.approx(wanted, abs=0.01)


def test_rows_are_the_same_whichever_are_asked_for(model: Logits) -> None:
    # More than one batch of 512 tokens.
    everything = model.log_probabilities(TOKENS, range(len(TOKENS)))
    for rows in (range(3), range(500, 530), range(511, 512), range(512, 513), range(690, 701), range(7, 7)):
        found = model.log_probabilities(TOKENS, rows)
        assert found.shape == (len(rows), 400)
        # The number of tokens in a batch changes the last bits.
        assert np.allclose(found, everything[rows.start : rows.stop], rtol=0, atol=0.02)
        assert np.array_equal(found, model.log_probabilities(TOKENS, rows))
    assert model.losses(TOKENS, 600) == pytest.approx(model.losses(TOKENS)[599:], abs=0.02)
    assert len(model.losses(TOKENS[:1])) == len(model.losses([])) == 0


def test_the_file_tells_its_own_vocabulary_context_and_tokenizer(model: Logits, gguf: Path) -> None:
    assert (model.vocabulary, model.begin, model.adds_begin) == (400, 0, False)
    assert model.context == model.trained_context == context_of(gguf) == 1024
    text = "def area(r):\n\treturn 'ä 🦀' <|endoftext|>\u2028"
    tokens = model.tokenize(text)
    assert 0 not in tokens  # A special token's name in a text is text.
    assert model.token_lengths()[tokens].sum() == len(text.encode())
    assert model.tokenize("") == []


def test_an_adapter_counts_as_much_as_merged(
    base: Path, model: Logits, make_adapter: Callable[..., Path], gguf: Path, tmp_path: Path
) -> None:
    folder = make_adapter(tmp_path / "adapter", PROJECTION, alpha=32)
    console = Console(quiet=True)
    lora = press_lora(LoraRequest(base, folder, tmp_path / "l", "l", kind="F32"), console).path
    merged = press(PressRequest(base, folder, ("F32",), tmp_path / "m", "m"), console)[0].path
    tokens = TOKENS[:40]
    with Logits(gguf, adapter=lora, threads=1) as adapted, Logits(merged, threads=1) as whole:
        found, expected = (each.log_probabilities(tokens, range(40)) for each in (adapted, whole))
    assert np.abs(found - expected).max() < 0.005
    assert np.abs(found - model.log_probabilities(tokens, range(40))).max() > 0.01


def test_an_adapter_of_another_model_is_an_error(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], gguf: Path, tmp_path: Path
) -> None:
    other = make_checkpoint(tmp_path / "other", dtype="F32", hidden=128, ffn=128)
    weights = {"model.layers.0.self_attn.q_proj.weight": (128, 128)}
    folder = make_adapter(tmp_path / "adapter", weights)
    lora = press_lora(LoraRequest(other, folder, tmp_path / "l", "l", kind="F32"), Console(quiet=True)).path
    with pytest.raises(InputError, match="adapter") as failed:
        Logits(gguf, adapter=lora)
    assert str(lora) in str(failed.value.where)


@pytest.mark.parametrize("kept", [0, 10, 3000, -5000])
def test_a_truncated_file_is_an_error(kept: int, gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf.read_bytes()[:kept])
    with pytest.raises(InputError) as failed:
        Logits(cut, threads=1)
    assert str(cut) in str(failed.value.where)


def test_what_does_not_fit_is_refused_and_the_model_goes_on(gguf: Path, model: Logits) -> None:
    with pytest.raises(InputError, match="vocabulary"):
        model.losses([1, 400])
    with pytest.raises(InputError, match="vocabulary"):
        model.losses([1, -1])
    with pytest.raises(InputError, match="1,025 tokens"):
        model.losses([1] * 1025)
    with pytest.raises(ValueError, match="rows"):
        list(model.pieces([1, 2], range(3)))
    assert len(model.losses([1, 2, 3])) == 2
    with Logits(gguf, context=32, threads=1) as short:
        assert len(short.losses([1] * 32)) == 31
        with pytest.raises(InputError, match="context of 32"):
            short.losses([1] * 33)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGABRT, InputError), (signal.SIGSEGV, InputError), (signal.SIGKILL, ServiceError)],
)
def test_a_crash_is_an_error_that_names_the_signal(
    number: signal.Signals, kind: type[Exception], gguf: Path
) -> None:
    with Logits(gguf, threads=1) as crashing:
        os.kill(crashing._process.pid, number)
        with pytest.raises(kind, match=number.name):
            crashing.losses([1, 2])


def test_an_interruption_ends_the_process(gguf: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Logits(gguf, threads=1) as interrupted:
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        while True:
            interrupted.losses(TOKENS)
    assert interrupted._process.returncode is not None


def test_the_process_ends_when_its_parent_is_killed(gguf: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from starfreight.gguf.logits import Logits\n"
        "with Logits(Path(sys.argv[1]), threads=1) as model:\n"
        "    print(model._process.pid, flush=True)\n"
        "    while True: model.losses(list(range(7, 300)))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(gguf)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 60
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _runs(child)


@pytest.mark.parametrize(
    "change",
    [
        "library._ALL_LAYERS = (1000,)",
        "library._CONTEXT_DEFAULTS = (4096, 2048, 512, 1)",
        "interface._FUNCTIONS['llama_no_such_function'] = (None, [])",
        "library.read_scalars = lambda path: {'general.architecture': 'x', 'x.embedding_length': 65}",
    ],
)
def test_a_library_with_another_interface_is_refused_by_its_version(change: str, gguf: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import starfreight.gguf.llama_library as library\n"
        "import starfreight.gguf.llama_interface as interface\n"
        f"{change}\n"
        "try: library.LlamaLibrary(Path(sys.argv[1]), None, 64, 1, gpu=False)\n"
        "except library.InputError as error: print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(gguf)], capture_output=True, text=True, check=True
    )
    assert "another C interface" in found.stdout
    assert "xllamacpp 2" in found.stdout


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
