"""Preparation of evaluations: the model found, the problems made, and a directory for each evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console, printable
from starfreight.directories import refuse_links_in
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, RecipeError
from starfreight.evaluation import (
    EVALUATION_FILE,
    Contamination,
    Evaluation,
    ProblemSource,
    SuiteResult,
)
from starfreight.files import (
    PARTIAL_PREFIX,
    canonical_json,
    disk_errors,
    sha256_bytes,
    sha256_file,
    write_bytes,
)
from starfreight.jobs.evaluate.inputs import EvaluationInputs, Stamp
from starfreight.jobs.evaluate.problems import as_lines, choose_problems, problems_path
from starfreight.jobs.evaluate.subject import Subject
from starfreight.jobs.evaluate.suites.interface import (
    HeldOut,
    Preparation,
    PreparedSuite,
    Problem,
    SkippedSuite,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.table import suite_named
from starfreight.jobs.evaluate.target import Target, find_target
from starfreight.recipe import Recipe
from starfreight.recipe.evaluate import Evaluate, SuiteChoice

MODEL_FOLDER = "model"
_FORMAT = 1
"""Part of each evaluation's identity. A change of it repeats all evaluations."""


@dataclass(frozen=True)
class _Prepared:
    """A suite with its problems.

    Attributes:
        options: of the user.
        result: for the record, without figures.
        problems: chosen ones.
        lines: the same as JSON lines; ``None`` if the suite is skipped.
    """

    options: SuiteOptions
    result: SuiteResult
    problems: Sequence[Problem] = ()
    lines: bytes | None = None


def prepare_evaluation(
    recipe: Recipe,
    subject: Subject,
    folder: Path,
    runs: Path,
    console: Console,
    is_active: Callable[[Path], bool],
) -> Path:
    """Makes the directory of an evaluation, or finds the one of an earlier command.

    Its name holds a digest of the model's files, the problems and the options: the same command finds it
    again.

    Raises:
        RecipeError: the options contradict each other.
        InputError: the model or a suite's problems cannot be used.
        GateError: the package is damaged.
        ServiceError: the server does not answer, or the disk is full.
    """
    asked = recipe.evaluate
    if asked is None:
        raise RecipeError("The recipe has no evaluate.suites.", where="key evaluate", fix="add it")
    options = {name: suite_options(name, choice, asked) for name, choice in asked.suites.items()}
    target = find_target(subject, folder, console)
    console.heading(f"Evaluation of {target.model.name}")
    suites = {name: suite_named(name) for name in options}
    if target.reference is not None and not target.reference.is_file():
        raise InputError(
            "The model in 16 bits is not a file.", where=str(target.reference), fix="check the path"
        )
    held_out = _held_out(target, subject, folder, console)
    prepared: dict[str, _Prepared] = {}
    for name, suite in suites.items():
        local = recipe.run.where == "local"
        preparation = Preparation(folder, options[name], held_out, console, local)
        try:
            made = suite.prepare(preparation)
            if not made.problems:
                raise SkippedSuite("no problems were found")
            prepared[name] = _prepared(name, options[name], made)
        except SkippedSuite as skipped:
            prepared[name] = _skipped(name, options[name], skipped, console)
    if all(each.lines is None for each in prepared.values()):
        reasons = "; ".join(f"{name}: {each.result.skipped}" for name, each in prepared.items())
        raise InputError(
            "No suite can be run.", where=reasons, fix="name others with --suite; --list shows all of them"
        )
    return _write(_Request(recipe, subject, asked, target, prepared), runs, console, is_active)


@dataclass(frozen=True)
class _Request:
    recipe: Recipe
    subject: Subject
    asked: Evaluate
    target: Target
    suites: Mapping[str, _Prepared]


def _write(request: _Request, runs: Path, console: Console, is_active: Callable[[Path], bool]) -> Path:
    target, suites = request.target, request.suites
    asked = {
        "format": _FORMAT,
        "suites": {
            name: {**each.options.settings, "seconds": each.options.seconds} for name, each in suites.items()
        },
        "seed": request.asked.seed,
        "reference": target.reference is not None,
    }  # fmt: skip
    if request.subject.allow_unsandboxed:
        asked["unsandboxed"] = True  # Another evaluation: a later one in a sandbox must not find this one.
    if target.server is not None and target.server.marks is not None:
        asked["fim_tokens"] = list(target.server.marks)  # With them, suites run that were skipped before.
    digests = {name: each.lines and sha256_bytes(each.lines) for name, each in suites.items()}
    model = target.model.model_dump(mode="json")
    identity = sha256_bytes(canonical_json([model, asked, digests])).removeprefix("sha256:")[:10]
    name = f"{_slug(target.model.name)}-eval-{identity}"
    out = runs / name
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    refuse_links_in(out)
    if is_active(out):
        return out
    inputs = _inputs(request)
    if (out / EVALUATION_FILE).exists():
        found = Evaluation.load(out)
        if found.id == name and found.status == "done":
            return out
    with only_one(out, "evaluating", below=runs):
        inputs.save(out)
        earlier = (out / EVALUATION_FILE).exists()
        files = dict(_model_files(target, out))
        for suite, each in suites.items():
            if each.lines is not None:
                path = problems_path(out, suite)
                if not (path.is_file() and sha256_file(path) == digests[suite]):
                    write_bytes(path, each.lines, below=runs)
        if earlier and Evaluation.load(out).id == name:
            return out
        contamination = _contamination(request, console)
        results = tuple(
            each.result.model_copy(update={"contamination": contamination.get(suite)})
            for suite, each in suites.items()
        )
        record = Evaluation(
            id=name,
            status="prepared",
            model=target.model,
            request={**asked, "files": files},
            results=results,
        )
        record.save(out)
    return out


def _inputs(request: _Request) -> EvaluationInputs:
    target, local = request.target, request.target.local
    # A bare file was hashed a moment ago; the files of packages are hashed by the job, once.
    hashed = local is not None and (target.package is None or request.subject.baseline is not None)
    return EvaluationInputs(
        gguf=str(local.gguf.absolute()) if local else None,
        adapter=str(local.adapter.absolute()) if local and local.adapter else None,
        reference=str(target.reference.absolute()) if target.reference else None,
        server=target.server.as_json() if target.server else None,
        package=str(target.package.absolute()) if target.package else None,
        hashed=Stamp.of(local.gguf) if local and hashed else None,
        allow_unsandboxed=request.subject.allow_unsandboxed,
        options=request.recipe.run,
    )


def _model_files(target: Target, out: Path) -> Mapping[str, str]:
    """Writes what is packaged beside the weights; returns the digests of these files."""
    if target.local is None:
        return {}
    folder = out / MODEL_FOLDER
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    target.local.files.save(folder)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(PARTIAL_PREFIX))
    return {f"{MODEL_FOLDER}/{name}": sha256_file(folder / name) for name in names}


def _contamination(request: _Request, console: Console) -> Mapping[str, Contamination]:
    from starfreight.jobs.evaluate.contamination import search_all

    searched = {
        name: each.problems
        for name, each in request.suites.items()
        if each.lines is not None and hasattr(suite_named(name), "open_scorer")
    }
    return search_all(searched, request.target.run, console)


def _held_out(target: Target, subject: Subject, folder: Path, console: Console) -> Callable[[], HeldOut]:
    """Finds the held-out files once, on first use."""
    found: list[HeldOut] = []

    def find() -> HeldOut:
        from starfreight.jobs.evaluate.held_out import find_held_out

        if not found:
            directory = None if subject.held_out is None else folder / subject.held_out
            found.append(find_held_out(target.run, directory, console))
        return found[0]

    return find


def suite_options(name: str, choice: SuiteChoice, asked: Evaluate) -> SuiteOptions:
    """The options of a suite of a recipe.

    Raises:
        RecipeError: they contradict each other.
    """
    if choice.samples > 1 and choice.temperature == 0:
        raise RecipeError(
            f"{choice.samples} completions at temperature 0 are all the same.",
            where=f"suite {name}",
            fix="raise the temperature, e.g. to 0.8, or take 1 sample",
        )
    return SuiteOptions(
        choice.limit, choice.samples, choice.temperature, asked.seed, choice.file, asked.seconds
    )


def _prepared(name: str, options: SuiteOptions, made: PreparedSuite) -> _Prepared:
    problems = choose_problems(made.problems, options.limit, options.seed)
    lines = as_lines(problems, name)
    source = ProblemSource(
        name=_line(made.name), digest=sha256_bytes(lines), count=len(problems),
        license=_line(made.license) if made.license else None,
    )  # fmt: skip
    result = SuiteResult(suite=name, source=source, settings={**options.settings, **made.settings})
    return _Prepared(options, result, problems, lines)


def _skipped(name: str, options: SuiteOptions, skipped: SkippedSuite, console: Console) -> _Prepared:
    reason = _line(str(skipped))
    console.note(f"  {name} is skipped: {reason}")
    return _Prepared(options, SuiteResult(suite=name, settings=options.settings, skipped=reason))


def _line(text: str) -> str:
    """Text as a line of a record."""
    return printable(" ".join(text.split())).strip()[:500] or "unknown"


def _slug(name: str) -> str:
    """A name as the first part of a directory's."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")
    return re.sub(r"-{2,}", "-", plain)[:100].rstrip("-._") or "model"
