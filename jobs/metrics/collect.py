"""Collects the metrics of runs on this machine, or of jobs in a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from starfreight.console import Console, printable
from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.directory import DirectoryBackend
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.run_directories import check_runs, find_directory
from starfreight.jobs.backends.table import open_backend
from starfreight.jobs.metrics.exposition import Sample
from starfreight.jobs.metrics.samples import samples_of_disk, samples_of_output, samples_of_run
from starfreight.run import RUN_FILE


def collect(names: Sequence[str], where: str | None, location: Location, console: Console) -> list[Sample]:
    """The metrics of the named runs or jobs; without names, of all runs on this machine.

    A run that cannot be read is left out with a note, unless it is named.

    Raises:
        InputError: a named run does not exist, or no job in a cluster is named.
        ServiceError: the cluster does not answer.
    """
    backend = open_backend(where or "local", location)
    if not isinstance(backend, DirectoryBackend):
        if not names:
            raise InputError(
                "Jobs in a cluster have to be named.",
                where="argument RUN",
                fix=f"list them: starfreight jobs list --on {where}",
            )
        return [sample for name in names for sample in _of_job(name, where or "", location, console)]
    if names:
        directories = [find_directory(name, location) for name in names]
    else:
        check_runs(location.runs)
        directories = sorted(path.parent for path in location.runs.glob(f"*/{RUN_FILE}"))
    samples: list[Sample] = []
    for directory in directories:
        try:
            samples += list(samples_of_run(directory, backend.status_word(directory)))
        except (StarfreightError, OSError) as error:
            if names:
                raise
            what = error.what if isinstance(error, StarfreightError) else str(error)
            console.note(f"{directory} is left out: {printable(what)}")
    if location.runs.is_dir():
        samples += samples_of_disk(location.runs)
    return samples


def _of_job(name: str, where: str, location: Location, console: Console) -> list[Sample]:
    """The metrics of a job by its output, of each variant by itself."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in open_backend(where, location).lines(name, follow=False, console=console):
        if line.text.startswith('{"event": '):
            lines[line.prefix].append(line.text)
    found: list[Sample] = []
    for prefix, texts in lines.items():
        variant = prefix.strip("[] ")
        labels = {"run": name, "variant": variant if variant.isdecimal() else ""}
        found += samples_of_output(texts, labels)
    return found
