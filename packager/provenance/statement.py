"""An in-toto v1 statement with a SLSA v1 provenance predicate, about the files of one package.

Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. The fields are listed in
``docs/provenance.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starfreight import __version__
from starfreight.packager.loss_check import LossCheck
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.records import FileDigest
from starfreight.run import Run

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
LOSS_CHECK_KEY = "starfreight_lossCheck"
"""In ``runDetails``: SLSA wants the names of extensions to start with their vendor's."""
BUILDER = "urn:starfreight:builder:local"


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
        data_manifest: ``data/manifest.json``; each of its files is named with its digest.
        files: name and digest of each subject of the statement.
        quantizations: those built; they can differ from the recipe's list.
        loss_check: the comparison of a file with training; ``None`` for a run without a sample.
    """
    assert run.outcome is not None
    package = run.recipe.package
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(name, digest) for name, digest in files],
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
                    "mergeBase": package.merge.base if package.ship == "merged" else None,
                    "machine": run.machine.model_dump() if run.machine else None,
                    **_calibration(run),
                },
                "resolvedDependencies": list(_dependencies(run, data_manifest)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"starfreight": __version__}},
                "metadata": {"invocationId": run.id, "startedOn": run.started, "finishedOn": run.ended},
                "byproducts": [_resource(file.path, file.digest) for file in _byproducts(run)],
                **({LOSS_CHECK_KEY: loss_check.as_dict()} if loss_check else {}),
            },
        },
    }
    return json.dumps(statement, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


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


def _dependencies(run: Run, data_manifest: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for file in run.base.files:
        yield _resource(f"base/{file.path}", file.digest)
    yield _resource(run.data_manifest.path, run.data_manifest.digest)
    sources = data_manifest["sources"]
    # Manifests of version 1 have no lists beside them, and one license for all files of a source.
    for listed in (data_manifest.get("left_out"), *(source.get("records") for source in sources)):
        if listed:
            yield _resource(f"data/{listed['path']}", listed["digest"])
    for number, source in enumerate(sources):
        for file in source["files"]:
            license_name = file.get("license") or source["license"]
            yield _resource(f"data/{number}/{file['path']}", file["digest"], license=license_name)
    if run.image:
        yield _resource("image", run.image)
    for name, version in sorted(run.versions.items()):
        kind = "generic" if name == "python" else "pypi"
        yield {"name": name, "uri": f"pkg:{kind}/{name}@{version}"}


def _resource(name: str, digest: str, **annotations: str) -> dict[str, Any]:
    algorithm, value = digest.split(":")
    resource: dict[str, Any] = {"name": name, "digest": {algorithm: value}}
    if annotations:
        resource["annotations"] = annotations
    return resource
