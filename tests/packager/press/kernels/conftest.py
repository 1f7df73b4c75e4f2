"""Numbers of every kind that a kernel can meet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from starfreight.packager.press.kernels import Floats

ROWS = 21
KINDS = (
    "normal", "heavy-tailed", "positive", "negative", "nearly constant", "constant by sub-block",
    "one nonzero", "uneven", "uneven and tiny", "denormal", "as small as halves get", "large", "huge",
    "whole", "zero", "negative zero", "signed zeros",
)  # fmt: skip


@pytest.fixture(scope="session")
def numbers() -> Callable[[str], Floats]:
    """Makes an odd number of blocks of 256 numbers, of a kind."""

    def make(kind: str) -> Floats:
        random = np.random.default_rng(7)
        shape = (ROWS, 256)
        normal = random.standard_normal(shape)
        uneven = np.repeat(np.exp(random.standard_normal((ROWS, 16)) * 5), 16, axis=1)
        made = {
            "normal": normal * 0.02,
            "heavy-tailed": random.standard_t(2, shape),
            "positive": np.abs(normal),
            "negative": -np.abs(normal),
            "nearly constant": -5 + normal * 1e-7,
            "constant by sub-block": np.repeat(random.standard_normal((ROWS, 8)), 32, axis=1),
            "one nonzero": np.where(np.arange(256) == 77, normal, 0),
            "uneven": normal * uneven,
            "uneven and tiny": normal * uneven * 1e-38,
            "denormal": normal * 1e-40,
            "as small as halves get": normal * uneven * 1e-6,
            "large": normal * 1e5,
            "huge": normal * 1e19,
            "whole": np.round(normal * 3),
            "zero": np.zeros(shape),
            "negative zero": np.full(shape, -0.0),
            "signed zeros": np.where(normal > 1, normal, np.copysign(0, random.standard_normal(shape))),
        }
        assert tuple(made) == KINDS
        return np.ascontiguousarray(made[kind], dtype=np.float32)

    return make


@pytest.fixture(params=KINDS)
def any_numbers(request: pytest.FixtureRequest, numbers: Callable[[str], Floats]) -> Floats:
    """Numbers of each kind in turn."""
    return numbers(request.param)
