"""Makes Python modules of completions: the continuation of a text, or the answer to an instruction."""

from __future__ import annotations

import re

from starfreight.jobs.evaluate.suites.extract_code import extract_code


def continued(prefix: str, completion: str, suffix: str = "") -> str:
    """The module of a completion between two texts."""
    return f"{prefix}{completion}{suffix}"


def answered(prefix: str, name: str, answer: str) -> str:
    """The module of an answer.

    Args:
        prefix: the beginning of the module, up to the function's body; may be empty.
        name: of the function.
        answer: of a model, with prose around the code or without.
    """
    code = extract_code(answer, "python", name)
    definition = re.compile(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b", re.MULTILINE)
    if definition.search(code):
        # Imports and helpers that the answer relies on.
        places = [match.start() for match in definition.finditer(prefix)]
        return f"{prefix[: places[-1]] if places else ''}\n{code}\n"
    return f"{prefix}{code}\n"


def instruction(prefix: str) -> str:
    """Asks for the function whose beginning is given."""
    return (
        "Complete the Python function below. Answer with the whole function in one code block.\n\n"
        f"```python\n{prefix.rstrip()}\n```"
    )
