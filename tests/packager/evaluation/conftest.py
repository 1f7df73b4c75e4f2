"""A package with a model card, and evaluations of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import digest, passes, suite_result, write_evaluation

from starfreight.console import Console
from starfreight.evaluation import SuiteResult
from starfreight.package import Package
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization

CARD = b"""---
license: "MIT"
tags: [code]
---
# Tiny coder

<!-- evaluation (form 1) of sha256:0 -->
## License

This description has a heading of that name.

## Files

| a | b |

## License

MIT. The license's text is part of this package.
"""


@pytest.fixture
def folder(tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console) -> Path:
    """A package in two quantizations."""
    write_package(tmp_path / "packages" / "p", make_contents(model_card=CARD), console)
    return tmp_path / "packages" / "p"


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Path]:
    """Makes the directory of an evaluation of a package."""

    def make(
        package: Package | Path,
        quantization: str = "Q4_K_M",
        *,
        role: str = "model",
        rate: float = 0.5,
        suites: Mapping[str, Mapping[str, float]] | None = None,
        results: Mapping[SuiteResult, Mapping[str, float]] | None = None,
        name: str = "",
        **changes: Any,
    ) -> Path:
        record = Package.load(package) if isinstance(package, Path) else package
        values = suites or {"fim": passes(100, rate)}
        pairs = results or [
            (
                suite_result(suite, "exact_match", each, parts=("Python", "Java"), problems="held-out files"),
                each,
            )
            for suite, each in values.items()
        ]
        variant = next(
            (v for v in record.variants if v.quantization == Quantization.parse(quantization)), None
        )
        adapter = record.adapter.digest if record.adapter and role != "base" else None
        own = role == "model" or (role == "base" and record.adapter is not None)
        options: dict[str, Any] = {
            "name": record.name if role == "model" else f"{record.name}-{role}",
            "quantization": "F16" if role == "F16" else quantization,
            "gguf": variant.gguf.digest if own and variant else digest(f"{role} {quantization}"),
            "adapter": adapter,
            "template": record.template.digest if record.template else None,
            "settings": record.settings.digest if record.settings else None,
            "run": record.run,
            "package": record.name,
        }
        number = len(list((tmp_path / "runs").iterdir())) if (tmp_path / "runs").exists() else 0
        return write_evaluation(tmp_path / "runs" / (name or f"eval-{number}"), pairs, **options | changes)

    return make
