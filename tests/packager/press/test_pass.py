"""What must hold of the pass: the same bytes always, and keys that say what it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import sha256_file
from starfreight.gguf.keys import read_scalars
from starfreight.packager.press import (
    ModelIdentity,
    ModelOrigin,
    PressRequest,
    Quantization,
    chunks,
    merge,
    predict_size,
    press,
)
from starfreight.packager.press.gguf_stream import GgufStream
from starfreight.packager.press.kernels import encoding


def test_any_number_of_threads_gives_the_same_bytes(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=5000, shards=3)
    adapter = make_adapter(tmp_path / "adapter", {"model.layers.0.mlp.c_fc.weight": (512, 256)})
    quantizations = tuple(Quantization)
    digests = []
    for threads in (1, 2, 7):
        request = PressRequest(
            base, adapter, quantizations, tmp_path / f"out-{threads}", "m", threads=threads
        )
        digests.append([file.digest for file in press(request, console)])
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests[0])) == len(quantizations)


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("merge_base", ["original", "nf4_roundtrip"])
def test_where_chunks_end_shows_in_no_byte(
    architecture: str,
    merge_base: Literal["original", "nf4_roundtrip"],
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rows of 96 and 200 are no whole blocks of NF4, whose blocks a chunk must not cut.
    base = make_checkpoint(tmp_path / "base", architecture, hidden=96, ffn=200, tied=False)
    matrices = {
        name: tensor.shape
        for name, tensor in open_checkpoint(base).tensors.items()
        if len(tensor.shape) == 2 and (".layers." in name or ".h." in name)
    }
    adapter = make_adapter(tmp_path / "adapter", matrices)
    digests = set()
    for elements in (1 << 30, 1 << 14, 1):
        monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", elements)
        request = PressRequest(
            base, adapter, ("F32", "Q4_K_M"), tmp_path / "out", "m", threads=2, merge_base=merge_base
        )
        digests.add(tuple(file.digest for file in press(request, console)))
    assert len(digests) == 1


def test_the_press_never_works_far_ahead_of_a_slow_disk(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, append = chunks._work, GgufStream.append
    started, ahead = [], []

    def counted(*arguments: Any) -> Any:
        started.append(1)
        return work(*arguments)

    def slow_append(self: GgufStream, data: bytes | memoryview) -> None:
        time.sleep(0.002)
        append(self, data)
        # A chunk and the padding after a tensor are an append each.
        ahead.append(len(started) - len(ahead))

    monkeypatch.setattr(chunks, "_work", counted)
    monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", 1 << 10)
    monkeypatch.setattr(GgufStream, "append", slow_append)
    base = make_checkpoint(tmp_path / "base", layers=1, hidden=64, ffn=640)
    press(PressRequest(base, None, ("F16",), tmp_path / "out", "m", threads=3), console)
    assert len(started) > 100
    assert max(ahead) < 12


def test_fast_and_slow_kernels_give_the_same_files(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=3000)
    adapter = make_adapter(tmp_path / "adapter", {"model.layers.0.mlp.c_fc.weight": (512, 256)}, rank=7)

    def digests(name: str, threads: int, *, small_job: int) -> list[str]:
        for module in (encoding, merge):
            monkeypatch.setattr(module, "SMALL_JOB", small_job)
        monkeypatch.setattr(encoding, "_fast", {})
        monkeypatch.setattr(merge, "_fast", None)
        request = PressRequest(base, adapter, tuple(Quantization), tmp_path / name, "m", threads=threads)
        found = [file.digest for file in press(request, console)]
        assert bool(encoding._fast) == bool(merge._fast) == (small_job == 0)
        return found

    slow = digests("slow", 1, small_job=1 << 40)
    assert digests("fast", 1, small_job=0) == slow
    assert digests("fast-3", 3, small_job=0) == slow


def test_sharded_and_whole_checkpoints_give_the_same_bytes(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    digests = {
        press(
            PressRequest(
                make_checkpoint(tmp_path / str(shards), shards=shards), None, ("Q8_0",), tmp_path, "m"
            ),
            console,
        )[0].digest
        for shards in (1, 4)
    }
    assert len(digests) == 1


def test_what_is_reported_is_what_lies_there(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base")
    files = press(PressRequest(base, None, ("q4_K_M", "F16", "Q4_K_M"), tmp_path / "out", "mine"), console)
    assert [file.path.name for file in files] == ["mine-Q4_K_M.gguf", "mine-F16.gguf"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine-F16.gguf", "mine-Q4_K_M.gguf"]
    for file in files:
        assert file.digest == sha256_file(file.path)
        assert file.size == file.path.stat().st_size
    assert [file.quantization for file in files] == [Quantization.Q4_K_M, Quantization.F16]
    assert [read_scalars(file.path)["general.file_type"] for file in files] == [15, 1]


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_the_predicted_size_is_that_of_the_file_less_its_header(
    architecture: str, make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, tied=False, hidden=96)
    shape = open_checkpoint(base).shape
    for file in press(PressRequest(base, None, tuple(Quantization), tmp_path / "out", "m"), console):
        assert 0 <= predict_size(shape, file.quantization) - file.size < 20_000


def test_the_size_of_starcoder2_3b_follows_from_its_shape() -> None:
    from starfreight.checkpoint import ModelShape

    shape = ModelShape("starcoder2", 30, 3072, 12288, 24, 2, 49152, 16384, 1e-5, 999999.44, True, "BF16")
    assert shape.parameters == 3_030_371_328
    assert 0 < predict_size(shape, "F32") - 4 * shape.parameters < 4_000_000
    # 34 bytes for 32 weights, but for norms and biases.
    assert 0 < predict_size(shape, "q8_0") - shape.parameters * 34 // 32 < 10_000_000


def test_the_file_says_what_it_is_and_where_it_comes_from(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    from gguf import GGUFReader

    identity = ModelIdentity(
        name="Mine",
        version="1.2",
        description="Completes.",
        organization="Acme",
        license="other",
        license_name="bigcode-openrail-m",
        license_link="https://example.org/license",
        source_url="https://example.org/mine",
        source_doi="10.5555/12345678",
        source_repo_url="https://example.org/mine.git",
        base_models=(
            ModelOrigin(
                "x", "bigcode", "abc123", "https://example.org/x", "https://huggingface.co/bigcode/x"
            ),
        ),
        datasets=(ModelOrigin("our code", version="sha256:00"), ModelOrigin("more")),
        tags=("code",),
        languages=("en",),
        chat_template="{{ messages }}",
    )
    base = make_checkpoint(tmp_path / "base", layers=1)
    (file,) = press(PressRequest(base, None, ("F16",), tmp_path / "out", "m", identity), console)
    fields = GGUFReader(file.path).fields
    assert fields["tokenizer.chat_template"].contents() == "{{ messages }}"
    found = {key: field.contents() for key, field in fields.items() if key.startswith("general.")}
    assert found == {
        "general.architecture": "starcoder2",
        "general.type": "model",
        "general.name": "Mine",
        "general.version": "1.2",
        "general.description": "Completes.",
        "general.organization": "Acme",
        "general.size_label": "564K",
        "general.license": "other",
        "general.license.name": "bigcode-openrail-m",
        "general.license.link": "https://example.org/license",
        "general.source.url": "https://example.org/mine",
        "general.source.doi": "10.5555/12345678",
        "general.source.repo_url": "https://example.org/mine.git",
        "general.base_model.count": 1,
        "general.base_model.0.name": "x",
        "general.base_model.0.url": "https://example.org/x",
        "general.base_model.0.version": "abc123",
        "general.base_model.0.organization": "bigcode",
        "general.base_model.0.repo_url": "https://huggingface.co/bigcode/x",
        "general.dataset.count": 2,
        "general.dataset.0.name": "our code",
        "general.dataset.0.version": "sha256:00",
        "general.dataset.1.name": "more",
        "general.tags": ["code"],
        "general.languages": ["en"],
        "general.quantization_version": 2,
        "general.file_type": 1,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"quantizations": ()},
        {"quantizations": ("Q4_K_XL",)},
        {"name": "../outside"},
        {"name": ""},
        {"threads": 0},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    change: Mapping[str, object], make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    values: dict[str, object] = {
        "base": make_checkpoint(tmp_path / "base", layers=1, hidden=64, ffn=64),
        "adapter": None,
        "quantizations": ("Q8_0",),
        "out": tmp_path / "out",
        "name": "m",
    }
    with pytest.raises(RecipeError):
        press(PressRequest(**(values | change)), console)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
