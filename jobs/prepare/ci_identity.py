"""The CI job that this process runs in, from the variables that CI systems set.

Only the variables named here are read. Users, host names of runners and tokens are never among them, and
addresses lose their user and password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from starfreight.git_uri import public_url
from starfreight.origin import Invoker

Environment = Mapping[str, str]

_WORD = re.compile(r"[!-~]{1,500}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_invoker(environment: Environment) -> Invoker | None:
    """The CI job of an environment; ``None`` outside one."""
    for marker, read in _SYSTEMS:
        if environment.get(marker):
            return read(environment)
    return None


def _github(environment: Environment) -> Invoker:
    """https://docs.github.com/actions/reference/variables-reference; Gitea and Forgejo set the same."""
    server = (environment.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
    repository = public_url(f"{server}/{environment.get('GITHUB_REPOSITORY', '')}")
    run, attempt = environment.get("GITHUB_RUN_ID", ""), environment.get("GITHUB_RUN_ATTEMPT", "")
    page = None
    if repository is not None and run.isdecimal():
        page = f"{repository}/actions/runs/{run}" + (f"/attempts/{attempt}" if attempt.isdecimal() else "")
    ci = "github-actions"
    for marker, other in (("FORGEJO_ACTIONS", "forgejo-actions"), ("GITEA_ACTIONS", "gitea-actions")):
        if environment.get(marker):
            ci = other
            break
    return Invoker(
        ci=ci,
        repository=repository,
        workflow=_word(environment.get("GITHUB_WORKFLOW_REF")),
        ref=_word(environment.get("GITHUB_REF")),
        commit=_commit(environment.get("GITHUB_SHA")),
        run=_url(page),
        event=_word(environment.get("GITHUB_EVENT_NAME")),
        runner=_word(environment.get("RUNNER_ENVIRONMENT")),
    )


def _gitlab(environment: Environment) -> Invoker:
    """https://docs.gitlab.com/ci/variables/predefined_variables/."""
    ref = environment.get("CI_MERGE_REQUEST_REF_PATH")
    for variable, start in (("CI_COMMIT_TAG", "refs/tags/"), ("CI_COMMIT_BRANCH", "refs/heads/")):
        if environment.get(variable):
            ref = start + environment[variable]
            break
    return Invoker(
        ci="gitlab-ci",
        repository=_url(environment.get("CI_PROJECT_URL")),
        workflow=_word(environment.get("CI_CONFIG_REF_URI")),
        ref=_word(ref),
        commit=_commit(environment.get("CI_COMMIT_SHA")),
        run=_url(environment.get("CI_JOB_URL")),
        event=_word(environment.get("CI_PIPELINE_SOURCE")),
    )


def _jenkins(environment: Environment) -> Invoker:
    """https://www.jenkins.io/doc/book/pipeline/jenkinsfile/, and the variables of the Git plugin."""
    return Invoker(
        ci="jenkins",
        repository=_url(environment.get("GIT_URL")),
        workflow=_word(environment.get("JOB_NAME")),
        ref=_word(environment.get("GIT_BRANCH")),
        commit=_commit(environment.get("GIT_COMMIT")),
        run=_url(environment.get("BUILD_URL")),
    )


_SYSTEMS: tuple[tuple[str, Callable[[Environment], Invoker]], ...] = (
    ("GITHUB_ACTIONS", _github),
    ("GITLAB_CI", _gitlab),
    ("JENKINS_URL", _jenkins),
)


def _url(value: str | None) -> str | None:
    return None if not value else public_url(value)


def _word(value: str | None) -> str | None:
    """A value without spaces; one with an address in it could hold a password."""
    if value is None or "://" in value or not _WORD.fullmatch(value):
        return None
    return value


def _commit(value: str | None) -> str | None:
    return value if value is not None and _COMMIT.fullmatch(value) else None
