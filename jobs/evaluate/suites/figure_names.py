"""The names of the figures of each suite, to check rules of ``package.quality`` before training."""

from __future__ import annotations

import difflib
from types import MappingProxyType

from starfreight.errors import RecipeError

_PASS = ("pass@1", "pass@5", "pass@10", "pass@100")
_TEXT = ("exact_match", "edit_similarity")
_COMPARED = ("kl_divergence", "same_top_token", "change_of_p", "change_of_p_rms", "perplexity_ratio")
_QUANTILES = ("median", "p90", "p95", "p99", "p99.9", "max")
FIGURES = MappingProxyType(
    {
        "humaneval": _PASS,
        "humaneval-infilling": _PASS,
        "mbpp": _PASS,
        "multipl-e": _PASS,
        "custom": (*_PASS, "edit_similarity"),
        "fim": _TEXT,
        "repository": tuple(name + end for end in ("", "_alone", "_gain") for name in _TEXT),
        "perplexity": ("perplexity", "nats_per_token", "bits_per_byte"),
        "quantization": (
            *_COMPARED,
            *(f"kl_divergence_{name}" for name in _QUANTILES),
            *(f"{name}_exact" for name in _COMPARED),
            "kl_divergence_max_exact",
        ),
        "speed": (
            "tokens_per_second",
            "tokens_per_second_all_slots",
            "prompt_tokens_per_second",
            "time_to_first_token",
            "load_time",
            "peak_memory",
        ),
    }
)
"""All figures that each suite can give, without their parts."""


def check_figure(suite: str, figure: str, samples: int | None, where: str) -> None:
    """Check that a suite can give a figure.

    Args:
        suite: a valid name.
        figure: as in a rule: ``pass@1``, or ``exact_match/Python`` for a part.
        samples: completions of each problem; ``None`` if the recipe does not evaluate the suite.
        where: the key, for errors.

    Raises:
        RecipeError: it has no such figure, or not with so few samples.
    """
    name, known = figure.partition("/")[0], FIGURES[suite]
    if name not in known:
        plain = "" if "@" in name else name.lower().replace("-", "_")  # All of pass@k are near to pass@7.
        near = difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
        raise RecipeError(
            f"The suite {suite} has no figure {name[:80]!r}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else "use one of " + ", ".join(known),
        )
    least = int(name.partition("@")[2] or 1)
    if samples is not None and samples < least:
        raise RecipeError(
            f"{name} needs {least} completions of each problem, and evaluate.suites.{suite} has {samples}.",
            where=where,
            fix=f"set samples to {least} or more and temperature above 0, or bound pass@1",
        )
