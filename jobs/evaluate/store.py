"""Completions and their scores, kept as they come: append-only JSON lines.

    store = Store(directory, "humaneval")
    store.completion("HumanEval/0", 0)         # None, or the one of an earlier attempt
    store.keep_completion("HumanEval/0", 0, seed, completion)

A process may be killed at any moment: a torn last line is cut off, and its work is done again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeGuard

from starfreight.directories import open_directory, open_without_links
from starfreight.files import disk_errors, sha256_bytes
from starfreight.jobs.evaluate.models.interface import Completion
from starfreight.jobs.evaluate.models.valid_text import valid_text

COMPLETIONS_FOLDER = "completions"
_LONGEST_LINE = 8 << 20
_LONGEST_TEXT = 1 << 20
"""Characters of a completion that are kept; a server may answer without an end."""
_LARGEST = 1e15
"""Seconds and tokens beyond it are nobody's."""
Key = tuple[str, int]
"""The id of a problem, and the number of the sample."""


class Store:
    """Completions of a suite's problems, and their scores. For several threads.

    Raises:
        InputError: a link is in the place of one of its files.
        ServiceError: the disk is full or cannot be written.
    """

    def __init__(self, directory: Path, suite: str) -> None:
        folder = directory / COMPLETIONS_FOLDER
        with disk_errors(folder), open_directory(folder, below=directory, create=True):
            pass
        self._lock = threading.Lock()
        self._completions: dict[Key, Completion] = {}
        self._scores: dict[Key, dict[str, float]] = {}
        with contextlib.ExitStack() as stack:
            self._completed = stack.enter_context(_Lines(folder / f"{suite}.jsonl"))
            self._scored = stack.enter_context(_Lines(folder / f"{suite}.scores.jsonl"))
            for record in self._completed.read():
                key, completion = _key(record), _completion(record)
                if key is not None and completion is not None:
                    self._completions.setdefault(key, completion)
            for record in self._scored.read():
                key, scores = _key(record), _scores(record)
                found = self._completions.get(key) if key is not None else None
                # The scores of another text, if somebody has changed a completion, do not count.
                if key is not None and scores is not None and found and record.get("text") == _mark(found):
                    self._scores[key] = scores
            self._open = stack.pop_all()

    def completion(self, problem: str, sample: int) -> Completion | None:
        """A kept completion."""
        return self._completions.get((problem, sample))

    def scores(self, problem: str, sample: int) -> Mapping[str, float] | None:
        """The kept scores of a completion."""
        return self._scores.get((problem, sample))

    def keep_completion(self, problem: str, sample: int, seed: int, completion: Completion) -> Completion:
        """Keeps a completion; returns it as it is kept."""
        kept = _shortened(completion)
        record = {"problem": problem, "sample": sample, "seed": seed, **asdict(kept)}
        with self._lock:
            self._completed.append(record)
            self._completions[problem, sample] = kept
        return kept

    def keep_scores(self, problem: str, sample: int, scores: Mapping[str, float]) -> None:
        """Keeps the scores of a completion that is kept."""
        with self._lock:
            text = _mark(self._completions[problem, sample])
            self._scored.append({"problem": problem, "sample": sample, "text": text, "scores": dict(scores)})
            self._scores[problem, sample] = dict(scores)

    def close(self) -> None:
        """Closes its files."""
        self._open.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes its files."""
        self.close()


class _Lines:
    """A file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with disk_errors(self._path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
            self._stream = os.fdopen(open_without_links(str(self._path), flags), "r+b", buffering=0)
        return self

    def __exit__(self, *arguments: object) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._stream.fileno())
            self._stream.close()

    def read(self) -> Iterator[dict[str, Any]]:
        """The objects in the file; a line that is not one is passed over. Cuts a torn last line off."""
        assert self._stream is not None
        with open(self._stream.fileno(), "rb", closefd=False) as stream:
            stream.seek(0)
            whole = 0
            while line := stream.readline(_LONGEST_LINE):
                if not line.endswith(b"\n"):
                    if len(line) < _LONGEST_LINE:
                        break
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(_LONGEST_LINE)
                    whole = stream.tell()
                    continue
                whole += len(line)
                with contextlib.suppress(ValueError, RecursionError):
                    value = json.loads(line)
                    if isinstance(value, dict):
                        yield value
        with disk_errors(self._path):
            os.ftruncate(self._stream.fileno(), whole)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds an object. A line that the disk has no room for is taken back."""
        assert self._stream is not None
        line = json.dumps(record).encode() + b"\n"
        with disk_errors(self._path):
            end = os.fstat(self._stream.fileno()).st_size
            try:
                written = 0
                while written < len(line):
                    written += self._stream.write(line[written:]) or 0
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._stream.fileno(), end)
                raise


def _key(record: Mapping[str, Any]) -> Key | None:
    problem, sample = record.get("problem"), record.get("sample")
    return (problem, sample) if isinstance(problem, str) and type(sample) is int else None


def _completion(record: Mapping[str, Any]) -> Completion | None:
    text, tokens, prompt = (record.get(name) for name in ("text", "tokens", "prompt_tokens"))
    stop, first, seconds = (record.get(name) for name in ("stop", "first_token", "seconds"))
    if not isinstance(text, str) or not _is_count(tokens) or not _is_count(prompt):
        return None
    if stop not in ("stop", "length") or not (first is None or _is_number(first)) or not _is_number(seconds):
        return None
    ending: Literal["stop", "length"] = "stop" if stop == "stop" else "length"
    shortened = record.get("shortened") is True
    # Half of a character could not be written into the record.
    return Completion(valid_text(text), tokens, prompt, ending, first, seconds, shortened)


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and abs(value) < _LARGEST


def _scores(record: Mapping[str, Any]) -> dict[str, float] | None:
    scores = record.get("scores")
    if not isinstance(scores, dict):
        return None
    try:
        found = {str(name): float(value) for name, value in scores.items()}
    except (TypeError, ValueError, OverflowError):
        return None
    return found if all(map(math.isfinite, found.values())) else None


def _mark(completion: Completion) -> str:
    return sha256_bytes(completion.text.encode("utf-8", "surrogatepass"))[:23]


def _shortened(completion: Completion) -> Completion:
    return replace(completion, text=valid_text(completion.text[:_LONGEST_TEXT]))
