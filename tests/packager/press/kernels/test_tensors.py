"""torch's kernels write the bytes that ggml and the processor's fast kernels write, on every device here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.packager.press.kernels import Floats, ggml, prepare, quantise, round_to
from starfreight.packager.press.kernels.tensors import KERNELS, encode_tensors

torch = pytest.importorskip("torch")

Numbers = Callable[[str], Floats]


@pytest.fixture(params=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def device(request: pytest.FixtureRequest) -> str:
    """A device of torch's."""
    name: str = request.param
    return name


@pytest.fixture(params=sorted(KERNELS))
def kind(request: pytest.FixtureRequest) -> GGMLQuantizationType:
    """A type that torch's kernels know, with the processor's fast kernel in use."""
    found = GGMLQuantizationType[request.param]
    assert prepare(found) is None
    return found


def test_they_write_the_bytes_of_ggml_and_of_the_processor(
    kind: GGMLQuantizationType, any_numbers: Floats, device: str
) -> None:
    for values in (any_numbers, round_to(any_numbers, "BF16")):
        made = encode_tensors(values, kind.name, device)
        np.testing.assert_array_equal(made, ggml.quantise(values, kind))
        np.testing.assert_array_equal(made, quantise(values, kind))


@pytest.mark.parametrize("shape", [(1, 256), (3, 256), (5, 768), (1, 2560)])
def test_rows_of_any_length_are_whole(
    shape: tuple[int, int], kind: GGMLQuantizationType, numbers: Numbers, device: str
) -> None:
    values = numbers("uneven").reshape(-1)[: shape[0] * shape[1]].reshape(shape)
    np.testing.assert_array_equal(encode_tensors(values, kind.name, device), ggml.quantise(values, kind))


def test_bytes_do_not_depend_on_the_neighbours(
    kind: GGMLQuantizationType, numbers: Numbers, device: str
) -> None:
    values = numbers("uneven")
    together = encode_tensors(values, kind.name, device).reshape(-1, GGML_QUANT_SIZES[kind][1])
    for row in (0, 1, len(values) - 1):
        alone = encode_tensors(values[row : row + 1], kind.name, device)
        np.testing.assert_array_equal(alone, together[row])


@pytest.mark.filterwarnings("error")
def test_numbers_may_be_read_only_and_stay_what_they_are(
    kind: GGMLQuantizationType, numbers: Numbers, device: str
) -> None:
    values = numbers("normal")
    values.setflags(write=False)
    encode_tensors(values, kind.name, device)
    np.testing.assert_array_equal(values, numbers("normal"))


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7FFFFFFF])
def test_a_not_a_number_rounds_to_zero_whatever_its_bits(bits: int, device: str) -> None:
    from starfreight.packager.press.kernels.tensors.arithmetic import nearest

    # The last is a GPU's, whose fraction bits would round to a large number.
    given = np.array([bits, 0x7F800000, 0xFF800000, 0x3FC00000], dtype=np.uint32).view(np.float32)
    assert nearest(torch.tensor(given, device=device), -4, 3).tolist() == [0, -4, -4, 2]


def test_square_roots_are_correctly_rounded(device: str) -> None:
    from starfreight.packager.press.kernels.tensors.arithmetic import square_root

    drawn = np.random.default_rng(3).integers(0, 0x7F800000, 100_000).astype(np.uint32)
    values = drawn.view(np.float32)
    np.testing.assert_array_equal(
        square_root(torch.tensor(values, device=device)).cpu().numpy(), np.sqrt(values)
    )
