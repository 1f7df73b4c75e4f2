"""Entry point in a process, container or pod: ``python -P -m starfreight.jobs.train RUN``.

Inside a container the input paths differ from those in ``inputs.json``:
``--base PATH --data PATH --data PATH ...`` gives them, one ``--data`` for each source of the recipe.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import JobFailed, StarfreightError
from starfreight.exit_codes import leave_at_once
from starfreight.jobs.gpu.fault_record import report_fault
from starfreight.jobs.gpu.faults import fault_of
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.stop_request import StopRequest

if TYPE_CHECKING:
    from starfreight.run import Inputs

_SMALLER = "lower training.batch_size, training.sequence_length or training.rank, in this order"


def main(arguments: list[str]) -> int:
    """Run the job in the directory named by the first argument; return the documented exit code."""
    stop = StopRequest()
    stop.listen()
    if "LOCAL_RANK" not in os.environ:  # A process of torchrun's: its parent said so already.
        events.send("phase", text="Loading the training libraries")
    from starfreight.jobs.train.torchrun import (
        LOST_PEERS,
        NO_CONNECTION,
        launch,
        lost_peers,
        node_count,
        process_count,
    )
    from starfreight.jobs.train.training_job import run_job
    from starfreight.run import Run

    options = _options(arguments)
    folder: Path = options.run
    try:
        if "LOCAL_RANK" not in os.environ:
            count = process_count(Run.load(folder))
            if count * node_count() > 1:
                stop.check()
                return launch(folder, count, arguments)
        run_job(folder, stop, _inputs(options))
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code
    except Exception as error:
        # Compared by name: referring to the class would import torch for every other error.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            failed = JobFailed("The job ran out of memory.", where=str(folder), fix=_SMALLER)
            events.send("error", **failed.as_dict())
            return failed.exit_code
        fault = fault_of(error)
        if "LOCAL_RANK" in os.environ and lost_peers(error) and not (fault and fault.certain):
            traceback.print_exception(error)
            return NO_CONNECTION if fault else LOST_PEERS
        failed_gpu = report_fault(folder, fault) if fault else None
        if failed_gpu is not None:
            traceback.print_exception(error)
            events.send("error", **failed_gpu.as_dict())
            return failed_gpu.exit_code
        from starfreight.unexpected import explain_to_job

        explained = explain_to_job(error)
        events.send("error", **explained.as_dict())
        return explained.exit_code
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m starfreight.jobs.train", description=__doc__)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--base", help="base model directory, instead of the one in inputs.json")
    parser.add_argument("--data", action="append", default=[], help="path of a data source (repeatable)")
    return parser.parse_args(arguments)


def _inputs(options: argparse.Namespace) -> Inputs | None:
    """The input paths given by the arguments, if any."""
    if options.base is None:
        return None
    from starfreight.run import Inputs

    # Only preparing and packaging use the recipe's directory; containers do not mount it.
    return Inputs(version=1, recipe_folder="/", base=options.base, data=tuple(options.data))


if __name__ == "__main__":
    leave_at_once(lambda: main(sys.argv[1:]))
