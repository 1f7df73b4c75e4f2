"""The origin of a run: the commit of its recipe's repository, and the CI job that submitted it.

Both are claims of the machine that submitted the run. They hold no user names, host names or credentials.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from starfreight.git_uri import GIT_URI_PATTERN, URL_PATTERN
from starfreight.records import Part

Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
"""The id of a commit, by SHA-1 or SHA-256."""
Word = Annotated[str, Field(pattern=r"^[!-~]{1,500}$")]
WebAddress = Annotated[str, Field(max_length=1500, pattern=URL_PATTERN)]


class _WithoutAbsent(Part):
    """A part whose absent fields are left out of its JSON."""

    @model_serializer(mode="wrap")
    def _omit_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if value is not None}


class RecipeSource(_WithoutAbsent):
    """The commit that the recipe was read from."""

    uri: Annotated[str, Field(max_length=1500, pattern=GIT_URI_PATTERN)] | None = None
    """``git+https://host/path``; ``None`` for a repository without such a remote."""
    commit: Commit
    dirty: bool | None = None
    """True if files differ from the commit; ``None`` if unknown."""


class Invoker(_WithoutAbsent):
    """The CI job that submitted the run."""

    ci: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    """``github-actions``, ``gitlab-ci``, ``jenkins``."""
    repository: WebAddress | None = None
    workflow: Word | None = None
    """``acme/coder/.github/workflows/train.yml@refs/heads/main``; on Jenkins the name of the job."""
    ref: Word | None = None
    """The branch or tag."""
    commit: Commit | None = None
    run: WebAddress | None = None
    """Page of the CI run."""
    event: Word | None = None
    """The trigger, such as ``push``."""
    runner: Word | None = None
    """``github-hosted`` or ``self-hosted``."""


class Origin(_WithoutAbsent):
    """The origin of a run."""

    source: RecipeSource | None = None
    invoker: Invoker | None = None
