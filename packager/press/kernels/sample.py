"""Sample numbers for checking a fast kernel against ggml's before use."""

from __future__ import annotations

import numpy as np

from starfreight.packager.press.kernels.floats import Floats


def sample_numbers() -> Floats:
    """Numbers of several kinds, 67 blocks of 256; the same on every call."""
    random = np.random.default_rng(20)
    values = random.standard_normal((67, 256)).astype(np.float32)
    values[16:32] = random.standard_t(2, (16, 256))
    values[32:40] = np.abs(values[32:40])
    values[40:48] = -np.abs(values[40:48])
    values[48:52] = values[48:52, :1]
    values[52:56] *= np.float32(1e-38)
    values[56:64, 16:] *= np.repeat(np.exp(random.standard_normal((8, 15)) * 4), 16, axis=1)
    values[64:66] = 0
    return values
