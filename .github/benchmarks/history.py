"""Adds a night's figures to the history of benchmarks: ``history.py DIRECTORY FILE COMMIT``.

DIRECTORY gets ``history.jsonl``, a line for each night, and ``history.md``, a page with the last nights and a
chart of each ratio. GitHub draws the charts (Mermaid).
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_KEPT = 1000
_SHOWN = 30


def read_history(path: Path) -> list[dict[str, Any]]:
    """The nights so far, the oldest first; lines that cannot be read are left out."""
    nights = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            night = json.loads(line)
        except ValueError:
            continue
        if isinstance(night, dict) and isinstance(night.get("ratios"), dict):
            nights.append(night)
    return nights


def page(nights: list[dict[str, Any]]) -> str:
    """The page: a section for each benchmark."""
    shown = nights[-_SHOWN:]
    lines = [
        "# Benchmarks",
        "",
        "Ratios to a peer that ran beside ours, as each file in `benchmarks/` describes.",
        "",
    ]
    names = sorted({name for night in shown for name in night["ratios"]})
    for name in names:
        lines += [f"## {name}", ""]
        for ratio in sorted({key for night in shown for key in night["ratios"].get(name, {})}):
            points = [
                (night, night["ratios"][name][ratio])
                for night in shown
                if ratio in night["ratios"].get(name, {})
            ]
            last, values = points[-1][1], [value for _, value in points]
            lines += [f"**{ratio}**: {last:g} on {points[-1][0]['date']} (`{points[-1][0]['commit'][:12]}`), "
                      f"from {min(values):g} to {max(values):g} in {len(values)} nights", ""]  # fmt: skip
            if len(values) > 1:
                title = re.sub(r"[^A-Za-z0-9 ._-]", " ", f"{name} {ratio}")
                numbers = ", ".join(f"{value:g}" for value in values)
                lines += [
                    "```mermaid",
                    "xychart-beta",
                    f'  title "{title}"',
                    f"  line [{numbers}]",
                    "```",
                    "",
                ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Adds the night, and writes the page."""
    folder, tonight, commit = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    nights = read_history(folder / "history.jsonl")
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    nights.append({"date": date, "commit": commit, "ratios": json.loads(tonight.read_text())})
    nights = nights[-_KEPT:]
    (folder / "history.jsonl").write_text(
        "".join(json.dumps(night, sort_keys=True) + "\n" for night in nights)
    )
    (folder / "history.md").write_text(page(nights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
