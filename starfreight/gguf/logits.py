"""Exact logits of a GGUF file, computed by llama.cpp in a process of its own, which a bad file may crash.

    with Logits(path, context=512) as model:
        tokens = model.tokenize("def area(radius):\\n    return ")
        model.log_probabilities(tokens, range(len(tokens)))      # float32, (tokens, vocabulary)

Row ``n`` belongs to the token after ``tokens[: n + 1]``.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from starfreight.errors import InputError, ServiceError
from starfreight.gguf.keys import read_scalars
from starfreight.gguf.llama_interface import UnusableLibraryError
from starfreight.gguf.llama_library import BATCH

__all__ = ["Logits", "UnusableLibraryError", "context_of", "log_sum_exp"]

Floats = npt.NDArray[np.float32]

_LONGEST = 4096
_MOST_VOCABULARY = 1 << 22
_ANSWER_LIMIT = 1 << 30


class Logits:
    """A GGUF file loaded once for the logits of many sequences.

    Args:
        gguf: the file.
        adapter: a LoRA GGUF to add to it.
        context: the longest sequence in tokens; ``None`` for the model's own, at most 4096.
        threads: number of threads; ``None`` for one per core, at most 8.
        gpu: true to use the GPU if there is one.

    Attributes:
        context: the longest sequence in tokens.
        trained_context: the longest sequence in training, as the file names it.
        vocabulary: number of tokens.
        begin: the token that begins a text; ``None`` without one.
        adds_begin: true if the tokenizer puts it before each text.

    Raises:
        UnusableLibraryError: llama.cpp is not installed, or of another version.
        InputError: it cannot load the file.
        ServiceError: the process was killed, e.g. for memory.
    """

    def __init__(
        self,
        gguf: Path,
        *,
        adapter: Path | None = None,
        context: int | None = None,
        threads: int | None = None,
        gpu: bool = True,
    ) -> None:
        self._gguf = gguf
        self.trained_context = context_of(gguf)
        self.context = context or min(self.trained_context, _LONGEST)
        self._descriptor = _shared_memory()
        self._log = os.fdopen(_shared_memory(), "w+b")
        self._memory: mmap.mmap | None = None
        # The current directory is left out, as in the parent: its files would be imported.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "starfreight.gguf.logits_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            pass_fds=[self._descriptor],
            process_group=0,  # Ctrl-C is for this process.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            settings = {
                "gguf": str(gguf.absolute()),
                "adapter": str(adapter.absolute()) if adapter else None,
                "context": self.context,
                "threads": threads or min(os.cpu_count() or 1, 8),
                "gpu": gpu,
                "memory": self._descriptor,
            }
            answer = self._ask(settings)
            self.vocabulary = int(answer["vocabulary"])
            self.begin: int | None = int(answer["begin"]) if answer["begin"] >= 0 else None
            self.adds_begin = bool(answer["adds_begin"])
            self._rows = min(self.context, BATCH)
            size = self._rows * self.vocabulary * 4
            if not 0 < self.vocabulary <= _MOST_VOCABULARY or os.fstat(self._descriptor).st_size != size:
                raise self._failed("it has an impossible vocabulary")
            self._memory = mmap.mmap(self._descriptor, size, prot=mmap.PROT_READ)
        except BaseException:
            self.close()
            raise

    def tokenize(self, text: str, *, begin: bool = False) -> list[int]:
        """The tokens of a text by the file's own tokenizer. Special tokens in it are plain text.

        Args:
            text: the text.
            begin: true to add the beginning token, if the tokenizer does.
        """
        return [int(token) for token in self._ask({"text": text, "begin": begin})["tokens"]]

    def token_lengths(self) -> npt.NDArray[np.int64]:
        """The number of bytes of each token's text, shape (vocabulary,)."""
        return np.array(self._ask({"lengths": True})["lengths"], dtype=np.int64)

    def pieces(self, tokens: Sequence[int], rows: range) -> Iterator[tuple[int, Floats]]:
        """Yield logits in pieces of at most :data:`~starfreight.gguf.llama_library.BATCH` rows.

        Args:
            tokens: a sequence, at most as long as the context.
            rows: consecutive rows to yield.

        Yields:
            the first row, and float32 of shape (rows, vocabulary): a read-only view, valid until the next.

        Raises:
            InputError: the sequence or the rows do not fit, or llama.cpp cannot compute them.
            ServiceError: the process was killed, e.g. for memory.
        """
        last = rows.stop
        if not 0 <= rows.start <= last <= len(tokens) or rows.step != 1:
            raise ValueError(f"rows {rows} of {len(tokens)} tokens")
        if len(tokens) > self.context:
            raise InputError(
                f"The text of {len(tokens):,} tokens does not fit the context of {self.context:,}.",
                where=str(self._gguf),
                fix="shorten the text or raise the context",
            )
        if any(not 0 <= token < self.vocabulary for token in tokens):
            raise InputError("A token is not in the model's vocabulary.", where=str(self._gguf))
        for start in range(0, last, self._rows):
            part = list(tokens[start : min(start + self._rows, last)])
            first = min(max(0, rows.start - start), len(part))
            count = int(self._ask({"tokens": part, "position": start, "first": first})["rows"])
            if count != len(part) - first:
                raise self._failed("it returned another number of rows")
            if count:
                yield start + first, self._view(count)

    def log_probabilities(self, tokens: Sequence[int], rows: range) -> Floats:
        """The natural logarithms of the probabilities of each next token.

        Args:
            tokens: a sequence, at most as long as the context.
            rows: consecutive rows.

        Returns:
            float32, shape (rows, vocabulary).

        Raises:
            InputError: as :meth:`pieces`.
            ServiceError: as :meth:`pieces`.
        """
        found = np.empty((len(rows), self.vocabulary), dtype=np.float32)
        for first, logits in self.pieces(tokens, rows):
            for place, row in enumerate(logits, first - rows.start):
                found[place] = row - log_sum_exp(row)
        return found

    def losses(self, tokens: Sequence[int], first: int = 1) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each token from ``first`` (1 or more) on, in nats.

        Raises:
            InputError: as :meth:`pieces`.
            ServiceError: as :meth:`pieces`.
        """
        found = np.empty(max(0, len(tokens) - first), dtype=np.float64)
        for begin, logits in self.pieces(tokens, range(first - 1, max(first - 1, len(tokens) - 1))):
            for place, row in enumerate(logits, begin - first + 1):
                found[place] = log_sum_exp(row) - float(row[tokens[place + first]])
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert stream is not None
                stream.close()
        self._log.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._memory = None  # Unmapped with the last view.

    def __enter__(self) -> Logits:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def _view(self, rows: int) -> Floats:
        assert self._memory is not None
        return np.frombuffer(self._memory, np.float32, rows * self.vocabulary).reshape(rows, self.vocabulary)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline(_ANSWER_LIMIT)
        if not line.endswith(b"\n"):
            raise self._ended(self._process.wait())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = UnusableLibraryError if answer["unusable"] else InputError
            raise kind(answer["error"], where=answer["where"], fix=answer["fix"])
        return answer

    def _ended(self, code: int) -> InputError | ServiceError:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 4096))
        lines = [each.strip() for each in self._log.read().decode(errors="replace").splitlines()]
        last = next((f" ({line[:200]})" for line in reversed(lines) if line), "")
        if code in (-signal.SIGKILL, -signal.SIGILL):
            return ServiceError(
                f"llama.cpp was ended by {signal.Signals(-code).name}{last}.",
                where=str(self._gguf),
                fix="run it again, with a smaller model if memory is short",
            )
        with contextlib.suppress(ValueError):
            return self._failed(f"it ended with {signal.Signals(-code).name}{last}")
        return self._failed(f"it ended with code {code}{last}")

    def _failed(self, reason: str) -> InputError:
        return InputError(
            f"llama.cpp cannot run the model file: {reason}.",
            where=str(self._gguf),
            fix="make or download it again",
        )


def context_of(gguf: Path) -> int:
    """The longest sequence in training, as the file names it; 4096 if it does not.

    Raises:
        InputError: the file is not a valid GGUF file.
    """
    keys = read_scalars(gguf)
    longest = keys.get(f"{keys.get('general.architecture')}.context_length")
    return longest if isinstance(longest, int) and longest > 0 else _LONGEST


def log_sum_exp(row: Floats) -> float:
    """The logarithm of the sum of a row's exponentials, summed in float64."""
    highest = row.max()
    return float(highest) + float(np.log(np.exp(row - highest).sum(dtype=np.float64)))


def _shared_memory() -> int:
    """A descriptor of empty memory that a child can inherit."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("logits", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
