"""Texts for people say "1 step", not "1 steps": counts of things go through ``human_count``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("starfreight", "images", "jobs", "packager")
THINGS = (
    "attachments blocks bundles charts components days documents evaluations examples fields figures files "
    "groups items keys layers lines manifests models pods problems processes processors records repositories "
    "runs samples signatures sources steps tags tensors texts values variants weights wheels others"
)
BEFORE = "attached earlier held-out kept listed more new other training"
PLURAL = re.compile(rf" (?:(?:{BEFORE.replace(' ', '|')}) )?(?:{'|'.join(THINGS.split())})\b(?!/s)")
LITERAL = {
    # In packages and manifests of data, earlier ones too: compared with what is made again.
    "jobs/data/filters/contamination.py",
    "packager/bom/components.py",
    "packager/card/figures.py",
    # Always of several, by the lines before.
    "jobs/backends/detach.py",
    "jobs/backends/kubernetes/client/deletion.py",
    "jobs/backends/kubernetes/client/fetch.py",
    "jobs/evaluate/models/ollama_model.py",
    "jobs/evaluate/models/openai_abilities.py",
    "jobs/prepare/check_processes.py",
    "jobs/starter/model_card.py",
    "jobs/train/torchrun.py",
    "packager/layout/rebuild.py",
    "packager/papers/compute.py",
    "packager/provenance/verify/referrers.py",
    "packager/provenance/verify/signatures.py",
    "packager/provenance/withdrawal/statement.py",
    "starfreight/pages/charts.py",
    # Errors of this program's own.
    "jobs/report/models/significance.py",
    "packager/press/kernels/ggml.py",
    "starfreight/statistics/estimate.py",
}


def plurals(text: str) -> Iterator[str]:
    """Pieces of f-strings that are a number followed by a plural."""
    if not re.search(r"\}" + PLURAL.pattern, text):  # Parsing all files takes long.
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    found = PLURAL.match(str(after.value))
                    count = ast.unparse(value.value)
                    if found and not count.rpartition(".")[2].lstrip("_").isupper():
                        yield f"line {value.lineno}: {{{count}}}{found.group()}"


def test_every_count_of_things_has_a_singular() -> None:
    assert list(plurals('f"{count:,} more files and {LIMIT} files and {name} has files"')) == [
        "line 1: {count} more files"
    ]
    wrong = {
        str(path.relative_to(ROOT)): found
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
        if (found := list(plurals(path.read_text(encoding="utf-8"))))
    }
    assert {path: found for path, found in wrong.items() if path not in LITERAL} == {}
    assert wrong.keys() == LITERAL
