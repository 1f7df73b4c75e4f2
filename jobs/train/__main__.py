"""The entry point inside a process, a container or a pod: ``python -P -m jobs.train RUN``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jobs import events
from jobs.train.stopping import StopRequest
from starfreight.errors import JobFailed, StarfreightError

_SMALLER = "lower training.batch_size, training.sequence_length or training.rank, in this order"


def main(arguments: list[str]) -> int:
    """Runs the job in the folder that is the only argument; returns the documented exit code."""
    stop = StopRequest()
    stop.listen()
    from jobs.train.launch import launch, nodes, wanted
    from jobs.train.program import run_job
    from starfreight.run import Run

    folder = Path(arguments[0])
    try:
        if "LOCAL_RANK" not in os.environ and (count := wanted(Run.load(folder))) * nodes() > 1:
            return launch(folder, count)
        run_job(folder, stop)
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code
    except Exception as error:
        # Told apart by name, since naming the classes would import torch for every other error.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            failed = JobFailed("The job ran out of memory.", where=arguments[0], fix=_SMALLER)
            events.send("error", **failed.as_dict())
            return failed.exit_code
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
