"""Entry point in a process, container or pod: ``python -P -m starfreight.jobs.evaluate DIRECTORY``.

Inside a container the paths of the model's files differ from those in ``inputs.json``:
``--gguf PATH --adapter PATH --reference PATH`` gives them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import JobFailed, StarfreightError
from starfreight.exit_codes import leave_at_once
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.stop_request import StopRequest

if TYPE_CHECKING:
    from starfreight.jobs.evaluate.inputs import EvaluationInputs

_SMALLER = "free memory, choose a smaller quantization, or give the container more memory"


def main(arguments: list[str]) -> int:
    """Run the evaluation in the directory named by the first argument; return the documented exit code."""
    stop = StopRequest()
    stop.listen()
    options = _options(arguments)
    directory: Path = options.directory
    try:
        from starfreight.jobs.evaluate.runner import run_evaluation

        run_evaluation(directory, stop, _inputs(options))
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code
    except MemoryError:
        failed = JobFailed("The job ran out of memory.", where=str(directory), fix=_SMALLER)
        events.send("error", **failed.as_dict())
        return failed.exit_code
    except Exception as error:
        from starfreight.unexpected import explain_to_job

        explained = explain_to_job(error)
        events.send("error", **explained.as_dict())
        return explained.exit_code
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m starfreight.jobs.evaluate", description=__doc__)
    parser.add_argument("directory", type=Path, help="directory of the evaluation")
    for name in ("gguf", "adapter", "reference"):
        parser.add_argument(f"--{name}", help=f"path of the {name}, instead of the one in inputs.json")
    return parser.parse_args(arguments)


def _inputs(options: argparse.Namespace) -> EvaluationInputs:
    from starfreight.jobs.evaluate.inputs import EvaluationInputs

    names = ("gguf", "adapter", "reference")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return EvaluationInputs.find(options.directory).model_copy(update=given)


if __name__ == "__main__":
    leave_at_once(lambda: main(sys.argv[1:]))
