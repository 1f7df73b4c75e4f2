"""Records the results of commands while tests run, to learn the shapes of their JSON.

    PYTHONPATH=tools/docs RECORDED=/tmp/recorded.jsonl pytest -p record_json tests/packager
    python tools/docs/json_shapes.py /tmp/recorded.jsonl

The second command adds the recorded shapes to ``docs/json-outputs.json``.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from command_reference import walk_commands

from starfreight.cli import cli
from starfreight.console import Console, as_json

_print = Console.result


@functools.cache
def _names() -> dict[int, str]:
    """The full name of each command, also where a test calls it without its group."""
    return {
        id(context.command): path.removeprefix("starfreight ")
        for path, context in walk_commands(cli, "starfreight")
    }


def _result(self: Console, data: Mapping[str, Any], text: str) -> None:
    context = click.get_current_context(silent=True)
    name = _names().get(id(context.command)) if context is not None else None
    if name is not None:
        line = json.dumps([name, json.loads(as_json(data))])
        with Path(os.environ["RECORDED"]).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    _print(self, data, text)


Console.result = _result  # type: ignore[method-assign]
