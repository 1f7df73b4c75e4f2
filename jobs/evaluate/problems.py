"""The problems of a suite as JSON lines: ``problems/<suite>.jsonl``."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import canonical_json, open_regular, sha256_bytes
from starfreight.jobs.evaluate.suites.interface import Problem

PROBLEMS_FOLDER = "problems"
LONGEST_LINE = 16 << 20
_MOST_BYTES = 2 << 30
_LONGEST_ID = 500


def problems_path(directory: Path, suite: str) -> Path:
    """The file with the problems of a suite."""
    return directory / PROBLEMS_FOLDER / f"{suite}.jsonl"


def source_of(problem: Problem) -> str:
    """The source problem: the problem itself, unless it is a part of one."""
    return str(problem.get("problem") or problem["id"])


def choose_problems(problems: Sequence[Problem], limit: int | None, seed: int) -> list[Problem]:
    """At most ``limit`` problems, in their order.

    Source problems are drawn at random, each with all of its parts. The last one that is drawn may be cut, so
    that there are as many problems as the limit allows.
    """
    if limit is None or len(problems) <= limit:
        return list(problems)
    parts: dict[str, list[int]] = {}
    for number, problem in enumerate(problems):
        parts.setdefault(source_of(problem), []).append(number)
    names = sorted(parts)
    random.Random(seed).shuffle(names)
    chosen: list[int] = []
    for name in names:
        chosen += parts[name][: limit - len(chosen)]
        if len(chosen) == limit:
            break
    return [problems[number] for number in sorted(chosen)]


def as_lines(problems: Sequence[Problem], suite: str) -> bytes:
    """Problems as canonical JSON lines: equal problems have equal bytes.

    Raises:
        InputError: a problem has no id, one that another has, or a value that is not plain data.
    """
    lines, seen, size = [], set(), 0
    for number, problem in enumerate(problems, 1):
        name = problem.get("id")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID:
            what = "an id of more than" if name and isinstance(name, str) else "no id of 1 to"
            raise _wrong(f"Problem {number} of the suite has {what} {_LONGEST_ID} characters.", suite)
        if name in seen:
            raise _wrong(f"The suite has two problems with the id {name[:80]!r}.", suite)
        seen.add(name)
        try:
            line = canonical_json(dict(problem))
        except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError among them.
            raise _wrong(f"The problem {name[:80]!r} cannot be written as JSON: {error}.", suite) from error
        if len(line) > LONGEST_LINE:
            raise _wrong(f"The problem {name[:80]!r} is larger than {LONGEST_LINE:,} bytes.", suite)
        size += len(line) + 1
        if size > _MOST_BYTES:
            raise _wrong(f"The problems of the suite are larger than {_MOST_BYTES:,} bytes.", suite)
        lines.append(line + b"\n")
    return b"".join(lines)


def load_problems(directory: Path, suite: str, digest: str) -> list[Problem]:
    """Reads the problems of a suite.

    Raises:
        InputError: they are missing, or not those with the digest.
    """
    path = problems_path(directory, suite)
    try:
        with open_regular(path, "file with the problems", follow=False) as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"The problems of the suite cannot be read: {error.strerror}.",
            where=str(path),
            fix="run the same jobs evaluate command again, which writes them",
        ) from error
    if sha256_bytes(data) != digest:
        raise InputError(
            "The problems have changed since the evaluation was prepared.",
            where=str(path),
            fix="run the same jobs evaluate command again, which writes them anew",
        )
    return [json.loads(line) for line in data.split(b"\n") if line]


def _wrong(what: str, suite: str) -> InputError:
    return InputError(what, where=f"suite {suite}", fix="correct the file with its problems")
