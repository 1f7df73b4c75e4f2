"""``-q`` is ``--quiet`` in every command; its earlier meaning is refused with the option to use instead."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from starfreight.cli import cli, main


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_q_is_quiet_everywhere() -> None:
    meanings = {
        path: option.name
        for path, command in commands(cli)
        for option in command.params
        if "-q" in option.opts
    }
    assert set(meanings.values()) == {"quiet"}
    quiet = {path for path, command in commands(cli) for option in command.params if option.name == "quiet"}
    assert quiet == set(meanings)


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["package", "press", "base", "--out", "x", "-q", "Q4_K_M", "-q", "Q8_0"], "--quantize Q4_K_M"),
        (["package", "press", "base", "--out", "x", "-qF16"], "--quantize F16"),
        (["package", "rebuild", "x", "-q", "iq4_xs"], "--quantize iq4_xs"),
        (["try", "x", "-q", "q8_0"], "--quantization q8_0"),
        (["serve-model", "x", "-q", "Q9"], "--quantization Q9"),
    ],
)
def test_the_earlier_meaning_is_refused(
    words: list[str], instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"-q means --quiet. To choose a quantization: {instead}\n" in said


def test_q_before_a_model_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "-q", "./no-such-model", "--prompt", "x"]) == 2
    assert "-q means" not in capsys.readouterr().err
