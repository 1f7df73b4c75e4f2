"""Build a model directory from the standard library."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console, human_count, time_in_words
from starfreight.directories import discard, refuse_links_in
from starfreight.directory_lock import only_one
from starfreight.errors import InputError
from starfreight.files import PARTIAL_PREFIX, disk_errors, read_json, sha256_file, write_bytes, write_json
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.starter.architecture import Shape, config_json
from starfreight.jobs.starter.corpus import SourceFile, license_text, read_corpus
from starfreight.jobs.starter.examples import RowReader
from starfreight.jobs.starter.model_card import model_card
from starfreight.jobs.starter.pretrain import Settings, StepProgress, Trainer
from starfreight.jobs.starter.schedule import Schedule
from starfreight.jobs.starter.tokenizer import tokenizer_config, train_tokenizer

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

MANIFEST = "data-manifest.json"
"""File in the model directory listing everything the model was made from."""

_PLAN = "plan.json"
_NOTE_SECONDS = 30.0
_TIMED_STEPS = 5
_SMALL_FILE = 1 << 20


@dataclass(frozen=True)
class StarterRequest:
    """Settings of a build.

    Attributes:
        out: model directory to write.
        work: directory of the checkpoints; the same build resumes from there.
        steps: number of steps; ``None`` lets ``minutes`` decide.
        minutes: pretraining time on this machine, under the load at the start.
        settings: everything else that determines the weights.
        library: directory of the standard library.
        lines: number of missing lines the model is tested on.
    """

    out: Path
    work: Path
    steps: int | None
    minutes: float
    settings: Settings
    library: Path
    lines: int = 100


def build(request: StarterRequest, console: Console, stop: StopRequest) -> dict[str, Any]:
    """Build the model directory, or resume an interrupted build.

    Returns:
        A summary of the model, as plain data.

    Raises:
        InputError: the output directory holds something else, or the work directory another training.
        JobStopped: a stop was requested; the checkpoint is written.
    """
    _check_replaceable(request.out)
    with only_one(request.work, "building a starter model"):
        refuse_links_in(request.work)
        console.heading("Reading the standard library")
        files = read_corpus(request.library)
        training = [file for file in files if not file.held_out]
        tokenizer = train_tokenizer((file.text for file in training), request.settings.shape.vocabulary)
        request = replace(request, settings=_fit_vocabulary(request.settings, tokenizer))
        stop.check()
        reader = RowReader(training, tokenizer, request.settings.seed)
        schedule = request.settings.schedule(request.steps or _steps_for(request, reader, console))
        trainer = Trainer(request.settings, reader)
        trainer.resume(request.work, schedule)
        _pretrain(trainer, schedule, request.work, console, stop)
        console.heading("Writing and measuring the model")
        return _finish(request, schedule, files, tokenizer, trainer.model)


def _fit_vocabulary(settings: Settings, tokenizer: Tokenizer) -> Settings:
    """Shrink the embedding to the tokenizer: a tiny corpus gives fewer tokens than requested."""
    return replace(settings, shape=replace(settings.shape, vocabulary=tokenizer.get_vocab_size()))


def _steps_for(request: StarterRequest, reader: RowReader, console: Console) -> int:
    """Number of steps for the given minutes. Decided once, so a killed build ends at the same step."""
    plan = request.work / _PLAN
    if plan.is_file():
        kept = read_json(plan, _SMALL_FILE, "plan of the build")
        if isinstance(kept, dict) and kept.get("minutes") == request.minutes:
            return int(kept["steps"])
    console.note("Timing a few steps")
    trial = Trainer(request.settings, reader)
    # An arbitrary length: the timed steps are typical of a real training.
    schedule = request.settings.schedule(1000)
    trial.advance(schedule)
    begun = time.monotonic()
    for _ in range(_TIMED_STEPS):
        trial.advance(schedule)
    each = (time.monotonic() - begun) / _TIMED_STEPS
    steps = max(10, round(request.minutes * 60 / each / 10) * 10)
    write_json(plan, {"minutes": request.minutes, "steps": steps})
    return steps


def _pretrain(trainer: Trainer, schedule: Schedule, work: Path, console: Console, stop: StopRequest) -> None:
    done = f", {trainer.step:,} of them already done" if trainer.step else ""
    console.heading(f"Pretraining for {human_count(schedule.steps, 'steps')}{done}")
    noted = time.monotonic()
    with console.progress("Pretraining", total=schedule.steps, unit="steps") as advance:
        advance(trainer.step)

        def tick(now: StepProgress) -> None:
            nonlocal noted
            advance(1)
            if time.monotonic() - noted >= _NOTE_SECONDS or now.step == schedule.steps:
                noted = time.monotonic()
                console.note(
                    f"step {now.step:,} of {schedule.steps:,}, loss {now.loss:.3f}, "
                    f"{now.tokens_per_second:,.0f} tokens/s, {time_in_words(now.seconds_left)} left"
                )

        trainer.train(work, schedule, stop, tick)


def _finish(
    request: StarterRequest,
    schedule: Schedule,
    files: Sequence[SourceFile],
    tokenizer: Tokenizer,
    model: torch.nn.Module,
) -> dict[str, Any]:
    """Write the model under a temporary name, evaluate it, then rename it into place."""
    with disk_errors(request.out):
        request.out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=request.out.parent))
        partial.chmod(0o755)
    try:
        _write_model(partial, request.settings.shape, tokenizer, model)
        write_bytes(partial / "LICENSE", license_text(request.library))
        manifest = _manifest(request, schedule, files, partial, _measure(request, partial, files))
        write_bytes(partial / "README.md", model_card(manifest).encode())
        manifest["model_files"]["README.md"] = sha256_file(partial / "README.md")
        write_json(partial / MANIFEST, manifest)
        with disk_errors(request.out):
            _replace(request.out, partial)
    finally:
        discard(partial, below=partial.parent)
    return {
        "model": str(request.out),
        "parameters": manifest["parameters"],
        "steps": schedule.steps,
        "quality": manifest["held_out"],
    }


def _write_model(folder: Path, shape: Shape, tokenizer: Tokenizer, model: torch.nn.Module) -> None:
    import torch
    from safetensors.torch import save

    # The output layer is tied to the embedding, so it is not written again.
    tensors = {name: value.detach().to("cpu", torch.bfloat16) for name, value in model.named_parameters()}
    write_bytes(folder / "model.safetensors", save(tensors, metadata={"format": "pt"}))
    write_json(folder / "config.json", config_json(shape))
    write_json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 0})
    write_bytes(
        folder / "tokenizer.json",
        (json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1) + "\n").encode(),
    )
    write_json(folder / "tokenizer_config.json", tokenizer_config(shape.context_length))


def _measure(request: StarterRequest, folder: Path, files: Sequence[SourceFile]) -> dict[str, Any]:
    import torch
    from tokenizers import Tokenizer
    from transformers import Starcoder2ForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from starfreight.jobs.starter.held_out import measure

    disable_progress_bar()
    model = Starcoder2ForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    held_out = [file for file in files if file.held_out]
    length = request.settings.shape.context_length
    return asdict(measure(model, tokenizer, held_out, length, request.lines))


def _manifest(
    request: StarterRequest,
    schedule: Schedule,
    files: Sequence[SourceFile],
    folder: Path,
    quality: dict[str, Any],
) -> dict[str, Any]:
    import tokenizers
    import torch
    import transformers

    settings = request.settings
    return {
        "version": 1,
        "source": "the Python standard library",
        "source_license": "PSF-2.0",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "machine": platform.machine(),
        "parameters": settings.shape.parameters(),
        "settings": asdict(settings),
        "steps": schedule.steps,
        "tokens_seen": schedule.steps * settings.batch_tokens,
        "held_out": quality,
        "model_files": {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()},
        "files": [
            {"path": file.path, "sha256": file.sha256, "size": file.size, "held_out": file.held_out}
            for file in files
        ],
    }


def _check_replaceable(out: Path) -> None:
    if out.exists() and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise InputError(
            "The output directory holds something that is not a starter model.",
            where=str(out),
            fix="name a new directory with --out",
        )


def _replace(out: Path, new: Path) -> None:
    """Replace ``out`` with ``new``. A kill between the renames leaves no model, never half of one."""
    # Not under a name that can be foretold, where a link might be.
    old = Path(tempfile.mkdtemp(prefix=f"{PARTIAL_PREFIX}old-", dir=out.parent))
    if out.exists():
        out.replace(old / out.name)
    new.replace(out)
    discard(old, below=old.parent)
