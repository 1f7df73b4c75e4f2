"""An in-toto v1 statement with a SLSA v1 provenance predicate, about the files of one package.

Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. ``docs/build-type.md`` describes
the fields. The statement follows from the run, the installation that packages it, and its image, if any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starfreight import __version__
from starfreight.packager.loss_check import LossCheck
from starfreight.packager.provenance.dependencies import dependencies, named
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.records import FileDigest
from starfreight.run import Measurement, Outcome, Run

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
LOSS_CHECK_KEY = "starfreight_lossCheck"
"""In ``runDetails``: SLSA wants the names of extensions to start with their vendor's."""
INVOKER_KEY = "starfreight_invoker"
TRAINING_KEY = "starfreight_training"
BUILDERS = ("https://starfreight.dev/builders/container", "https://starfreight.dev/builders/local")
"""Training in a container image that the dependencies name by digest, or in the environment of a machine."""


def make_statement(
    run: Run,
    data_manifest: Mapping[str, Any],
    files: Iterable[tuple[str, str]],
    *,
    quantizations: Sequence[str] = (),
    loss_check: LossCheck | None = None,
) -> bytes:
    """The statement, as canonical JSON.

    Args:
        run: the finished run: its recipe, base model, versions, adapter, importance matrix and times.
        data_manifest: ``data/manifest.json``; its digest stands for its files.
        files: name and digest of each subject of the statement.
        quantizations: those built; they can differ from the recipe's list.
        loss_check: the comparison of a file with training; ``None`` for a run without a sample.
    """
    assert run.outcome is not None
    package = run.recipe.package
    invoker = run.origin.invoker if run.origin is not None else None
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [named(name, digest) for name, digest in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": TRAINING_METHODS[run.recipe.training.method].build_type,
                "externalParameters": {
                    # Without later keys that have no effect, so that an earlier run gives the same package.
                    "recipe": identity_v1(run.recipe)
                    or run.recipe.without_evaluation().model_dump(mode="json"),
                    "quantizations": [str(item) for item in quantizations],
                },
                "internalParameters": {
                    "recipeDigest": run.recipe_digest,
                    "seeds": {"training": run.recipe.training.seed},
                    "mergeBase": package.merge.base if package.ship == "merged" else None,
                    "machine": run.machine.model_dump() if run.machine else None,
                    **_calibration(run),
                },
                "resolvedDependencies": list(dependencies(run, data_manifest)),
            },
            "runDetails": {
                "builder": {"id": builder_id(run.image), "version": {"starfreight": __version__}},
                "metadata": {"invocationId": run.id, "startedOn": run.started, "finishedOn": run.ended},
                "byproducts": [named(file.path, file.digest) for file in _byproducts(run)],
                TRAINING_KEY: _outcome(run.outcome),
                **({INVOKER_KEY: invoker.model_dump()} if invoker is not None else {}),
                **({LOSS_CHECK_KEY: loss_check.as_dict()} if loss_check else {}),
            },
        },
    }
    return as_bytes(statement)


def as_bytes(statement: Any) -> bytes:
    """A statement in the form that packages are written with."""
    return json.dumps(statement, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def builder_id(image: str | None) -> str:
    """The id of the builder, from the digest of the image that the training ran in."""
    return BUILDERS[0] if image is not None else BUILDERS[1]


def _calibration(run: Run) -> dict[str, Any]:
    """The data behind the importance matrix; empty without one."""
    if run.imatrix is None:
        return {}
    return {"imatrix": {"blocks": run.imatrix.blocks, "tokens": run.imatrix.tokens}}


def _byproducts(run: Run) -> Iterable[FileDigest]:
    assert run.outcome is not None
    yield from run.outcome.adapter
    if run.imatrix is not None:
        yield run.imatrix.imatrix


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "steps": outcome.steps,
        "keptStep": outcome.kept_step,
        "tokens": outcome.tokens,
        "seconds": outcome.seconds,
        "before": _measurement(outcome.before),
        "after": _measurement(outcome.after),
    }


def _measurement(measured: Measurement | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "loss": measured.loss,
        "tokens": measured.tokens,
        "exactMatch": measured.exact_match,
        "completions": measured.completions,
    }
