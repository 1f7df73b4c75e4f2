"""Checks that the files of an evaluation are those that it was prepared with."""

from __future__ import annotations

import contextlib
from pathlib import Path

from starfreight.errors import GateError, InputError
from starfreight.evaluation import Evaluation
from starfreight.files import read_limited, sha256_file, write_bytes
from starfreight.jobs.evaluate.inputs import EvaluationInputs, Stamp
from starfreight.jobs.evaluate.prepare import MODEL_FOLDER
from starfreight.jobs.protocol import events

SCRATCH_FOLDER = "scratch"
_STAMP_FILE = "hashed.json"


def check_inputs(directory: Path, record: Evaluation, inputs: EvaluationInputs) -> None:
    """Checks the model's files. The GGUF file is hashed once, unless it changes.

    Raises:
        InputError: a file is missing or has changed.
        GateError: the file of a package is damaged.
    """
    files = record.request.get("files")
    for name, digest in (files if isinstance(files, dict) else {}).items():
        path = directory / name
        if path.parent != directory / MODEL_FOLDER or not path.is_file() or sha256_file(path) != digest:
            raise _changed("A file beside the model", path)
    for text, expected, is_gguf in (
        (inputs.gguf, record.model.gguf, True),
        (inputs.adapter, record.model.adapter, False),
    ):
        if expected is None:
            continue
        if text is None or not Path(text).is_file():
            raise InputError(
                "The evaluation's model is not on this machine.",
                where=text or str(directory),
                fix="restore it, or run jobs evaluate with the package again",
            )
        path = Path(text)
        stamp = Stamp.of(path)
        if is_gguf and stamp == _hashed(directory, inputs):
            continue
        events.send("phase", text="Checking the model")
        if sha256_file(path) != expected:
            if inputs.package is not None and path.is_relative_to(inputs.package):
                raise GateError(
                    "The package's file is not the one that its record names.",
                    where=str(path),
                    fix="build the package again, or pull it again",
                )
            raise _changed("The model's file", path)
        if is_gguf:
            data = stamp.model_dump_json().encode()
            write_bytes(directory / SCRATCH_FOLDER / _STAMP_FILE, data, below=directory)


def _hashed(directory: Path, inputs: EvaluationInputs) -> Stamp | None:
    """The GGUF file when its digest was computed, by an earlier attempt or the preparation."""
    with contextlib.suppress(InputError, OSError, ValueError):
        data = read_limited(directory / SCRATCH_FOLDER / _STAMP_FILE, 1 << 12, "stamp")
        return Stamp.model_validate_json(data)
    return inputs.hashed


def _changed(what: str, path: Path) -> InputError:
    return InputError(
        f"{what} has changed since the evaluation was prepared.",
        where=str(path),
        fix="restore it, or run the same jobs evaluate command again",
    )
