"""A kill or a full disk during signing leaves a package that verifies: with all signatures or none."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stopped_writes import full_disk, in_a_child, killer

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.layout import verify_layout
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package

GOLDEN = Path(__file__).parents[3] / "golden/finished-packages/golden-sweep-rank-4-44cf01916d"
MORE = MoreSignatures(legacy=True, model_signing=True)


@pytest.mark.parametrize("stop", [killer, full_disk])
def test_a_stop_at_any_step_leaves_all_signatures_or_none(
    stop: Callable[[int], Callable[[str, int], object]],
    make_key: Callable[..., Any],
    tmp_path: Path,
    console: Console,
) -> None:
    key = LocalKey.load(make_key().private, b"correct horse")
    whole = Path(shutil.copytree(GOLDEN, tmp_path / "whole"))
    old = Package.load(whole)
    new, _ = sign_package(whole, key, console, more=MORE)
    found: list[bool] = []
    code, number = 1, 0
    while code:
        # Every step near the end, where records change; some of those before, which add blobs.
        number += 1 if number < 3 or found.count(True) else 9
        copy = Path(shutil.copytree(GOLDEN, tmp_path / "copy"))
        code = in_a_child(copy, stop(number), partial(sign_package, copy, key, console, more=MORE))
        assert code in (0, 4, -signal.SIGKILL)
        verify_layout(copy, console)
        record = Package.load(copy)
        assert record in (old, new)
        found.append(record == new)
        if code:
            assert sign_package(copy, key, console, more=MORE)[0] == new
            verify_layout(copy, console)
        shutil.rmtree(copy)
    assert code == 0 and set(found) == {False, True}
