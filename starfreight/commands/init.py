"""``starfreight init``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.base_model import STARTER
from starfreight.commands.first_recipe.questions import ask, check_base, check_code, choose
from starfreight.console import Console, human_count, printable
from starfreight.errors import InputError
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.commands.first_recipe.base_look import BaseLook
    from starfreight.commands.first_recipe.code_look import CodeLook

_SAMPLES = ("recipe.yaml", "pairs.jsonl", "code/money.py", "code/invoice.py", "code/report.py")
_RECIPE = "recipe.yaml"


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--code", metavar="DIR", type=click.Path(path_type=Path), help="Directory of code to train on.")
@click.option(
    "--base",
    metavar="MODEL",
    help="Base model: a directory, a hub id as ORG/NAME@COMMIT, or oci://... [default: builtin:starter]",
)
@click.option("--name", metavar="NAME", help="Name of the model. [default: from the directory of code]")
@click.option(
    "--license", "code_license", metavar="SPDX", help="License of the code. [default: the one found in it]"
)
@click.option(
    "--base-license", metavar="SPDX", help="License of the base model. [default: the one found in it]"
)
@with_console
def init(
    folder: Path,
    code: Path | None,
    base: str | None,
    name: str | None,
    code_license: str | None,
    base_license: str | None,
    console: Console,
) -> None:
    """Write a commented recipe to DIR, for your code or with sample data. [default: current directory]

    With --code, looks at the code and the base model, and writes a recipe with their languages, licenses
    and sequence length. At a terminal, asks for the code if --code is missing, and to confirm the rest;
    without an answer, the recipe comes with sample data and runs as it is. Existing files are never
    overwritten.

    \b
        starfreight init --code ./src
        starfreight init --code ./src --base ./starcoder2-3b my-model
        starfreight init my-model
    """
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not console.json_output and not console.quiet
    if code is None and asks and not any((base, name, code_license, base_license)):
        _refuse_existing(folder, (_RECIPE,))
        answer = ask("Directory of your code (empty for sample data)", "", check_code)
        code = Path(answer).expanduser() if answer else None
        if code is not None:
            base = ask("Base model", STARTER, check_base)
    elif code is None and any((base, name, code_license, base_license)):
        raise click.UsageError("--base, --name, --license and --base-license require --code.")
    if code is None:
        _write_sample(folder, console)
    else:
        given = {"name": name, "code_license": code_license, "base_license": base_license}
        _write_for_code(folder, code, base or STARTER, given, console, asks=asks)


def _write_sample(folder: Path, console: Console) -> None:
    with as_file(files("starfreight.commands").joinpath("sample")) as sample:
        written = {name: (sample / name).read_bytes() for name in _SAMPLES}
    paths = _write(folder, written)
    console.result({"files": paths}, "\n".join([*(f"Wrote {path}" for path in paths), _next(folder)]))


def _write_for_code(
    folder: Path, code: Path, base: str, given: dict[str, str | None], console: Console, *, asks: bool
) -> None:
    from starfreight.commands.first_recipe.base_look import look_at_base
    from starfreight.commands.first_recipe.code_look import look_at_code
    from starfreight.commands.first_recipe.plan_check import NothingHeldOut, check_as_plan_does
    from starfreight.commands.first_recipe.recipe_text import recipe_text

    _refuse_existing(folder, (_RECIPE,))
    for path, option in ((str(code), "--code"), (base, "--base"), (str(folder.resolve()), "DIR")):
        _check_writable(path, option)
    console.note(f"Looking at {printable(str(code))}")
    seen, model = look_at_code(code), look_at_base(base)
    for line in _findings(seen, model, given):
        console.note(line)
    choices = choose(seen, model, given, asks=asks)
    root = Path("/")  # A directory that does not exist yet is no start for relative paths.
    try:
        check_as_plan_does(recipe_text(seen, model, choices, root), code, console)
    except NothingHeldOut:
        choices = replace(choices, held_out="0")
        check_as_plan_does(recipe_text(seen, model, choices, root), code, console)
        console.note("  Nothing is held out for evaluation: that takes two files at least.")
    paths = _write(folder, {_RECIPE: recipe_text(seen, model, choices, folder).encode()})
    console.result(
        {"files": paths, "code": _code_json(seen), "base": _base_json(model), "chosen": vars(choices)},
        "\n".join([*(f"Wrote {path}" for path in paths), _next(folder)]),
    )


def _check_writable(path: str, option: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "The path is not valid UTF-8, and a recipe cannot hold it.",
            where=f"{option} {printable(path)}",
            fix="rename the directory, or make a link to it with another name",
        ) from error


def _findings(seen: CodeLook, model: BaseLook, given: dict[str, str | None]) -> list[str]:

    lines = [
        f"  {each.name}: {human_count(each.files, 'files')}, {human_count(each.bytes, 'B')}"
        for each in seen.languages
    ]
    if seen.left_out:
        lines.append(
            f"  Left out, as less than 5% of the code: {', '.join(each.name for each in seen.left_out)}"
        )
    if seen.partial:
        lines.append("  The directory is very large; only a part was looked at.")
    if seen.repository:
        lines.append(f"  The code is part of the git repository {seen.repository}; only this part is used.")
    if given["code_license"] is not None:
        lines.append(f"  License: {printable(given['code_license'])}, from --license")
    elif seen.license:
        lines.append(f"  License: {seen.license}, from {seen.license_from}")
    else:
        lines.append("  License: none found, or its text is unknown. The default stands for your own code.")
    lines += [f"  Under another license, {found}: {name}" for name, found in seen.other_licenses]
    if seen.outward_links:
        lines.append(f"  Links out of the directory, excluded: {len(seen.outward_links):,}")
    if seen.with_secrets:
        lines.append(
            f"  Files with a key, token or password: {seen.with_secrets:,}. "
            "They are left out of the training; see filters.secrets."
        )
    if model.context is None:
        lines.append(f"  Base model: {model.model}, not on this machine yet; its shape is unknown.")
    else:
        lines.append(f"  Base model: {model.architecture}, context of {model.context:,} tokens")
    license_name = given["base_license"] or model.license or "none found"
    lines.append(f"  License of the base model: {printable(license_name)}")
    return lines


def _code_json(seen: CodeLook) -> dict[str, Any]:
    return {
        "languages": [{"name": one.name, "files": one.files, "bytes": one.bytes} for one in seen.languages],
        "left_out": [one.name for one in seen.left_out],
        "license": seen.license,
        "license_from": seen.license_from,
        "other_licenses": dict(seen.other_licenses),
        "repository": seen.repository and str(seen.repository),
        "files_with_secrets": seen.with_secrets,
        "outward_links": list(seen.outward_links),
        "partial": seen.partial,
    }


def _base_json(model: BaseLook) -> dict[str, Any]:
    return {
        "model": model.model,
        "revision": model.revision,
        "license": model.license,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "context": model.context,
    }


def _refuse_existing(folder: Path, names: Iterable[str]) -> None:
    from starfreight.directories import refuse_existing

    refuse_existing(folder, names, "choose another directory: starfreight init DIR")


def _write(folder: Path, contents: dict[str, bytes]) -> list[str]:
    """Write files and the recipe's JSON Schema, none of which may exist."""
    from starfreight.files import write_bytes
    from starfreight.recipe.schema import SCHEMA_FILE

    contents = {**contents, SCHEMA_FILE.name: SCHEMA_FILE.read_bytes()}
    _refuse_existing(folder, contents)
    for name, data in contents.items():
        write_bytes(folder / name, data, below=folder)
    return [str(folder / name) for name in contents]


def _next(folder: Path) -> str:
    recipe = shlex.quote(str(folder / _RECIPE))
    return f"Next: starfreight plan {recipe}, then starfreight run {recipe}"
