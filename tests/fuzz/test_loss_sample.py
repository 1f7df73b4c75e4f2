"""The loss sample of a run, and the comparison in a package's statement."""

from __future__ import annotations

import json
from pathlib import Path

from fuzzing import changed_json, fuzz, holds
from hypothesis import given

from starfreight.files import sha256_bytes
from starfreight.loss_sample import LOSS_SAMPLE_FILE, LossSample, SampleRecord
from starfreight.packager.build.loss_bounds import compare
from starfreight.packager.provenance.recorded_loss_check import loss_check_problem
from starfreight.records import FileDigest

DOCUMENT = {"ids": [5, 6, 7, 8], "counted": [1, 3], "losses": [0.5, 2.25], "base_losses": [1.5, 2.0]}
CHECK = {"verdict": "within the bounds", "file": "a.gguf", "tokens": 2, "trainingLoss": 1.4, "bound": 0.05}


@fuzz
@given(data=changed_json({"version": 1, "documents": [DOCUMENT, DOCUMENT]}))
def test_a_loss_sample(folder: Path, data: bytes) -> None:
    (folder / LOSS_SAMPLE_FILE).write_bytes(data)
    file = FileDigest(path=LOSS_SAMPLE_FILE, digest=sha256_bytes(data), size=len(data))
    record = SampleRecord(file=file, tokens=2, loss=1.0, base_loss=1.0)

    def figures() -> None:
        sample = LossSample.load(folder, record)
        losses = [loss for document in sample.documents for loss in document.losses]
        base = [loss for document in sample.documents for loss in document.base_losses]
        compare(losses, losses, base)

    holds(figures)


@fuzz
@given(data=changed_json(CHECK))
def test_a_comparison_in_a_statement(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    loss_check_problem(value, ["a.gguf"])
