"""The entry point inside a process, a container or a pod: ``python -P -m starfreight.jobs.train RUN``.

In a container the inputs lie elsewhere than ``inputs.json`` says: ``--base PATH --data PATH --data PATH ...``
names their places there, one for each source of the recipe.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import JobFailed, StarfreightError
from starfreight.exit_codes import leave_with
from starfreight.jobs.protocol import events
from starfreight.jobs.train.stop_request import StopRequest

if TYPE_CHECKING:
    from starfreight.run import Inputs

_SMALLER = "lower training.batch_size, training.sequence_length or training.rank, in this order"


def main(arguments: list[str]) -> int:
    """Runs the job in the folder that is the first argument; returns the documented exit code."""
    stop = StopRequest()
    stop.listen()
    from starfreight.jobs.train.launch import launch, nodes, wanted
    from starfreight.jobs.train.training_job import run_job
    from starfreight.run import Run

    options = _options(arguments)
    folder: Path = options.run
    try:
        if "LOCAL_RANK" not in os.environ and (count := wanted(Run.load(folder))) * nodes() > 1:
            return launch(folder, count, arguments)
        run_job(folder, stop, _inputs(options))
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code
    except Exception as error:
        # Told apart by name, since naming the classes would import torch for every other error.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            failed = JobFailed("The job ran out of memory.", where=str(folder), fix=_SMALLER)
            events.send("error", **failed.as_dict())
            return failed.exit_code
        raise
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m starfreight.jobs.train", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--base", help="the base model's folder, where it is not the one in inputs.json")
    parser.add_argument("--data", action="append", default=[], help="the same for each source of the data")
    return parser.parse_args(arguments)


def _inputs(options: argparse.Namespace) -> Inputs | None:
    """Where the inputs lie, when the arguments say so."""
    if options.base is None:
        return None
    from starfreight.run import Inputs

    # The recipe's folder is for what prepares and packages: it is not there in a container.
    return Inputs(version=1, recipe_folder="/", base=options.base, data=tuple(options.data))


if __name__ == "__main__":
    leave_with(lambda: main(sys.argv[1:]))
