"""Code is found in answers of all forms, and nothing else is taken for it."""

from __future__ import annotations

import time

import pytest

from starfreight.jobs.evaluate.suites.completed_function import answered
from starfreight.jobs.evaluate.suites.extract_code import extract_code

CODE = "def one(x):\n    return x + 1\n"
PREFIX = 'from typing import List\n\ndef helper():\n    return 7\n\ndef one(x):\n    """Add one."""\n'

ANSWERS = {
    "a fence": f"Sure!\n\n```python\n{CODE}```\nIt adds one.",
    "a fence without a language": f"```\n{CODE}```",
    "a fence with capitals and attributes": f'```Python title="one.py"\n{CODE}```',
    "a fence in braces": f"```{{.python}}\n{CODE}```",
    "tildes": f"~~~python\n{CODE}~~~",
    "four marks around three": f"````python\n{CODE}# ```\n````".replace("# ```\n", ""),
    "an unclosed fence": f"```python\n{CODE}",
    "an indented fence in a list": "1. This:\n\n   ```python\n   def one(x):\n       return x + 1\n   ```\n",
    "usage before it": f"Usage:\n```python\nprint(1)\n```\nCode:\n```python\n{CODE}```",
    "usage after it": f"```python\n{CODE}```\nUsage:\n```python\nassert one(1) == 2\n```",
    "an output after it": f"```python\n{CODE}```\n```text\ndef one(x): 5\n```",
    "another language before it": f"```javascript\nfunction one(x) {{}}\n```\n```python\n{CODE}```",
    "a shell command before it": f"```bash\npip install one(x)\n```\n```python\n{CODE}```",
    "the same twice": f"```python\n{CODE}```\nAgain:\n```python\n{CODE}```",
    "thoughts before it": f"<think>\n```python\ndef one(x): return 0\n```\n</think>\n```python\n{CODE}```",
    "carriage returns": f"```python\r\n{CODE}```".replace("\n", "\r\n").replace("\r\r", "\r"),
    "no fence": CODE,
    "no fence, prose around": f"Here is the function:\n\n{CODE}\nThis adds one to it.\nDone: enjoy it!",
    "no fence, imports before": f"I wrote:\nimport math\n{CODE}",
    "spaces after the fence": f"```python  \n{CODE}```  \n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_function_of_an_answer_is_found(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(extract_code(ANSWERS[name], "python", "one"), namespace)
    assert namespace["one"](1) == 2  # type: ignore[operator]
    whole: dict[str, object] = {}
    exec(answered(PREFIX, "one", ANSWERS[name]), whole)
    assert whole["one"](1) == 2  # type: ignore[operator]
    assert whole["helper"]() == 7  # type: ignore[operator]


def test_a_body_continues_the_text() -> None:
    whole: dict[str, object] = {}
    exec(answered(PREFIX, "one", "```python\n    return x + 1\n```"), whole)
    assert whole["one"](1) == 2  # type: ignore[operator]


def test_the_whole_module_replaces_the_text() -> None:
    module = answered(PREFIX, "one", f"```python\n{PREFIX}    return x + 1\n```")
    whole: dict[str, object] = {}
    exec(module, whole)
    assert whole["one"](1) == 2  # type: ignore[operator]


def test_a_block_in_another_language_is_no_code() -> None:
    assert extract_code("```javascript\nfunction one(x) { return x + 1; }\n```", "python", "one") == ""
    assert extract_code("Run:\n```bash\necho 1\n```\n", "shell", "") == "echo 1\n"
    assert extract_code("```python\nf(1)\n```\n```text\n2\n```", "python", "") == "f(1)\n"
    assert extract_code("```js\nfunction one(x) {}\n```", "javascript", "one") == "function one(x) {}\n"


@pytest.mark.parametrize(
    "answer",
    ["", "`" * 100_000, "```\n" * 50_000, "```python\n" * 50_000, "def one" * 50_000, " " * 1_000_000,
     "\n" * 200_000, "a: " * 100_000, "async\t" * 100_000, "_" * 500_000, "x" * 500_000 + "="],
    ids=lambda answer: f"{answer[:8]!r}",
)  # fmt: skip
def test_hostile_answers_take_no_time(answer: str) -> None:
    begin = time.monotonic()
    extract_code(answer, "python", "one")
    answered(PREFIX, "one", answer)
    assert time.monotonic() - begin < 2
