"""The benchmarks of the nights import names that exist: many of their steps run in no other test."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_names_that_a_benchmark_imports_exist(path: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("starfreight"):
            module = importlib.import_module(str(node.module))
            for each in node.names:
                if not hasattr(module, each.name):
                    try:
                        importlib.import_module(f"{node.module}.{each.name}")
                    except ImportError:
                        missing.append(f"{node.lineno}: {node.module}.{each.name}")
    assert missing == []
