"""The context that a model is run with."""

from __future__ import annotations

from starfreight.completion.model_source import ModelSource
from starfreight.gguf.keys import read_scalars

_LARGEST_CONTEXT = 16_384


def source_context(source: ModelSource) -> int:
    """Tokens of a request and its answer: the package's ``num_ctx``, as far as the model has them."""
    keys = read_scalars(source.gguf)
    longest = int(keys.get(f"{keys.get('general.architecture')}.context_length", 4096))
    return max(64, min(source.number("num_ctx") or 4096, longest, _LARGEST_CONTEXT))
