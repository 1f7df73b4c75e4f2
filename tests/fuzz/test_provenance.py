"""Provenance statements, of both versions: read, and compared with their package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.jobs.prepare.ci_identity import find_invoker
from starfreight.origin import Invoker, Origin
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.provenance.claims import Provenance
from starfreight.packager.provenance.compare import PackageSources, statement_problems
from starfreight.packager.provenance.recorded import parse_provenance

GOLDEN = Path(__file__).parents[1] / "golden"
EARLIER = GOLDEN / "finished-packages/golden-fim-de8303b786"
CLAIMS = [name for name, value in vars(Provenance).items() if isinstance(value, property)]


def statement_of(folder: Path) -> Any:
    return json.loads(ImageLayout(folder).read(Package.load(folder).provenance))


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package built today."""
    root = tmp_path_factory.mktemp("current")
    run = shutil.copytree(GOLDEN / "finished-runs" / EARLIER.name, root / "run")
    build_package(run, root / "p", GOLDEN / "inputs/base", Console(quiet=True))
    return root / "p"


def read(data: bytes, package: Package) -> None:
    """What the readers of statements do: the documented errors, and every claim is there."""
    list(statement_problems(data, package, PackageSources((), None, {})))
    try:
        found = parse_provenance(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GateError("unreadable", where="", fix="") from error
    for name in CLAIMS:
        getattr(found, name)
    list(found.data_files())


@fuzz
@given(data=st.data())
def test_a_statement_of_version_2(current: Path, data: st.DataObject) -> None:
    package, statement = Package.load(current), statement_of(current)
    holds(lambda: read(data.draw(changed_json(statement)), package))


def test_a_source_without_its_facts(current: Path) -> None:
    package, statement = Package.load(current), statement_of(current)
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    next(each for each in dependencies if each["name"] == "data/0")["annotations"] = None
    data = canonical_json(statement)
    holds(lambda: read(data, package))
    with pytest.raises(ValueError, match="SourceNotes"):
        parse_provenance(data)


@fuzz
@given(data=changed_json(statement_of(EARLIER)))
def test_a_statement_of_version_1(data: bytes) -> None:
    package = Package.load(EARLIER)
    holds(lambda: read(data, package))


@fuzz
@given(data=changed_bytes(canonical_json(statement_of(EARLIER))))
def test_a_damaged_statement(data: bytes) -> None:
    package = Package.load(EARLIER)
    holds(lambda: read(data, package))


VARIABLES = [
    "GITHUB_ACTIONS", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW_REF", "GITHUB_REF",
    "GITHUB_SHA", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_EVENT_NAME", "RUNNER_ENVIRONMENT",
    "GITEA_ACTIONS", "GITLAB_CI", "CI_PROJECT_URL", "CI_CONFIG_REF_URI", "CI_COMMIT_TAG", "CI_COMMIT_BRANCH",
    "CI_COMMIT_SHA", "CI_JOB_URL", "CI_PIPELINE_SOURCE", "CI_MERGE_REQUEST_REF_PATH", "JENKINS_URL",
    "BUILD_URL", "JOB_NAME", "GIT_URL", "GIT_BRANCH", "GIT_COMMIT",
]  # fmt: skip
WORDS = st.text() | st.sampled_from(["true", "1", "https://a:b@c/d", "https://c/d", "0" * 40, "refs/heads/x"])


@fuzz
@given(variables=st.dictionaries(st.sampled_from(VARIABLES), WORDS))
def test_an_environment(variables: dict[str, str]) -> None:
    found = find_invoker(variables)
    if found is not None:
        text = Origin(invoker=found).model_dump_json()
        assert Origin.model_validate_json(text).invoker == found == Invoker(**found.model_dump())
        assert "a:b@" not in text
