"""The steps of a page: its shell commands in order, and the little that a reader adds to them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/plugins"))

from documentation import shell_blocks  # noqa: E402

PAGES = (ROOT / "README.md", ROOT / "docs/tutorial.md")
REGISTRY = "registry.example.com"

_INDENTED = re.compile(r"(?:^|\n\n)((?:    \S[^\n]*\n)+)")
_SUPPLIED = {
    "packages/NAME": 'packages/"$(basename packages/my-model-*)"',
    "HOST/NAMESPACE": f"{REGISTRY}/team",
    "/NAME:TAG": "/my-model:1.0",
}
"""Words in capitals, and a reader's own: the package that `run` printed, the firm's registry."""
_ELSEWHERE = {
    "make test": "the tests themselves",
    "starfreight package install": "needs Ollama",
}
"""Commands of README.md, whose blocks have no marks, that are no part of the way."""


@dataclass(frozen=True)
class Step:
    """Commands that are typed together.

    Args:
        page: name of the page.
        line: of the page.
        script: the commands as the page has them.
        left_out: why they are not run; None if they are.
    """

    page: str
    line: int
    script: str
    left_out: str | None = None

    @property
    def typed(self) -> str:
        """The commands with the reader's own words in the place of capitals."""
        text = self.script
        for capitals, word in _SUPPLIED.items():
            text = text.replace(capitals, word)
        return text


@dataclass(frozen=True)
class Answer:
    """Something that a program asks at the terminal.

    Args:
        prompt: regular expression for the end of the output.
        typed: the line that is typed.
        told: text of the page that tells the reader so.
    """

    prompt: str
    typed: str
    told: str


ANSWERS = (
    Answer(r"\[[^\]\n]+\]: ?\Z", "", "press Enter"),  # A default is shown.
    Answer(r"Directory of your code \(empty for sample data\)[^\n]*: ?\Z", "", "press Enter"),
    Answer(
        r"(?i)(?:password[^\n]*|repeat for confirmation): ?\Z", "correct horse battery staple", "password"
    ),
)


def steps_of(page: Path) -> list[Step]:
    """Every step of a page, also those that are left out."""
    text = page.read_text()
    found = [Step(page.name, block.line, block.script, _reason(block.mark)) for block in shell_blocks(text)]
    if page.name == "README.md":
        found += _indented_steps(text)
    return sorted(found, key=lambda step: step.line)


def _reason(mark: str | None) -> str | None:
    if mark is None:
        return "the page has no mark here"
    return mark.removeprefix("not run: ") if mark.startswith("not run: ") else None


def _indented_steps(text: str) -> list[Step]:
    """A step for each line of the indented blocks of README.md."""
    steps = []
    for match in _INDENTED.finditer(text):
        first = text.count("\n", 0, match.start(1)) + 1
        for number, line in enumerate(match[1].splitlines()):
            command = line.strip()
            reason = next((why for start, why in _ELSEWHERE.items() if command.startswith(start)), None)
            steps.append(Step("README.md", first + number, command + "\n", reason))
    return steps
