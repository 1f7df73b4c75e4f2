"""Importance matrices: read as llama-quantize reads them, and refused when they are not sound."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.packager.press import PressRequest, press
from starfreight.packager.press.importance import read_importance
from starfreight.packager.press.kernels import WEIGHTED, encode, ggml, prepare

UP = "blk.0.ffn_up.weight"
Save = Callable[..., Path]


def entry(sums: Any, counts: Any = ((4.0,),), name: str = UP) -> dict[str, Any]:
    """The two tensors of one weight."""
    return {
        f"{name}.in_sum2": np.array(sums, np.float32, ndmin=2),
        f"{name}.counts": np.array(counts, np.float32),
    }


def test_weights_are_sums_divided_by_counts_in_float32(save_imatrix: Save, tmp_path: Path) -> None:
    sums = np.exp(np.random.default_rng(0).standard_normal(64) * 5).astype(np.float32)
    path = save_imatrix(
        tmp_path / "imatrix.gguf", entry(sums, [[3.0]]) | entry([0, 1, 5], [[0.0]], "blk.0.attn_q.weight")
    )
    found = read_importance(path)
    np.testing.assert_array_equal(found.weights[UP], sums / np.float32(3))
    # Where nothing was counted, all columns count the same.
    np.testing.assert_array_equal(found.weights["blk.0.attn_q.weight"], [1, 1, 1])
    assert (found.file, found.dataset, found.chunks) == ("imatrix.gguf", "code.txt", 7)
    assert found.digest == sha256_file(path)


def test_an_importance_matrix_may_name_no_data_set(save_imatrix: Save, tmp_path: Path) -> None:
    assert read_importance(save_imatrix(tmp_path / "i", entry([1, 2]), datasets=())).dataset is None


@pytest.mark.parametrize("kind", sorted(WEIGHTED), ids=lambda kind: kind.name)
def test_weighted_bytes_err_less_where_it_counts(kind: Type) -> None:
    from gguf import dequantize

    prepare(kind)
    random = np.random.default_rng(1)
    values = random.standard_normal((16, 512)).astype(np.float32)
    weights = np.exp(random.standard_normal(512) * 2).astype(np.float32)
    errors = []
    for given in (None, weights):
        made = np.frombuffer(encode(values, kind, given) or b"", np.uint8).reshape(16, -1)
        errors.append(float((np.square(dequantize(made, kind) - values) * weights).mean()))
    assert errors[1] < errors[0]


def test_types_that_heed_no_weights_write_the_same_bytes() -> None:
    values = np.random.default_rng(1).standard_normal((16, 256)).astype(np.float32)
    weights = np.linspace(0, 9, 256, dtype=np.float32)
    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q8_0):
        prepare(kind)
        assert encode(values, kind, weights) == encode(values, kind)
    np.testing.assert_array_equal(ggml.quantise(values, Type.Q8_0, weights), ggml.quantise(values, Type.Q8_0))


def test_every_chunk_of_a_tensor_and_every_thread_has_the_same_weights(
    make_checkpoint: Callable[..., Path],
    make_imatrix: Callable[..., Path],
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from starfreight.packager.press import chunks

    base = make_checkpoint(tmp_path / "base", layers=1)
    imatrix = make_imatrix(base, tmp_path / "imatrix.gguf")

    def digest(threads: int) -> str:
        request = PressRequest(
            base, None, ("IQ4_XS",), tmp_path / "out", "m", threads=threads, imatrix=imatrix
        )
        return press(request, console)[0].digest

    one = digest(1)
    monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", 5000)
    assert digest(1) == digest(3) == one


def test_a_matrix_without_weights_is_quantised_without_and_a_note_tells(
    make_checkpoint: Callable[..., Path],
    save_imatrix: Save,
    console: Console,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = make_checkpoint(tmp_path / "base", layers=1)
    imatrix = save_imatrix(tmp_path / "imatrix.gguf", entry(np.linspace(0, 3, 256)))
    (weighted,) = press(
        PressRequest(base, None, ("Q2_K",), tmp_path / "out", "m", imatrix=imatrix), Console()
    )
    assert "does not cover 5 matrices" in "".join(capsys.readouterr())
    (plain,) = press(PressRequest(base, None, ("Q2_K",), tmp_path / "plain", "m"), console)
    tensors = [
        {tensor.name: tensor.data.tobytes() for tensor in GGUFReader(file.path).tensors}
        for file in (weighted, plain)
    ]
    assert [name for name in tensors[0] if tensors[0][name] != tensors[1][name]] == [UP]


NAN, INF = float("nan"), float("inf")
UNSOUND: Mapping[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another kind of file": (entry([1]), {"kind": "model"}, "another kind of GGUF file"),
    "no chunk count": (entry([1]), {"chunks": None}, "no number of chunks"),
    "no chunk size": (entry([1]), {"chunk_size": None}, "no number of chunks"),
    "no counts": ({f"{UP}.in_sum2": entry([1])[f"{UP}.in_sum2"]}, {}, "not both"),
    "no sums": ({f"{UP}.counts": entry([1])[f"{UP}.counts"]}, {}, "not both"),
    "neither": ({UP: np.ones((1, 4), np.float32)}, {}, "no sums of squares"),
    "sums that are no numbers": (entry([1, NAN]), {}, "negative or not finite"),
    "infinite sums": (entry([1, INF]), {}, "negative or not finite"),
    "negative sums": (entry([1, -1e-6]), {}, "negative"),
    "enormous sums": (entry([1, 1e30]), {}, "too large"),
    "sums of zero": (entry([0, 0]), {}, "above zero"),
    "counts that are no numbers": (entry([1], [[NAN]]), {}, "an invalid count"),
    "infinite counts": (entry([1], [[INF]]), {}, "an invalid count"),
    "negative counts": (entry([1], [[-1]]), {}, "an invalid count"),
    "counts of zero": (entry([1, 2], [[0]]) | entry([3], [[0.4]], "b"), {}, "no input was counted"),
    "counts of experts": (entry([1, 2], [[1, 1]]), {}, "an invalid count"),
    "sums of experts": (entry([[1], [2]]), {}, "not one row"),
    "another type": (
        {f"{UP}.in_sum2": np.ones((1, 4), np.float16), f"{UP}.counts": np.ones((1, 1), np.float32)},
        {},
        "not stored as F32",
    ),
}


def refused(path: Path) -> str:
    """What the error says."""
    with pytest.raises(InputError) as caught:
        read_importance(path)
    assert caught.value.where == str(path)
    return caught.value.what


@pytest.mark.parametrize("fault", UNSOUND)
def test_an_unsound_importance_matrix_is_refused(fault: str, save_imatrix: Save, tmp_path: Path) -> None:
    tensors, settings, words = UNSOUND[fault]
    assert words in refused(save_imatrix(tmp_path / "imatrix.gguf", tensors, **settings))


def test_a_file_that_is_cut_short_anywhere_is_refused(save_imatrix: Save, tmp_path: Path) -> None:
    path = save_imatrix(tmp_path / "imatrix.gguf", entry([1, 2, 3]))
    whole = path.read_bytes()
    end = whole.rindex(np.float32(4).tobytes()) + 4
    for size in range(end):
        path.write_bytes(whole[:size])
        assert "not a valid importance matrix" in refused(path)
    path.write_bytes(whole[:end])
    assert len(read_importance(path).weights[UP]) == 3


def test_numbers_in_the_header_cannot_make_it_read_elsewhere(save_imatrix: Save, tmp_path: Path) -> None:
    path = save_imatrix(tmp_path / "imatrix.gguf", entry([1, 2, 3]))
    whole = path.read_bytes()
    name = f"{UP}.in_sum2".encode()
    table = whole.index(name) + len(name)  # dimensions (4), sizes (8 each), type (4), offset (8)
    for where, value in (
        (8, 2**63), (16, 2**40), (table, 2**31), (table + 4, 2**62), (table + 4, 0), (table + 12, 2**63),
        (table + 24, 2**64 - 32), (table + 24, 1),
    ):  # fmt: skip
        size = 4 if where == table else 8
        changed = bytearray(whole)
        changed[where : where + size] = struct.pack("<I" if size == 4 else "<Q", value)
        path.write_bytes(changed)
        assert "not a valid importance matrix" in refused(path)


def test_a_tensor_that_is_there_twice_is_refused(save_imatrix: Save, tmp_path: Path) -> None:
    path = save_imatrix(tmp_path / "imatrix.gguf", entry([1], name="a") | entry([2], name="b"))
    path.write_bytes(path.read_bytes().replace(b"b.in_sum2", b"a.in_sum2"))
    assert "twice" in refused(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"\x02\x00\x00\x00\x10\x00\x00\x00blk.0.attn_k.wei"])
def test_a_file_of_another_format_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(content)
    assert "not a valid importance matrix" in refused(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "imatrix.gguf")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (entry([1.0] * 256, name="blk.1.ffn_up.weight"), "no tensor 'blk.1.ffn_up.weight'"),
        (entry([1.0] * 256, name="\x1b[31mred"), r"no tensor '\x1b[31mred'"),
        (entry([1.0] * 512), "512 columns, the model's 256"),
        (entry([1.0] * 256, name="blk.0.attn_norm.weight"), "belongs to another model"),
    ],
    ids=["another layer", "another name", "another length", "a vector"],
)
def test_the_importance_matrix_of_another_model_is_refused(
    tensors: dict[str, Any],
    words: str,
    make_checkpoint: Callable[..., Path],
    save_imatrix: Save,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", layers=1)
    imatrix = save_imatrix(tmp_path / "imatrix.gguf", tensors)
    with pytest.raises(InputError) as caught:
        press(PressRequest(base, None, ("Q4_K_M",), tmp_path / "out", "m", imatrix=imatrix), console)
    assert words in caught.value.what
    assert caught.value.where == str(imatrix)
    assert not (tmp_path / "out").exists()
