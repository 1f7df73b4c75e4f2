"""Running a GGUF file in process."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.gguf.keys import read_scalars
from starfreight.gguf.local_model import LocalModel, complete
from starfreight.packager.press import ModelIdentity, PressRequest, press


@pytest.fixture(scope="module")
def base(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights."""
    return make_checkpoint(tmp_path_factory.mktemp("completion") / "base", dtype="F32")


@pytest.fixture(scope="module")
def gguf(base: Path) -> Path:
    """The model as a GGUF file."""
    identity = ModelIdentity("Tiny", license="Apache-2.0")
    request = PressRequest(base, None, ("F32",), base.parent / "out", "tiny", identity)
    return press(request, Console(quiet=True))[0].path


@pytest.fixture
def model(gguf: Path) -> Iterator[LocalModel]:
    """The model, loaded."""
    with LocalModel(gguf, threads=1) as loaded:
        yield loaded


def test_greedy_completions_repeat(model: LocalModel, gguf: Path) -> None:
    first = model.complete("def area(radius):", max_tokens=6)
    assert 1 <= len(first.tokens) <= 6
    assert model.complete("def area(radius):", max_tokens=6) == first
    assert complete(gguf, prompt="def area(radius):", max_tokens=6, threads=2).tokens == first.tokens


def test_a_fill_is_the_prompt_that_the_model_was_trained_on(model: LocalModel, base: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    before, after = (tokenizer.encode(text).ids for text in ("def area(r):\n", "\nprint(12)\n"))
    by_ids = model.complete([1, *before, 3, *after, 2], max_tokens=6)
    assert model.fill("def area(r):\n", "\nprint(12)\n", max_tokens=6) == by_ids
    assert model.fill("", "", max_tokens=3) == model.complete([1, 3, 2], max_tokens=3)


def test_what_does_not_fit_the_context_is_refused(model: LocalModel) -> None:
    with pytest.raises(InputError, match="context"):
        model.complete([5] * 1000)


def test_a_file_that_is_no_model_is_refused(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model")
    (tmp_path / "cut.gguf").write_bytes(gguf.read_bytes()[:-100_000])
    for path in (tmp_path / "text.gguf", tmp_path / "cut.gguf", tmp_path / "missing.gguf"):
        with pytest.raises(InputError):
            LocalModel(path)


def test_without_llama_cpp_the_error_names_the_extra(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InputError, match=r"llama\.cpp, which is not installed") as refused:
        LocalModel(gguf)
    assert refused.value.fix == "pip install 'starfreight[llama]'"


def test_nothing_but_the_text_is_printed_and_the_process_ends(gguf: Path) -> None:
    code = (
        "from starfreight.gguf.local_model import complete; from pathlib import Path; import sys; "
        "print(len(complete(Path(sys.argv[1]), prefix='a', suffix='b', max_tokens=2, threads=1).tokens) > 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(gguf)], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_single_values_are_read_past_the_vocabulary(gguf: Path) -> None:
    found = read_scalars(gguf)
    assert found["general.license"] == "Apache-2.0"
    assert found["starcoder2.block_count"] == 2
    assert found["starcoder2.rope.freq_base"] == 10000.0
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert found["general.file_type"] == 0
    assert "tokenizer.ggml.tokens" not in found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        struct.pack("<4sIQQ", b"GGUF", 9, 0, 0),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 60),
        struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 1 << 60),
        struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 99),
        struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 4, 1 << 60),
        struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 9, 1),
    ],
)
def test_a_header_that_is_not_sound_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(data)
    with pytest.raises(InputError, match="not a valid GGUF file"):
        read_scalars(tmp_path / "bad.gguf")
