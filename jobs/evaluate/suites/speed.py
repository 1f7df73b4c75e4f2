"""The suite ``speed``: tokens per second, time to the first token, memory.

Each problem is a measurement with a prompt of its own, so that no cache helps. A figure is the median of the
measurements, with a bootstrap interval. Measurements are kept, so a resumption gives the same figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from starfreight.errors import InputError
from starfreight.evaluation import Figure
from starfreight.files import read_limited, write_json
from starfreight.jobs.evaluate.models.interface import Model, Request
from starfreight.jobs.evaluate.suites.interface import (
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    SkippedSuite,
)

_MEASUREMENTS = 8
_TOKENS = 64
"""Length of each completion."""

_FUNCTIONS = 24
"""Functions in a prompt: about 700 tokens of StarCoder's."""

_SHORT = 200
"""Characters of a prompt where all slots are measured: nearly all of the time is generation."""

_ROUNDS = 3
_FEWEST = 8
"""Tokens, of which a rate can be measured."""

_WORK = "measurements.json"
_LIMIT = 8 << 20
_RESAMPLES = 10_000

_UNITS: Mapping[str, tuple[str, Literal["higher", "lower"]]] = {
    "tokens_per_second": ("tokens/s", "higher"),  # First: the figure of `jobs list`.
    "tokens_per_second_all_slots": ("tokens/s", "higher"),
    "prompt_tokens_per_second": ("tokens/s", "higher"),
    "time_to_first_token": ("seconds", "lower"),
    "load_time": ("seconds", "lower"),
    "peak_memory": ("bytes", "lower"),
}

Values = dict[str, dict[str, float]]
"""By figure, then by measurement."""


class SpeedSuite:
    """Measures a model's speed on this machine, or a server's."""

    name = "speed"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Makes the prompts: code that no cache has seen."""
        count = preparation.options.limit or _MEASUREMENTS
        random = Random(preparation.options.seed)
        problems = [
            {"id": f"measurement-{number:03d}", "text": _code(random)} for number in range(1, count + 1)
        ]
        return PreparedSuite(
            name="generated code",
            license=None,
            problems=problems,
            settings={"tokens": _TOKENS, "figure": "median of the measurements"},
        )

    def measure(self, problems: Sequence[Problem], machinery: Machinery) -> Measured:
        """Measures one completion at a time, then all slots.

        Raises:
            SkippedSuite: the model generates nothing.
            JobStopped: by ``machinery.check``.
        """
        work = machinery.scratch / _WORK
        values, settings = _load(work)
        if any(not _measured(values, problem) for problem in problems):
            self._measure_single(problems, machinery, work, values, settings)
        rounds = [f"round-{number}" for number in range(1, _ROUNDS + 1)]
        if any(name not in values.get("tokens_per_second_all_slots", {}) for name in rounds):
            self._measure_slots(problems, rounds, machinery, work, values, settings)
        figures = [
            _figure(name, list(of_runs.values()))
            for name in _UNITS
            if (of_runs := {run: value for run, value in values.get(name, {}).items() if value > 0})
        ]
        if not any(each.name == "tokens_per_second" for each in figures):
            raise SkippedSuite("the model generates too few tokens to measure its speed")
        scores = {name: of_runs for name, of_runs in values.items() if name in _UNITS}
        return Measured(figures, scores, settings=settings)

    def _measure_single(
        self,
        problems: Sequence[Problem],
        machinery: Machinery,
        work: Path,
        values: Values,
        settings: dict[str, Any],
    ) -> None:
        began = time.monotonic()
        model = machinery.model(1)
        if machinery.gguf is not None:
            values.setdefault("load_time", {}).setdefault("load", time.monotonic() - began)
        settings["single"] = _settings(model)
        _warm_up(model)
        for problem in problems:
            machinery.check()
            if not _measured(values, problem):
                _add(values, problem["id"], _single(model, _request(problem)))
                memory = getattr(model, "memory", None)
                if memory is not None:
                    values.setdefault("peak_memory", {})["process"] = float(memory)
                    settings["memory"] = "resident, with the pages of the mapped file"
                _save(work, values, settings)
            machinery.advance(1)

    def _measure_slots(
        self,
        problems: Sequence[Problem],
        rounds: Sequence[str],
        machinery: Machinery,
        work: Path,
        values: Values,
        settings: dict[str, Any],
    ) -> None:
        model = machinery.model(None)
        settings["all_slots"] = _settings(model)
        _warm_up(model)
        of_rounds = values.setdefault("tokens_per_second_all_slots", {})
        for number, name in enumerate(rounds):
            machinery.check()
            if name not in of_rounds:
                texts = [problem["text"][number * _SHORT :][:_SHORT] for problem in problems]
                requests = [
                    Request(f"{name}-{place}", texts[place % len(texts)], most_tokens=_TOKENS, endless=True)
                    for place in range(2 * model.slots)
                ]
                began = time.monotonic()
                tokens = sum(done.tokens for _, done in model.complete(requests))
                of_rounds[name] = tokens / (time.monotonic() - began)
                _save(work, values, settings)


def _request(problem: Problem) -> Request:
    return Request(problem["id"], problem["text"], most_tokens=_TOKENS, endless=True)


def _warm_up(model: Model) -> None:
    """The first request reads the file, and may load the model on a server."""
    for _ in model.complete([Request("warm-up", "def main():\n", most_tokens=_FEWEST, endless=True)]):
        pass


def _single(model: Model, request: Request) -> Mapping[str, float]:
    """Figures of one completion; 0 for those that cannot be measured."""
    ((_, done),) = model.complete([request])
    found = dict.fromkeys(("prompt_tokens_per_second", "tokens_per_second", "time_to_first_token"), 0.0)
    first = done.first_token
    if first is not None and first > 0:
        found["time_to_first_token"] = first
        found["prompt_tokens_per_second"] = done.prompt_tokens / first
        if done.tokens >= _FEWEST and done.seconds > first:
            found["tokens_per_second"] = (done.tokens - 1) / (done.seconds - first)
    elif done.tokens >= _FEWEST and done.seconds > 0:
        found["tokens_per_second"] = done.tokens / done.seconds
    return found


def _settings(model: Model) -> dict[str, Any]:
    found = dict(getattr(model, "settings", {}))
    return {name: found[name] for name in ("runner", "context", "slots", "threads") if name in found}


def _figure(name: str, values: Sequence[float]) -> Figure:
    unit, better = _UNITS[name]
    middle, low, high = _median(values)
    return Figure(
        name=name,
        value=middle,
        low=low,
        high=high,
        items=len(values),
        problems=len(values),
        method="bootstrap" if len(values) > 1 else "none",
        unit=unit,
        better=better,
    )


def _median(values: Sequence[float]) -> tuple[float, float, float]:
    """The median with its 95 % interval, by a percentile bootstrap."""
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(sample), (_RESAMPLES, len(sample)))
    low, high = np.quantile(np.median(sample[draws], axis=1), [0.025, 0.975])
    return float(np.median(sample)), float(low), float(high)


def _measured(values: Values, problem: Problem) -> bool:
    return problem["id"] in values.get("tokens_per_second", {})


def _add(values: Values, run: str, found: Mapping[str, float]) -> None:
    for name, value in found.items():
        values.setdefault(name, {})[run] = value


def _load(work: Path) -> tuple[Values, dict[str, Any]]:
    """The measurements and settings so far; none if the file is missing or damaged."""
    try:
        found = json.loads(read_limited(work, _LIMIT, "list of measurements"))
        values = {
            str(name): {str(run): float(value) for run, value in of_runs.items()}
            for name, of_runs in found["values"].items()
        }
        return values, dict(found["settings"])
    except (InputError, ValueError, LookupError, TypeError, AttributeError):
        return {}, {}


def _save(work: Path, values: Values, settings: Mapping[str, Any]) -> None:
    write_json(work, {"values": values, "settings": settings})


def _code(random: Random) -> str:
    return "\n\n".join(_functions(random))


def _functions(random: Random) -> Iterator[str]:
    verbs = ("read", "write", "merge", "count", "split", "parse", "sort", "check", "load", "find")
    nouns = ("rows", "values", "names", "files", "parts", "items", "paths", "words", "keys", "lines")
    for _ in range(_FUNCTIONS):
        verb, noun, number = random.choice(verbs), random.choice(nouns), random.randrange(10_000)
        yield (
            f"def {verb}_{noun}_{number}({noun}):\n"
            f"    result = []\n"
            f"    for item in {noun}:\n"
            f"        if item != {random.randrange(1000)}:\n"
            f"            result.append(item + {random.randrange(1000)})\n"
            f"    return result\n"
        )
