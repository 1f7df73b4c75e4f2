"""The whole comparison of model files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starfreight.console import Console
from starfreight.jobs.report.models.columns import Column, Group, make_columns, make_groups
from starfreight.jobs.report.models.evaluated import EvaluatedFile, collect
from starfreight.jobs.report.models.findings import findings, notes
from starfreight.jobs.report.models.pareto import Front, find_front, is_speed
from starfreight.jobs.report.models.significance import Verdict, judge, tests_needed
from starfreight.jobs.report.models.subjects import LeftOut, Subjects

_MOST_TESTS = 40
"""With more, only the figures that models are chosen by are tested: a test takes some tenths of a second."""


@dataclass(frozen=True)
class Comparison:
    """Model files side by side. Models are numbered from 1.

    Attributes:
        files: the models.
        groups: results that compare, by suite.
        columns: their figures.
        verdicts: the best model of figures of whole suites.
        front: size and speed against quality; ``None`` without a figure of quality.
        findings: the outcome in sentences.
        notes: figures that do not compare, and the like.
        left_out: evaluations that could not be read.
    """

    files: tuple[EvaluatedFile, ...]
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    verdicts: Mapping[Column, Verdict]
    front: Front | None
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``; see ``docs/compare.md``."""
        return {
            "models": [_model(number, file) for number, file in enumerate(self.files, 1)],
            "suites": [_group(group) for group in self.groups],
            "figures": [self._column(column) for column in self.columns],
            "pareto": self.front.as_dict() if self.front else None,
            "findings": list(self.findings),
            "notes": list(self.notes),
            "left_out": [asdict(each) for each in self.left_out],
        }

    def _column(self, column: Column) -> dict[str, Any]:
        verdict = self.verdicts.get(column)
        return {
            "suite": column.group.suite,
            "group": column.group.number or 1,
            "figure": column.name,
            "part": column.part,
            "unit": column.unit,
            "better": column.better,
            "models": [
                {
                    "model": number,
                    **cell.figure.model_dump(include={"value", "low", "high", "items", "problems", "method"}),
                    "evaluation": cell.measured.evaluation.id,
                }
                for number, cell in column.cells.items()
            ],
            "comparison": verdict.as_dict() if verdict else None,
        }


def compare_models(subjects: Subjects, quality: str | None, console: Console) -> Comparison:
    """Compare the models of packages, and all evaluated ones.

    Args:
        subjects: the directories.
        quality: figure for the Pareto front, ``SUITE/FIGURE``; ``None`` for the usual one.
        console: shows progress.

    Raises:
        RecipeError: no model has the figure of quality.
    """
    files, left_out = collect(subjects)
    groups = make_groups(files)
    columns = make_columns(groups)
    front = find_front(files, columns, quality)
    whole = [each for each in columns if not each.part and len(each.cells) > 1]
    chosen = front.quality if front else None
    tested = [each for each in whole if each.headline or each is chosen or tests_needed(whole) <= _MOST_TESTS]
    verdicts = {}
    with console.progress("Comparing figures", total=tests_needed(tested), unit="tests") as advance:
        for column in tested:
            verdict = judge(column, advance)
            if verdict is not None:
                verdicts[column] = verdict
    return Comparison(
        files,
        groups,
        columns,
        verdicts,
        front,
        tuple(findings(files, {each: verdicts[each] for each in _told(tested, chosen)}, front)),
        tuple(notes(files, groups)),
        left_out,
    )


def _told(columns: Sequence[Column], chosen: Column | None) -> list[Column]:
    """Figures worth a sentence: those that models are chosen by, and not their speed."""
    return [each for each in columns if (each.headline or each is chosen) and not is_speed(each)]


def _model(number: int, file: EvaluatedFile) -> dict[str, Any]:
    return {
        "number": number,
        "name": file.name,
        "quantization": file.quantization,
        "size": file.size,
        "package": file.package,
        "run": file.run,
        "gguf": next((each.evaluation.model.gguf for each in file.measured), file.key[0]),
        "evaluations": [each.evaluation.id for each in file.measured],
        "skipped": file.skipped(),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "suite": group.suite,
        "group": group.number or 1,
        "problems": {"source": group.source, "digest": group.digest, "count": group.count},
        "settings": dict(group.settings),
        "machine": dict(group.machine),
        "models": list(group.cells),
        "contamination": {
            str(number): list(result.contamination.found)
            for number, (_, result) in group.cells.items()
            if result.contamination is not None
        },
    }
