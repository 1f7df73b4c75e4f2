"""``starfreight runs`` with the imitated server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def test_jobs_in_the_cluster_have_the_progress_of_their_logs(
    api: Any,
    reply: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    api.job("acme-1")
    api.pod("acme-1-x", "acme-1", RUNNING)
    api.job("acme-2", spec={"completions": 4, "completionMode": "Indexed"}, status={"succeeded": 3})
    api.job("acme-3")
    events: list[dict[str, Any]] = [{"event": "plan", "steps": 12, "done": 0}]
    events += [{"event": "step", "step": n, "loss": 1.0, "tokens_per_second": 9.0} for n in (1, 2)]
    pieces = [f"2026-01-01T00:00:{n:02}Z {json.dumps(each)}\n".encode() for n, each in enumerate(events)]
    api.before = lambda asked: reply(pieces=pieces) if asked.path.endswith("/log") else None
    assert main(["runs", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["unreachable"] == []
    rows = {row["name"]: row for row in said["runs"]}
    one = rows["acme-1"]
    assert (one["state"], one["done"], one["total"], one["seconds_left"]) == ("running", 2, 12, 10.0)
    assert (rows["acme-2"]["done"], rows["acme-2"]["total"], rows["acme-2"]["unit"]) == (3, 4, "variants")
    assert (rows["acme-3"]["state"], rows["acme-3"]["done"]) == ("waiting", None)
