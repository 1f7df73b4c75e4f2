"""The recorder of terminals for the documentation."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pyte
import pytest
import recording

COMMANDS = [
    r"printf 'first\nsecond'; sleep 0.3; printf '\rthird \n<&>\n'",
    "read -p 'Your name: ' name; echo \"[$name]\"",
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, tuple[str, ...]]]:
    return recording.frames(recording.record(COMMANDS, tmp_path_factory.mktemp("recording")))


def test_screens_are_those_of_a_terminal_and_questions_get_the_enter_key(
    shown: list[tuple[float, tuple[str, ...]]],
) -> None:
    screens = [[line for line in lines if not line.startswith("$")] for _, lines in shown]
    assert any(screen[:2] == ["first", "second"] for screen in screens)
    assert screens[-1][:5] == ["first", "third", "<&>", "Your name:", "[]"]
    times = [at for at, _ in shown]
    assert times == sorted(times) and times[-1] < 12


def test_the_asciicast_replays_to_the_last_screen(shown: list[tuple[float, tuple[str, ...]]]) -> None:
    head, *events = map(json.loads, recording.asciicast(shown).splitlines())
    assert head["version"] == 2
    screen = pyte.Screen(head["width"], head["height"])
    for _, kind, text in events:
        assert kind == "o"
        pyte.Stream(screen).feed(text)
    assert tuple(line.rstrip() for line in screen.display) == shown[-1][1]


def test_the_svg_has_every_frame_and_every_line(shown: list[tuple[float, tuple[str, ...]]]) -> None:
    svg = ElementTree.fromstring(recording.animated_svg(shown, 20))
    texts = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert set(texts) == {line for _, lines in shown for line in lines if line}
    assert len([each for each in svg if each.tag.endswith("}g")]) == len(shown)


def test_the_committed_recording_shows_the_tutorials_commands_and_no_failure() -> None:
    pictures = Path(__file__).parents[2] / "docs/pictures"
    svg = (pictures / "first-model.svg").read_text()
    for command in recording._COMMANDS:
        assert f">$ {command.replace(chr(39), '&#x27;')}" in svg
    assert not re.search(r">(?:Error|Traceback)", svg)
    assert sum(path.stat().st_size for path in pictures.iterdir()) < 300_000
