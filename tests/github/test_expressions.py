"""The tests' own evaluator of expressions follows GitHub's rules."""

from __future__ import annotations

from typing import Any

import pytest
from workflow_expressions import evaluate, fill
from workflow_runner import read_values

CONTEXT: dict[str, Any] = {
    "inputs": {"where": "Runner", "empty": "", "runner": '["a", "b"]', "yes": True},
    "needs": {
        "a": {"outputs": {"state": "stopped"}},
        "b": {"outputs": {}},
        "c": {"outputs": {"state": "done"}},
    },
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("inputs.where == 'runner'", True),
        ("inputs.missing == ''", True),
        ("inputs.empty || 'default'", "default"),
        ("inputs.empty != '' && inputs.where || ''", ""),
        ("startsWith(inputs.runner, '[') && fromJSON(inputs.runner) || inputs.runner", ["a", "b"]),
        ("contains(join(needs.*.outputs.state, ','), 'done')", True),
        ("join(needs.*.outputs.state, ',')", "stopped,done"),
        ("!contains('abc', 'B')", False),
        ("(1 < 2) == inputs.yes", True),
        ("'it''s'", "it's"),
        ("needs['a'].outputs.state", "stopped"),
    ],
)
def test_expressions(source: str, value: Any) -> None:
    assert evaluate(source, CONTEXT) == value


def test_templates_keep_the_type_of_a_whole_expression_and_join_others() -> None:
    given = {"a": "${{ inputs.yes }}", "b": "x-${{ inputs.yes }}-${{ inputs.missing }}", "c": "1"}
    assert fill(given, CONTEXT) == {"a": True, "b": "x-true-", "c": "1"}


@pytest.mark.parametrize("source", ["unknown.x", "1 +", "'open", "inputs.where ==", "nothing()"])
def test_a_wrong_expression_is_an_error(source: str) -> None:
    with pytest.raises((ValueError, KeyError, IndexError)):
        evaluate(source, CONTEXT)


def test_environment_files_have_lines_and_blocks() -> None:
    assert read_values("a=1\nb<<END\nx\ny=2\nEND\nc=\n") == {"a": "1", "b": "x\ny=2", "c": ""}
