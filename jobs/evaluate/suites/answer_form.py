"""The form of completions, kept for a resumption that scores them without the model."""

from __future__ import annotations

from starfreight.errors import InputError
from starfreight.files import read_json, write_json
from starfreight.jobs.evaluate.suites.interface import Machinery

_FILE = "form.json"


def answers_instructions(machinery: Machinery, requested: bool) -> bool:
    """True if the completions are answers to instructions.

    Args:
        machinery: with the suite's scratch directory.
        requested: the form of the last request of this process.
    """
    path = machinery.scratch / _FILE
    if machinery.instructs is not None:
        write_json(path, {"instructs": machinery.instructs})
        return machinery.instructs
    try:
        kept = read_json(path, 1000, "form of the completions")
    except InputError:
        return requested
    return isinstance(kept, dict) and kept.get("instructs") is True
