"""Records of jobs that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.protocol.record import JOB_FILE, JobRecord

LOCAL: dict[str, Any] = {"version": 1, "runner": "local", "handle": "4711", "started": "2026-01-02T03:04:05Z"}
NO_PROCESSES = ("", "x", "-1", "0", "\u0661", "7" * 11, "4294967295", "1\n")
NO_CONTAINERS = ("../../etc", "a/b", "a?force=1", ".", "-v", "a" * 300)
DOCKER = LOCAL | {"runner": "docker", "handle": "starfreight-acme-1", "identity": "ab" * 32}


@pytest.mark.parametrize("record", [LOCAL, DOCKER, DOCKER | {"handle": "", "identity": None}])
def test_the_record_of_a_job_is_read(record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text(json.dumps(record))
    found = JobRecord.find(tmp_path)
    assert found is not None and found.handle == record["handle"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        *((LOCAL | {"handle": handle}, "number of a process") for handle in NO_PROCESSES),
        *((DOCKER | {"handle": handle}, "name of a container") for handle in NO_CONTAINERS),
        (DOCKER | {"identity": "../json"}, "name of a container"),
    ],
)  # fmt: skip
def test_a_handle_that_no_backend_gives_is_refused(
    record: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / JOB_FILE).write_text(json.dumps(record))
    with pytest.raises(InputError, match=words) as refused:
        JobRecord.find(tmp_path)
    assert refused.value.where == str(tmp_path / JOB_FILE)
