"""Measure single tokens of documents with llama.cpp, in a process of its own.

losses = measure_tokens(MeasureRequest(gguf, None, documents, threads=2), advance)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError, ServiceError
from starfreight.gguf.logits import Logits, UnusableLibraryError

Document = tuple[Sequence[int], Sequence[int]]
"""Token ids, and the ascending positions of the tokens to measure, each 1 or more."""


@dataclass(frozen=True)
class MeasureRequest:
    """Request for the losses of tokens.

    Attributes:
        gguf: the model's file.
        adapter: a LoRA GGUF to add to it.
        documents: the tokens.
        threads: number of threads.
    """

    gguf: Path
    adapter: Path | None
    documents: Sequence[Document]
    threads: int


class MeasurementError(Exception):
    """The measurement failed.

    Args:
        reason: completes the sentence "llama.cpp cannot run the file: ...".
        of_machine: true if the file is not to blame: llama.cpp is unusable here, or was killed.
    """

    def __init__(self, reason: str, *, of_machine: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.of_machine = of_machine


def has_llama_cpp() -> bool:
    """True if llama.cpp is installed."""
    import importlib.util

    return importlib.util.find_spec("xllamacpp") is not None


def measure_tokens(request: MeasureRequest, advance: Callable[[int], object]) -> list[list[float]]:
    """The negative log-likelihoods of tokens, in nats.

    Args:
        request: the file and the tokens.
        advance: called with the number of tokens done.

    Returns:
        For each document the losses at its positions.

    Raises:
        MeasurementError: the file cannot be loaded, or llama.cpp crashed.
    """
    context = max(len(tokens) for tokens, _ in request.documents)
    found = []
    try:
        with Logits(
            request.gguf, adapter=request.adapter, context=context, threads=request.threads, gpu=False
        ) as model:
            for tokens, positions in request.documents:
                first, last = min(positions, default=1), max(positions, default=0)
                losses = model.losses(tokens[: last + 1], first)
                found.append([float(losses[position - first]) for position in positions])
                advance(len(positions))
    except (UnusableLibraryError, ServiceError) as error:
        raise MeasurementError(error.what.rstrip("."), of_machine=True) from error
    except InputError as error:
        raise MeasurementError(error.what.rstrip(".")) from error
    return found
