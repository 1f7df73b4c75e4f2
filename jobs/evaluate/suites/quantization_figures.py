"""The figures of the suite ``quantization``, from the numbers of all tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from starfreight.evaluation import Figure
from starfreight.jobs.evaluate.divergence.compare_rows import Tokens
from starfreight.jobs.evaluate.divergence.llama_table import changes_of_p, llama_table
from starfreight.jobs.evaluate.suites.interface import Measured
from starfreight.jobs.evaluate.suites.ratio_figure import Numbers, ratio_figure

_QUANTILES = {
    "median": "Median KLD",
    "p90": "90.0% KLD",
    "p95": "95.0% KLD",
    "p99": "99.0% KLD",
    "p99.9": "99.9% KLD",
    "max": "Maximum KLD",
}


def quantization_figures(compared: Tokens, context: int, files: Sequence[str]) -> Measured:
    """All figures.

    Args:
        compared: the tokens of all windows but the first of each, shape (windows, context - 1).
        context: length of a window.
        files: the file that each window counts as a part of.
    """
    second = compared[:, context // 2 :]
    change = changes_of_p(second).astype(np.float64)
    table = llama_table(second.reshape(-1))
    values = {
        "": (
            second["llama_divergence"],
            change,
            second["llama_same_top"].astype(np.float64),
            second["llama_loss"].astype(np.float64) - second["llama_reference_loss"],
        ),
        "_exact": (
            compared["divergence"],
            np.exp(-compared["loss"]) - np.exp(-compared["reference_loss"]),
            compared["same_top"].astype(np.float64),
            compared["loss"] - compared["reference_loss"],
        ),
    }
    figures: list[Figure] = []
    for end, of_tokens in values.items():
        figures += _figures(end, *of_tokens, files)
        if not end:
            maker = {name: table[label][0] for name, label in _QUANTILES.items()}
            figures += [_plain(f"kl_divergence_{name}", value, figures[0]) for name, value in maker.items()]
    figures.append(_plain("kl_divergence_max_exact", float(compared["divergence"].max()), figures[0]))
    names = [f"{context}/{number:06d}" for number in range(len(compared))]
    of_windows = {"kl_divergence": values[""][0], "change_of_p": change, "same_top_token": values[""][2]}
    return Measured(
        figures=figures,
        scores={
            figure: dict(zip(names, map(float, numbers.mean(axis=1)), strict=True))
            for figure, numbers in of_windows.items()
        },
        problems=dict(zip(names, files, strict=True)),
        settings={
            "context": context,
            "convention": "llama.cpp: second half of each window, reference in 16 bits",
            "exact": "all tokens of a window but its first; float32 logits",
            "outcomes": {
                "windows": len(compared),
                "tokens": int(second.size),
                "llama-perplexity": {name: list(pair) for name, pair in table.items()},
            },
        },
    )


def _figures(
    end: str,
    divergence: Numbers,
    change: Numbers,
    same_top: Numbers,
    log_ratio: Numbers,
    files: Sequence[str],
) -> list[Figure]:
    sizes = np.full(len(divergence), divergence.shape[1], dtype=np.float64)

    def of(
        name: str, numbers: Numbers, unit: str = "", better: Literal["higher", "lower"] = "lower"
    ) -> Figure:
        return ratio_figure(name + end, numbers.sum(axis=1), sizes, files, unit=unit, better=better)

    rms = ratio_figure(
        f"change_of_p_rms{end}",
        (change * change).sum(axis=1),
        sizes,
        files,
        convert=np.sqrt,
        unit="fraction",
    )
    ratio = ratio_figure(f"perplexity_ratio{end}", log_ratio.sum(axis=1), sizes, files, convert=np.exp)
    return [
        of("kl_divergence", divergence, "nats"),
        of("same_top_token", same_top, "fraction", "higher"),
        of("change_of_p", change, "fraction", "higher"),
        rms,
        ratio,
    ]


def _plain(name: str, value: float, like: Figure) -> Figure:
    """A figure without an interval, of the same items."""
    return Figure(
        name=name,
        value=value,
        low=value,
        high=value,
        items=like.items,
        problems=like.problems,
        method="none",
        unit=like.unit,
        better=like.better,
    )
