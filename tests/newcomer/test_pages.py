"""The pages lead from nothing to a published, verified model, and leave nothing out silently."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import ANSWERS, PAGES, ROOT, steps_of

README, TUTORIAL = PAGES
# Each part of the way, as it begins in the pages' commands.
THE_WAY = {
    README: [
        "make quickstart", ". .venv/bin/activate", "starfreight init", "starfreight plan", "starfreight run",
        "starfreight package verify", "starfreight try", "starfreight publish",
    ],
    TUTORIAL: [
        "python3 -m venv", "pip install", "starfreight init", "starfreight plan", "starfreight run",
        "starfreight package verify", "starfreight package sign", "starfreight serve-model", "curl",
        "starfreight publish", "starfreight package verify registry.example.com/",
    ],
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_steps_that_run_go_the_whole_way_in_order(page: Path) -> None:
    commands = [line for step in steps_of(page) if step.left_out is None for line in step.typed.splitlines()]
    places = iter(enumerate(commands))
    for part in THE_WAY[page]:
        assert any(command.startswith(part) for _, command in places), f"{part} is missing, or too early"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_step_runs_or_has_a_reason(page: Path) -> None:
    steps = steps_of(page)
    assert len(steps) >= 9
    unmarked = [f"{step.page}:{step.line}" for step in steps if step.left_out == "the page has no mark here"]
    assert unmarked == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_for_a_reader_to_guess(page: Path) -> None:
    for step in steps_of(page):
        if step.left_out is None:
            guessed = re.findall(r"(?<![\w$./-])[A-Z][A-Z_]{2,}(?![\w=])|<[a-z-]+>|\.\.\.", step.typed)
            assert guessed == [], f"{step.page}:{step.line}"


def test_the_model_is_called_in_every_step_as_it_was_in_the_first() -> None:
    for page in PAGES:
        text = "".join(step.typed for step in steps_of(page) if step.left_out is None)
        (name,) = set(re.findall(r"starfreight init (\w\S*)$", text, re.MULTILINE))
        sample = (ROOT / "starfreight/commands/sample/recipe.yaml").read_text()
        assert re.search(rf"^name: {name}$", sample, re.MULTILINE)
        assert set(re.findall(r"packages/(?:\"\$\(basename packages/)?([\w-]+)-\*", text)) == {name}


def test_each_question_that_is_answered_is_one_that_a_command_asks() -> None:
    code = "".join(path.read_text() for room in ("starfreight", "packager") for path in _modules(room))
    _, first, second = (answer.prompt for answer in ANSWERS)
    assert re.search(r"(.*?)\[\^", first)[1].replace("\\", "") in code  # type: ignore[index]
    assert "password" in second and "hide_input=True" in code


def _modules(room: str) -> list[Path]:
    return [path for path in (ROOT / room).rglob("*.py") if not any(p.is_symlink() for p in path.parents)]
