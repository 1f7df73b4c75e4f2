"""Finds the model to evaluate, with everything that identifies it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.completion.model_source import ModelSource, find_model
from starfreight.console import Console, printable
from starfreight.errors import InputError
from starfreight.evaluation import EvaluatedModel
from starfreight.files import sha256_file
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
from starfreight.jobs.evaluate.models.server_target import ServerTarget, is_server, parse_server
from starfreight.jobs.evaluate.subject import Subject
from starfreight.package import PACKAGE_FILE, Package
from starfreight.quantization import Quantization
from starfreight.run import RUN_FILE, Run

_HASHING = 32 << 20
"""Bytes of a file from which its hashing is shown."""


@dataclass(frozen=True)
class Target:
    """A model that was found.

    Attributes:
        model: for the record.
        local: its files on this machine; ``None`` behind a server.
        server: its address; ``None`` for files.
        package: the directory of its package, if it has one.
        run: the directory of the run that it was packaged from, if that is known.
        reference: the model in 16 bits, if it is known.
    """

    model: EvaluatedModel
    local: LocalTarget | None
    server: ServerTarget | None
    package: Path | None = None
    run: Path | None = None
    reference: Path | None = None


def find_target(subject: Subject, folder: Path, console: Console) -> Target:
    """The model of a subject.

    Args:
        subject: as the user names it.
        folder: the directory where relative paths start.
        console: shows progress.

    Raises:
        InputError: there is no such model.
        GateError: its package is damaged.
        ServiceError: its server does not answer.
    """
    run = None if subject.run is None else folder / subject.run
    if is_server(subject.target):
        return replace(_served(subject), run=run)
    path = folder / subject.target
    for each in (path, subject.gguf, subject.reference):
        if each is not None and not _is_text(each):
            raise InputError(
                "The path is not UTF-8, and cannot be written to the job's record.",
                where=str(each),
                fix="rename the file",
            )
    source = find_model(path, None if subject.baseline else subject.quantization)
    package = _package_folder(path)
    if package is None:
        record = _of_file(source, console)
        local = LocalTarget(source.gguf, None, _files_of(source))
        return Target(record, local, None, None, run, subject.reference)
    record = _of_package(Package.load(package), subject, console)
    gguf = subject.gguf or source.gguf
    adapter = None if subject.baseline == "base" else source.adapter
    local = LocalTarget(gguf, adapter, _files_of(source))
    return Target(record, local, None, package, run or _run_of(path, package), subject.reference)


def _files_of(source: ModelSource) -> ModelFiles:
    """Everything beside the weights. A file's name may hold anything, and is written as text."""
    return replace(ModelFiles.of(source), name=_text(source.name))


def _is_text(path: Path) -> bool:
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: str) -> str:
    return printable(name.encode(errors="backslashreplace").decode()).strip()[:200] or "model"


def _served(subject: Subject) -> Target:
    from starfreight.jobs.evaluate.models.open_model import describe_server

    chosen = subject.server
    if subject.quantization is not None:
        raise InputError(
            "A server's model has one quantization.", where=subject.target, fix="leave --quantization out"
        )
    server = parse_server(subject.target, chosen.model, chosen.api, chosen.fim_tokens)
    facts = describe_server(server)
    found = ServerTarget(server.url, facts.model, facts.api, server.marks)
    name = printable(facts.model)[:200]
    with_digest = f"{name} {facts.digest}" if facts.digest else name
    record = EvaluatedModel(name=name, server=server.url, server_model=printable(with_digest)[:500])
    return Target(record, None, found)


def _of_file(source: ModelSource, console: Console) -> EvaluatedModel:
    size = source.gguf.stat().st_size
    unit = "B" if size >= _HASHING else "bytes"
    with console.progress("Hashing the model", total=size, unit=unit) as advance:
        digest = sha256_file(source.gguf, lambda count: advance(count))
    return EvaluatedModel(name=_text(source.name), gguf=digest, size=size)


def _of_package(package: Package, subject: Subject, console: Console) -> EvaluatedModel:
    variant = package.default_variant
    if subject.quantization is not None:
        wanted = Quantization.parse(subject.quantization)
        variant = next((each for each in package.variants if each.quantization == wanted), variant)
    gguf, size, quantization = variant.gguf.digest, variant.gguf.size, str(variant.quantization)
    adapter = package.adapter.digest if package.adapter else None
    name = f"{package.name}-{variant.tag}"
    if subject.baseline is not None:
        if subject.gguf is None:
            raise ValueError("a baseline without its file")
        file = _of_file(ModelSource(subject.gguf.stem, subject.gguf), console)
        gguf, size = file.gguf or "", file.size or 0
        if subject.baseline == "base":
            adapter, name = None, f"{name}-base"
        else:
            quantization, name = "F16", f"{package.name}-F16"
    return EvaluatedModel(
        name=name,
        gguf=gguf,
        size=size,
        quantization=quantization,
        adapter=adapter,
        template=package.template.digest if package.template else None,
        settings=package.settings.digest if package.settings else None,
        package=package.name,
        run=package.run,
    )


def _package_folder(path: Path) -> Path | None:
    """The directory of the package that :func:`find_model` found, if it found one."""
    if not path.is_dir():
        return None
    if (path / PACKAGE_FILE).exists():
        return path
    absolute = path.resolve()
    return absolute.parent.parent / "packages" / absolute.name


def _run_of(path: Path, package: Path) -> Path | None:
    """The run of a package, if its data are those that the package was made from."""
    from starfreight.jobs.evaluate.held_out import run_of_package

    if (path / RUN_FILE).exists() and Run.load(path).id == Package.load(package).run:
        return path
    return run_of_package(package)
