"""Checks the run that the input from_run of train.yml names, before anything of it is used.

Its artifacts hold a checkpoint and finished packages, which a later job signs. They come from whoever could
run code in it: anybody, for a pull request.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

EVENTS = ("push", "workflow_dispatch", "schedule", "release", "repository_dispatch")
"""They run the code of a branch or a tag of the repository. Pull requests run the code that they propose."""

_MOST_BYTES = 1 << 20
_SECONDS = 60


def find_problem(run: Any, repository: str, branches: tuple[str, ...], any_branch: bool) -> str | None:
    """The reason for which a run is not to be trusted, as a sentence; ``None`` if there is none.

    Args:
        run: as GitHub's REST API describes it.
        repository: of this run, OWNER/NAME.
        branches: branches and tags whose runs are trusted: that of this run, and the default branch.
        any_branch: trust every branch and every event, but no other repository.
    """
    if not isinstance(run, dict):
        return "GitHub's answer does not describe a run."
    for key, of in (("repository", "It is a run"), ("head_repository", "It ran the code")):
        name = run[key].get("full_name") if isinstance(run.get(key), dict) else None
        if not isinstance(name, str) or name.casefold() != repository.casefold():
            return f"{of} of {name or 'an unknown repository'}, not of {repository}."
    if run.get("status") != "completed":
        return "It has not ended."
    if any_branch:
        return None
    if run.get("event") not in EVENTS:
        return f"It is a run for the event {run.get('event')}, not for one of {', '.join(EVENTS)}."
    if run.get("head_branch") not in branches:
        return f"It ran the code of {run.get('head_branch')}, not of {' or '.join(branches)}."
    return None


def fetch_run(server: str, repository: str, run: str, token: str) -> Any:
    """Fetches GitHub's record of a run.

    Raises:
        ValueError: there is no such run, or no answer; the message is a sentence.
    """
    request = urllib.request.Request(f"{server}/repos/{repository}/actions/runs/{run}")
    request.add_header("Accept", "application/vnd.github+json")
    # Not sent on to another server.
    request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return json.loads(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise ValueError(f"There is no such run in {repository}.") from None
        raise ValueError(
            f"GitHub answered {error.code}. The caller must give the permission actions: read."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"GitHub gave no answer that can be read ({type(error).__name__}).") from None


def main() -> int:
    """Prints the problem, and returns 2 if there is one."""
    environment = os.environ
    inputs = json.loads(environment["INPUTS"])
    if not inputs["from_run"]:
        return 0
    repository = environment["GITHUB_REPOSITORY"]
    branches = tuple(dict.fromkeys(filter(None, (environment["BRANCH"], environment["DEFAULT_BRANCH"]))))
    try:
        run = fetch_run(environment["API"], repository, inputs["from_run"], environment["TOKEN"])
        problem = find_problem(run, repository, branches, inputs["from_any_branch"] is True)
    except ValueError as error:
        problem = str(error)
    if problem is None:
        return 0
    advice = "Continue from a run that you trust: docs/github-actions.md, Six hours."
    line = f"from_run: {inputs['from_run']} cannot be continued. {problem} {advice}"
    # %, CR and LF have meanings in workflow commands.
    escaped = line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::error title=Train::{escaped}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
