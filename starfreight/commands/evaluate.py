"""``starfreight jobs evaluate``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.recipe.evaluate import Evaluate

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("target", required=False, metavar="PACKAGE|RUN|GGUF|URL")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Suite to run (repeatable).")
@click.option("--list", "list_suites", is_flag=True, help="List the suites.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="Maximum number of problems of a suite.")
@click.option("--samples", type=click.IntRange(1, 1000), help="Completions of each problem.  [default: 1]")
@click.option("--temperature", type=click.FloatRange(0, 5), help="Temperature of sampling.  [default: 0]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of all random choices.  [default: 0]")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), help="Time limit of a program.  [default: 10]")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="SUITE=PATH",
    help="File or directory with problems (repeatable).",
)
@click.option(
    "--run", "run", type=_PATH, metavar="DIR", help="Run with the held-out files. [default: the package's]"
)
@click.option("--held-out", type=_PATH, metavar="DIR", help="Files to cut places from, unseen in training.")
@click.option(
    "--quantization", "quantizations", multiple=True, metavar="NAME",
    help="Quantization of the package (repeatable); `all` for each.  [default: the package's]",
)  # fmt: skip
@click.option(
    "--baseline", "baselines", multiple=True, type=click.Choice(["base", "F16"]),
    help="Evaluate the base model, or the model in 16 bits, beside it (repeatable).",
)  # fmt: skip
@click.option("--reference", type=_PATH, metavar="GGUF", help="The model in 16 bits, for suite quantization.")
@click.option("--recipe", type=_PATH, metavar="FILE", help="Recipe with `evaluate`. [default: the run's]")
@click.option("--model", metavar="NAME", help="The model's name on the server at URL.")
@click.option(
    "--api", type=click.Choice(["auto", "ollama", "openai"]), default="auto", help="The server's interface."
)
@click.option(
    "--fim-tokens",
    metavar="TOKENS",
    help="For a server without suffixes, e.g. '<fim_prefix> <fim_suffix> <fim_middle>'.",
)
@click.option(
    "--on",
    "where",
    type=click.Choice(["local", "docker", "kubernetes"]),
    help="Where to run. [default: local]",
)
@click.option("--image", metavar="REF", help="Image for a container or pod.")
@click.option("--memory", metavar="AMOUNT", help="Memory limit of a container or pod, such as 32GB.")
@click.option("--runs", type=_PATH, default=Path("runs"), show_default=True, help="Directory of all runs.")
@click.option(
    "--packages", type=_PATH, default=Path("packages"), show_default=True, help="Directory of all packages."
)
@click.option(
    "--allow-unsandboxed", is_flag=True, help="Run generated code as plain processes where no sandbox works."
)
@with_console
def evaluate(
    target: str | None,
    list_suites: bool,
    runs: Path,
    packages: Path,
    console: Console,
    **options: Any,
) -> None:
    """Evaluate the model that people run: a package, its GGUF file, or a server's model.

    Generated code runs in a sandbox. Figures have 95 % intervals, and belong to the digest of the file; those
    of a package become a part of it. The same command resumes after an interruption, and repeats no finished
    suite. Without --suite, the recipe's suites run, with its quantizations and baselines, or else fim,
    perplexity and speed. Without a model, it is the recipe's evaluate.model. The key of a server is the
    environment variable STARFREIGHT_EVALUATE_KEY.

    \b
        starfreight jobs evaluate packages/acme-coder-0123456789
        starfreight jobs evaluate packages/acme-coder-0123456789 --suite humaneval --quantization all
        starfreight jobs evaluate model.gguf --suite fim --held-out src/ --limit 200
        starfreight jobs evaluate http://localhost:11434 --model acme-coder --suite humaneval
    """
    from starfreight.commands.evaluation import (
        EvaluationRequest,
        load_evaluations,
        package_folder,
        run_evaluations,
    )
    from starfreight.commands.evaluation_recipe import evaluation_recipe, recipes_model
    from starfreight.commands.evaluation_table import evaluations_data, evaluations_text
    from starfreight.errors import InputError
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.evaluate.models.server_target import is_server
    from starfreight.jobs.evaluate.subject import ServerChoice, Subject

    if list_suites:
        _list(console)
        return
    if target is None:
        target = recipes_model(options["recipe"], in_cluster=options["where"] == "kubernetes")
    if target is None:
        raise InputError(
            "There is no model to evaluate.", where="argument PACKAGE|RUN|GGUF|URL", fix="name one"
        )
    for name in ("model", "fim_tokens"):
        if options[name] is not None and not is_server(target):
            raise InputError(
                "Only a server's model has this option.",
                where=f"option --{name.replace('_', '-')}",
                fix="leave it out",
            )
    served = is_server(target)
    if served and options["where"] not in (None, "local"):
        raise InputError(
            "A server's model is evaluated from this machine.", where="option --on", fix="leave --on out"
        )
    in_cluster = options["where"] == "kubernetes"
    package = None if served or in_cluster else package_folder(target, packages)
    file = evaluation_recipe(target, package, options)
    subject = Subject(
        target if served else str(package.absolute() if package else Path(target).absolute()),
        run=options["run"].absolute() if options["run"] else None,
        reference=options["reference"].absolute() if options["reference"] else None,
        held_out=options["held_out"].absolute() if options["held_out"] else None,
        server=ServerChoice(options["model"], options["api"], options["fim_tokens"]),
        allow_unsandboxed=options["allow_unsandboxed"],
    )
    asked = file.recipe.evaluate
    # The recipe's quantizations and baselines go with its own suites; with --suite, options name them.
    whole = asked if package is not None and not options["suites"] else None
    wanted = options["baselines"] or (whole.baselines if whole else ())
    request = EvaluationRequest(
        file,
        subject,
        _quantizations(options["quantizations"], package, whole),
        tuple(dict.fromkeys(wanted)),
        Location(runs),
        package,
    )
    directories = run_evaluations(request, console)
    evaluations = load_evaluations(directories)
    subjects = shlex.join([str(package)] if package else [*map(str, directories), "OTHER"])
    console.result(
        evaluations_data(evaluations, directories),
        f"{evaluations_text(evaluations, directories)}\n"
        f"Next: starfreight jobs compare {subjects} --html comparison.html",
    )


def _list(console: Console) -> None:
    from starfreight.jobs.evaluate.suites.table import SUITES

    width = max(map(len, SUITES))
    lines = [f"{name.ljust(width)}  {summary}" for name, summary in SUITES.items()]
    suites = [{"name": name, "summary": summary} for name, summary in SUITES.items()]
    console.result({"suites": suites}, "\n".join(lines))


def _quantizations(
    named: tuple[str, ...], package: Path | None, asked: Evaluate | None
) -> tuple[str | None, ...]:
    from starfreight.package import Package
    from starfreight.quantization import Quantization

    everything = "all" in named or (not named and asked is not None and asked.quantizations == "all")
    if package is None or not (named or everything):
        return named or (None,)
    if everything:
        return tuple(str(each.quantization) for each in Package.load(package).variants)
    return tuple(dict.fromkeys(str(Quantization.parse(each)) for each in named))
