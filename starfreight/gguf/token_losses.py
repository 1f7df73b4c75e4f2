r"""Measure single tokens through llama.cpp in a process of its own, which a bad file may crash.

losses = measure_tokens(MeasureRequest(gguf, None, documents, threads=2), advance)

The child runs this module. It reads one line of JSON from its standard input and ends when that is closed, so
it does not outlive its parent. It answers with lines of JSON: ``{"done": 8}``, and last
``{"losses": [[...], ...]}`` or ``{"error": "..."}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from starfreight.errors import StarfreightError
from starfreight.gguf.local_model import LocalModel

Document = tuple[Sequence[int], Sequence[int]]
"""Token ids, and the ascending positions of the tokens to measure, each 1 or more."""

SLOTS = 16
"""Documents computed side by side: as fast as 32 for a model of 370 million weights, 6 times as fast as 1."""

_ANSWER_LIMIT = 64 << 20


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
    """The process failed.

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
    # The file's own directory was just written to. A container may have no other.
    with tempfile.TemporaryFile(dir=request.gguf.parent) as log:
        # The current directory is left out, as in the parent: its files would be imported.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(_encoded(request))
                process.stdin.flush()
            answer = _read_answer(process.stdout, advance)
            if answer is None:
                raise _ended(process.wait(), log)
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
    if "error" in answer:
        raise MeasurementError(str(answer["error"]), of_machine=bool(answer.get("of_machine")))
    return [[float(loss) for loss in row] for row in answer["losses"]]


def _encoded(request: MeasureRequest) -> bytes:
    fields = {
        "gguf": str(request.gguf.absolute()),
        "adapter": str(request.adapter.absolute()) if request.adapter else None,
        "documents": [[list(tokens), list(positions)] for tokens, positions in request.documents],
        "threads": request.threads,
    }
    return json.dumps(fields).encode() + b"\n"


def _read_answer(stream: IO[bytes], advance: Callable[[int], object]) -> Mapping[str, Any] | None:
    """The child's last line; ``None`` if it ended before."""
    while line := stream.readline(_ANSWER_LIMIT):
        if not line.endswith(b"\n"):
            return None
        message: Mapping[str, Any] = json.loads(line)
        if "done" not in message:
            return message
        advance(int(message["done"]))
    return None


def _ended(code: int, log: IO[bytes]) -> MeasurementError:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    last = f" ({lines[-1][:200]})" if lines else ""
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            # Out of memory, or an instruction that this processor does not have.
            of_machine = -code in (signal.SIGKILL, signal.SIGILL)
            return MeasurementError(f"it ended with {name}{last}", of_machine=of_machine)
    return MeasurementError(f"it ended with code {code}{last}")


def main() -> None:
    """The child process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Its threads would hold Python's handler up.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever llama.cpp prints is no answer.
    fields = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def send(message: Mapping[str, Any]) -> None:
        with lock:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    try:
        import xllamacpp  # noqa: F401

        losses = _measure(fields, lambda count: send({"done": count}))
    except ImportError as error:
        send({"error": str(error), "of_machine": True})
    except StarfreightError as error:
        send({"error": error.what})
    else:
        send({"losses": losses})
    os._exit(0)  # llama.cpp's threads have nothing to tidy.


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _measure(fields: Mapping[str, Any], advance: Callable[[int], object]) -> list[list[float]]:
    documents: Sequence[Document] = fields["documents"]
    adapter = Path(fields["adapter"]) if fields["adapter"] else None
    context = max(len(tokens) for tokens, _ in documents) + 1
    slots = min(SLOTS, len(documents))
    with LocalModel(
        Path(fields["gguf"]), adapter=adapter, context=context, threads=fields["threads"], slots=slots
    ) as model:

        def measure_one(slot: int, tokens: Sequence[int], positions: Sequence[int]) -> list[float]:
            row = []
            for position in positions:
                row.append(model.token_loss(tokens[:position], tokens[position], slot))
                advance(1)
            return row

        def worker(slot: int) -> list[list[float]]:
            return [measure_one(slot, *document) for document in documents[slot::slots]]

        with ThreadPoolExecutor(slots) as pool:
            of_slots = [iter(rows) for rows in pool.map(worker, range(slots))]
        return [next(of_slots[number % slots]) for number in range(len(documents))]


if __name__ == "__main__":
    main()
