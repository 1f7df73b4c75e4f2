"""A suite's options in the record of an evaluation, which somebody may have edited."""

from __future__ import annotations

import math

from pydantic import ValidationError

from starfreight.errors import InputError
from starfreight.evaluation import Evaluation
from starfreight.jobs.evaluate.suites.interface import SuiteOptions
from starfreight.recipe.evaluate import SuiteChoice


def recorded_options(record: Evaluation, suite: str) -> SuiteOptions:
    """The options of a suite.

    Raises:
        InputError: the record does not have them.
    """
    try:
        value = record.request["suites"][suite]
        names = ("limit", "samples", "temperature")
        choice = SuiteChoice.model_validate({name: value[name] for name in names})
        seed, seconds = value["seed"], float(value["seconds"])
        if type(seed) is not int or not (math.isfinite(seconds) and seconds > 0):
            raise ValueError("not numbers")
    except (KeyError, TypeError, ValueError, OverflowError, ValidationError) as error:
        raise InputError(
            f"The record of the evaluation has no valid options of {suite!r}.",
            where=record.id,
            fix="restore evaluation.json, or remove the directory and evaluate again",
        ) from error
    return SuiteOptions(choice.limit, choice.samples, choice.temperature, seed, None, seconds)
