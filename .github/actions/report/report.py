"""Writes the comparison of runs and packages to the job's summary: ``report.py RUNS PACKAGES OUTPUT``.

In a summary, GitHub shows only images from public addresses. Therefore Mermaid draws the losses, and the
charts of ``starfreight jobs compare`` go to OUTPUT. Needs only Python and the command starfreight.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_POINTS = 60
_CHARTS = 8
_ROWS = 200
_LIMIT = 500_000
"""Characters, of the 1 MiB that GitHub allows to a step."""


def cell(text: object) -> str:
    """Text of a recipe or a record, harmless in a table: no markup, no end of the cell or the line."""
    plain = "".join(character if character.isprintable() else " " for character in str(text))[:200]
    return re.sub(r"([\\`*_\[\]|~#@:!])", lambda each: f"&#{ord(each[0])};", html.escape(plain))


def number(value: object) -> str:
    """A figure with four digits, or a dash."""
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else "–"


def read_losses(metrics: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """The losses in training and on held-out data by step; lines that cannot be read are left out."""
    training, held_out = [], []
    with metrics.open(errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
                step = int(row["step"])
                for key, points in (("loss", training), ("held_out_loss", held_out)):
                    if math.isfinite(float(row.get(key, "nan"))):
                        points.append((step, float(row[key])))
            except (ValueError, TypeError, KeyError):
                continue
    return training, held_out


def chart(title: str, points: list[tuple[int, float]]) -> list[str]:
    """A line of losses as a Mermaid chart: means over equal parts of the steps."""
    if len(points) < 2:
        return []
    size = math.ceil(len(points) / _POINTS)
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    means = [sum(value for _, value in part) / len(part) for part in parts]
    low, high = min(means), max(means)
    room = (high - low) * 0.05 or 0.01
    # Mermaid needs quotation marks around titles; there is no escape for one in them.
    title = re.sub(r"[^A-Za-z0-9 ._-]", " ", title)[:80]
    return [
        "```mermaid", "xychart-beta", f'  title "{title}"',
        f'  x-axis "step" {points[0][0]} --> {points[-1][0]}',
        f'  y-axis "nats per token" {low - room:.4f} --> {high + room:.4f}',
        f"  line [{', '.join(f'{value:.4f}' for value in means)}]", "```", "",
    ]  # fmt: skip


def run_tables(runs: Path) -> Iterator[str]:
    """The state and the losses of every run, and charts of its losses."""
    listed = _starfreight("jobs", "list", "--runs", str(runs)).get("runs", [])
    if not listed:
        return
    yield from ("### Runs", "", "| run | state | held-out loss before | after |", "|---|---|---:|---:|")
    for each in listed[:_ROWS]:
        before, after = number(each.get("held_out_loss_before")), number(each.get("held_out_loss_after"))
        yield f"| {cell(Path(each['run']).name)} | {cell(each['status'])} | {before} | {after} |"
    yield ""
    drawn = 0
    for each in listed:
        metrics = runs / Path(each["run"]).name / "metrics.jsonl"
        if drawn == _CHARTS or not metrics.is_file():
            continue
        training, held_out = read_losses(metrics)
        name = Path(each["run"]).name
        yield from chart(f"{name} - loss in training", training)
        yield from chart(f"{name} - loss on held-out data", held_out)
        drawn += 1


def figure_tables(compared: dict[str, Any]) -> Iterator[str]:
    """The figures of the evaluated models, with their intervals, and the findings."""
    models = compared.get("models", [])
    if models:
        yield from ("### Models", "", "| | model | file | MB |", "|---|---|---|---:|")
        for each in models[:_ROWS]:
            size = f"{each['size'] / 1e6:,.1f}" if each.get("size") else "–"
            yield f"| {each['number']} | {cell(each['name'])} | {cell(each['quantization'])} | {size} |"
        yield ""
    figures = [each for each in compared.get("figures", []) if not each["part"]]
    if figures:
        yield from (
            "### Figures",
            "",
            "| figure | model | value | 95% interval | |",
            "|---|---|---:|---|---|",
        )
        rows = 0
        for each in figures:
            comparison = each.get("comparison") or {}
            for model in each["models"]:
                rows += 1
                if rows > _ROWS:
                    break
                best = comparison.get("significant") and comparison.get("best") == model["model"]
                known = model.get("method") != "none"
                interval = f"{number(model['low'])} to {number(model['high'])}" if known else "–"
                name = cell(f"{each['suite']}/{each['figure']}")
                value = number(model["value"])
                yield f"| {name} | {model['model']} | {value} | {interval} | {'best' if best else ''} |"
        yield ""
    choice = compared.get("choice") or {}
    for sentence in [*compared.get("findings", []), *compared.get("notes", []), choice.get("reason")]:
        if sentence:
            yield f"- {cell(sentence)}"


def _starfreight(*arguments: str) -> dict[str, Any]:
    """The JSON of a command; of a refused one, that of its error."""
    command = ["starfreight", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        value = json.loads(done.stdout)
    except ValueError:
        value = None
    return (
        value if isinstance(value, dict) else {"error": {"what": "No answer.", "exit_code": done.returncode}}
    )


def compare(runs: Path, packages: Path, output: Path) -> dict[str, Any]:
    """``starfreight jobs compare`` of everything, with its page and its charts; empty if there is nothing."""
    found = sorted(str(each) for each in runs.glob("*") if (each / "run.json").is_file())
    found += sorted(str(each) for each in packages.glob("*") if (each / "package.json").is_file())
    if not found:
        return {}
    files = ["--html", str(output / "compared.html"), "--plots", str(output / "plots")]
    return _starfreight("jobs", "compare", *found, *files)


def main() -> int:
    """Writes the summary and the files."""
    runs, packages, output = (Path(each) for each in sys.argv[1:4])
    output.mkdir(parents=True, exist_ok=True)
    lines = ["## Training", "", *run_tables(runs), *figure_tables(compare(runs, packages, output))]
    text = "\n".join(lines) + "\n"
    if len(text) > _LIMIT:
        text = text[:_LIMIT].rpartition("\n")[0] + "\n\n(shortened)\n"
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
