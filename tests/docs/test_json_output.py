"""The page about JSON has every command, and real results have the documented shapes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click
import json_shapes
import jsonschema
import pytest
from command_reference import walk_commands
from documentation import ROOT

from starfreight.cli import cli, main

SCHEMAS: dict[str, Any] = json.loads(json_shapes.SCHEMAS.read_text())
GOLDEN = ROOT / "tests/golden/packages-v2/golden-fim-de8303b786"


def test_the_page_is_made_from_the_schemas() -> None:
    text = json_shapes.PAGE.read_text()
    assert text == json_shapes.page(text, SCHEMAS), "run: python tools/docs/json_shapes.py"
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_command_with_json_is_described() -> None:
    commands = {
        path.removeprefix("starfreight ")
        for path, context in walk_commands(cli, "starfreight")
        if not isinstance(context.command, click.Group)
        and any("--json" in parameter.opts for parameter in context.command.params)
    }
    assert len(commands) > 45
    # One object per line, described in words.
    assert commands - {"jobs logs"} == set(SCHEMAS)


@pytest.mark.parametrize(
    "line",
    [
        "init model",
        "init --code model/code code",
        "plan model/recipe.yaml",
        "data inspect model/recipe.yaml",
        "runs",
        "docs",
        "docs data",
        "completion bash",
        "package keygen --out key",
        "package inspect PACKAGE",
        "package verify PACKAGE",
        "package export PACKAGE files",
        "package papers PACKAGE --form eu-training-summary",
        "package trace PACKAGE --file model/code/money.py",
        "package diff PACKAGE PACKAGE",
    ],
)
def test_a_real_result_has_the_documented_shape(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "of no use")
    if "model/" in line:
        assert main(["init", "model", "-q"]) == 0
        capsys.readouterr()
    assert main([*shlex.split(line.replace("PACKAGE", str(GOLDEN))), "--json"]) in (0, 3)
    result = json.loads(capsys.readouterr().out)
    assert "error" not in result
    command = next(
        name for name in sorted(SCHEMAS, key=len, reverse=True) if f"{line} ".startswith(f"{name} ")
    )
    jsonschema.Draft202012Validator(json_shapes.strict(SCHEMAS[command])).validate(result)


def test_shapes_of_several_results_are_joined() -> None:
    results = [
        {"a": 1, "b": [{"x": None}]},
        {"a": 1.5, "b": [], "c": {"Q4_K_M": 1}},
        {"a": 1, "b": [{"x": "y"}]},
    ]
    schema = json_shapes.joined(map(json_shapes.shape_of, results))
    for result in results:
        jsonschema.Draft202012Validator(json_shapes.strict(schema)).validate(result)
    for wrong in ({"a": 1}, {"a": "1", "b": []}, {"a": 1, "b": [], "d": 1}, {"a": 1, "b": [{"x": 1}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(json_shapes.strict(schema)).validate(wrong)
