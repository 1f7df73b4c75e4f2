"""This machine's part in a run: the model loaded on its device, and its record.

The record holds the versions, the image and the hardware of an attempt.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starfreight import __version__
from starfreight.image import image_digest
from starfreight.jobs.gpu.driver import driver_version
from starfreight.jobs.processor import processor_name
from starfreight.jobs.protocol import events
from starfreight.jobs.train.process_group import ProcessGroup
from starfreight.run import Machine, Run

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "datasets", "tokenizers")


def load_on_device(run: Run, base: Path, processes: ProcessGroup) -> Any:
    """Load the base model with a fresh adapter on this process's device."""
    events.send("phase", text="Loading the base model")
    import torch
    import transformers

    from starfreight.jobs.train.model import choose_device, load_model

    transformers.utils.logging.set_verbosity_error()
    # A resumed run keeps its number of threads: the last bits of a sum depend on it.
    torch.set_num_threads(run.machine.threads if run.machine else thread_count(run.recipe.run.threads))
    device = choose_device(processes.local_rank)
    return load_model(base, run.base.architecture, run.recipe.training, device)


def record_machine(run: Run, device: Any, processes: ProcessGroup) -> Run:
    """The run's record with the versions, image and hardware of this attempt."""
    import torch

    from starfreight.jobs.train.model import choose_attention

    on_gpu = device.type == "cuda"
    machine = Machine(
        processor=processor_name(),
        device=torch.cuda.get_device_name(device) if on_gpu else "cpu",
        threads=torch.get_num_threads(),
        processes=processes.count,
        attention=choose_attention(device),
        driver=driver_version() if on_gpu else None,
        cuda=torch.version.cuda if on_gpu else None,
    )
    versions = {"starfreight": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    return run.model_copy(update={"versions": versions, "machine": machine, "image": image_digest()})


def thread_count(chosen: int | None) -> int:
    """The number of threads of a training process; ``chosen`` by the recipe."""
    # One core is left free: a small model slows down tenfold when another process takes a core from
    # one of the threads, since the threads wait for each other.
    return chosen or max(1, (os.cpu_count() or 2) - 1)
