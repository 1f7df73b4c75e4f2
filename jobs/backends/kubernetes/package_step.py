r"""Runs in a pod around the step that packages, for jobs with ``run.kubernetes.results``.

    python -P -m starfreight.jobs.backends.kubernetes.package_step --results oci://... --name JOB \
        --run RUN --package PACKAGE -- starfreight package build RUN --out PACKAGE

A package that an earlier pod has sent is taken from the store, so the command finds it finished. Afterwards
the package is sent, and ``jobs fetch`` takes it from there.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.files import disk_errors
from starfreight.jobs.results.stage import list_package
from starfreight.results.address import PACKAGE_SUFFIX, parse_place
from starfreight.results.interface import ResultsStore
from starfreight.results.receive import check_package, is_package, receive
from starfreight.results.table import open_store
from starfreight.unexpected import explain_to_job


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code, or 4 if the package cannot be sent."""
    options = _options(arguments)
    console = Console()
    try:
        store = open_store(parse_place(options.results), write=True)
        if not is_package(options.package):
            _take(store, options, console)
        code = _run(options.command)
        if code == 0:
            _send(store, options, console)
    except Exception as error:
        explained = explain_to_job(error)
        console.error(explained)
        return explained.exit_code
    return code


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -P -m {__spec__.name}", description=__doc__)
    parser.add_argument("--results", required=True, help="address of all results")
    parser.add_argument("--name", required=True, help="name of the job, with the number of its variant")
    parser.add_argument("--run", type=Path, required=True, help="directory of the run")
    parser.add_argument("--package", type=Path, required=True, help="directory of the package")
    parser.add_argument("command", nargs="+", help="command that makes the package")
    return parser.parse_args(arguments)


def _take(store: ResultsStore, options: argparse.Namespace, console: Console) -> None:
    """Takes the package of an earlier pod. Without it, or if it is unusable, the command makes it again."""
    package: Path = options.package
    try:
        index = store.find(options.name + PACKAGE_SUFFIX)
        if index is None or index.kind != "package":
            return
        with disk_errors(package.parent):
            package.parent.mkdir(parents=True, exist_ok=True)
        # On the volume, packages have the names of jobs, not of runs.
        named = index.model_copy(update={"name": package.name})
        receive(store, named, package.parent, console, check_package, may_replace=lambda directory: True)
    except StarfreightError as error:
        console.note(f"The package of an earlier pod is not used: {error.what}")


def _run(command: list[str]) -> int:
    process: subprocess.Popen[bytes] | None = None
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        if process is not None:
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    process = subprocess.Popen(command)
    if stopped:
        process.terminate()
    code = process.wait()
    return 128 - code if code < 0 else code


def _send(store: ResultsStore, options: argparse.Namespace, console: Console) -> None:
    run = options.run.resolve().name
    index = list_package(options.package, run, options.name)
    with console.progress("Sending the package", total=index.size, unit="B") as advance:
        store.put(index, options.package, [run + PACKAGE_SUFFIX, options.name + PACKAGE_SUFFIX], advance)
    console.note(f"Sent the package to {options.results}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
