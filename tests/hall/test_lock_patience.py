"""The time to wait for a lock, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.directory_lock import only_one
from starfreight.errors import InputError


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e999", "1 0"])
def test_a_patience_that_is_no_number_of_seconds_is_refused_by_its_name(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFREIGHT_LOCK_PATIENCE", text)
    with pytest.raises(InputError, match="is not a number of seconds") as refused, only_one(tmp_path, "here"):
        pytest.fail("the lock was taken")
    assert "STARFREIGHT_LOCK_PATIENCE" in str(refused.value.where)


@pytest.mark.parametrize("text", ["", "0", "2.5", " 1 "])
def test_a_patience_in_seconds_is_read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARFREIGHT_LOCK_PATIENCE", text)
    with only_one(tmp_path, "here"):
        assert (tmp_path / ".lock").exists()
