"""Which sandbox is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox import bubblewrap, landlock
from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.choose import open_sandbox
from starfreight.jobs.evaluate.sandbox.interface import Limits, Sandbox

LIMITS = Limits()


@pytest.fixture
def no_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bwrap that fails as in a container."""
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "_find_bwrap", lambda: str(bwrap))
    yield


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
def test_bubblewrap_comes_first(sandbox: Sandbox) -> None:
    assert isinstance(open_sandbox(LIMITS), Bubblewrap)


@pytest.mark.parametrize("sandbox", ["landlock"], indirect=True)
def test_without_namespaces_it_is_landlock(sandbox: Sandbox, no_namespaces: None) -> None:
    assert open_sandbox(LIMITS, allow_unsandboxed=True).name.startswith("landlock ABI ")


@pytest.mark.parametrize("abi", [0, 5])
def test_without_both_nothing_runs(no_namespaces: None, abi: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "landlock_abi", lambda: abi)
    with pytest.raises(ServiceError) as refused:
        open_sandbox(LIMITS)
    assert refused.value.exit_code == 4
    assert "Landlock" in refused.value.what
    assert "--on docker" in str(refused.value.fix)
    assert open_sandbox(LIMITS, allow_unsandboxed=True).name == "none"


def test_an_interpreter_that_the_box_cannot_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    monkeypatch.setattr(landlock.sys, "base_prefix", str(closed))
    monkeypatch.setattr(landlock.sys, "version_info", (3, 99), raising=False)
    with pytest.raises(ServiceError, match="only root may read"):
        landlock._find_python(other_user=True)
