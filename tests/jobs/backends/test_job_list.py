"""``starfreight jobs list`` and ``status`` on directories of runs that others can write to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.jobs.backends.interface import JobRequest, Location
from starfreight.jobs.backends.table import open_backend
from starfreight.recipe import load_recipe

GOLDEN = Path(__file__).parents[2] / "golden" / "finished-runs" / "golden-fim-de8303b786"

Change = Callable[[Path], object]


def copy_run(runs: Path, name: str, **changes: Any) -> Path:
    """A finished run under another name, with changed keys in its record."""
    shutil.copytree(GOLDEN, runs / name)
    path = runs / name / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": name} | changes))
    return runs / name


def job_record(**changes: Any) -> str:
    record = {"version": 1, "runner": "local", "handle": "1", "started": "2026-01-01T00:00:00Z"}
    return json.dumps(record | changes)


def replace(name: str, text: str) -> Change:
    def change(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).write_text(text)

    return change


def put_pipe(run: Path) -> None:
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")


def put_device(run: Path) -> None:
    (run / "job.json").unlink(missing_ok=True)
    (run / "job.json").symlink_to("/dev/zero")


BAD: dict[str, Change] = {
    "no record at all": replace("run.json", ""),
    "nested deeply": replace("run.json", "[" * 200_000),
    "a list": replace("run.json", "[1]"),
    "no text": lambda run: (run / "run.json").write_bytes(b"\xff\xfe{}"),
    "a pipe": put_pipe,
    "a handle that is no number": replace("job.json", job_record(handle="x")),
    "a handle beyond all numbers": replace("job.json", job_record(handle="9" * 30)),
    "a handle that climbs": replace("job.json", job_record(runner="docker", handle="../../etc")),
    "a job's record without an end": put_device,
    "another backend": replace("job.json", job_record(runner="moon")),
}


def without_disk_warning(errors: str) -> list[str]:
    """Lines of standard error but for the one about a nearly full disk: this machine's may be."""
    return [line for line in errors.splitlines() if not line.startswith("Warning: the disk of ")]


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_bad_directory_is_one_line_and_hides_no_other_run(
    change: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_run(tmp_path, "good-1")
    change(copy_run(tmp_path, "evil-1"))
    assert main(["jobs", "list", "--runs", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert [row["run"] for row in json.loads(out)["runs"]] == [str(tmp_path / "good-1")]
    (line,) = without_disk_warning(err)
    assert line.startswith(f"{tmp_path / 'evil-1'} is left out: ")
    assert main(["jobs", "status", str(tmp_path / "evil-1")]) == 2
    assert "where: " in capsys.readouterr().err


def test_the_table_has_a_header_and_dates_and_the_newest_run_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, started in (("a-1", "2026-03-05T08:07:06Z"), ("b-1", "2026-03-04T23:00:00Z"), ("c-1", None)):
        (copy_run(tmp_path, name, started=started) / "job.json").unlink()
    (copy_run(tmp_path, "d-1", started="soon\x1b[31m\nfake-1   done") / "job.json").unlink()
    assert main(["jobs", "list", "--runs", str(tmp_path)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "STATUS", "WHERE", "STARTED", "(UTC)", "RESULT"]
    at = head.index("STARTED")
    assert [(line.split()[0], line[at : at + 16].strip()) for line in lines] == [
        ("c-1", "-"), ("d-1", "-"), ("b-1", "2026-03-04 23:00"), ("a-1", "2026-03-05 08:07")
    ]  # fmt: skip
    assert all(line[head.index("RESULT") :].startswith("held-out loss ") for line in lines)

    assert main(["jobs", "list", "--runs", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row["started"] for row in rows] == [None, None, "2026-03-04T23:00:00Z", "2026-03-05T08:07:06Z"]
    assert set(rows[0]) == {
        "run", "status", "where", "started", "held_out_loss_before", "held_out_loss_after"
    }  # fmt: skip


def test_a_run_that_was_never_recorded_as_started_has_the_date_of_its_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(tmp_path, "a-1", started=None)
    (run / "job.json").write_text(job_record(started="2026-07-08T09:10:11Z"))
    assert main(["jobs", "list", "--runs", str(tmp_path)]) == 0
    assert "2026-07-08 09:10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("gpus: 1", "run.gpus has no effect"),
        ("gpus: 0", "run.gpus has no effect"),
        ("memory: 8GB", "run.memory has no effect"),
        ("network: bridge", "run.network has no effect"),
        ("image: acme/trainer:1", "run.image has no effect"),
        ("keep_container: true", "run.keep_container has no effect"),
        ("memory: 8GB, gpus: all", "run.gpus and run.memory have no effect"),
        ("threads: 1", None),
    ],
)
def test_options_without_an_effect_in_a_plain_process_are_named(
    options: str,
    words: str | None,
    toy_kind: Any,
    toy_recipe: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    toy_recipe.write_text(toy_recipe.read_text() + f"\nrun: {{{options}}}\n")
    (toy_recipe.parent / "numbers.txt").write_text("1\n")
    backend = open_backend("local", Location(toy_recipe.parent / "runs"))
    backend.submit(JobRequest(toy_kind, load_recipe(toy_recipe)), Console())
    err = capsys.readouterr().err
    if words is None:
        assert "no effect" not in err
    else:
        assert words in err and "--on docker" in err


@pytest.mark.parametrize(("command", "code"), [(("cancel",), 2), (("logs", "-f"), 0), (("status",), 0)])
def test_the_job_of_another_backend_is_no_job_of_this_one(
    command: tuple[str, ...],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    run = copy_run(tmp_path, "a-1")
    (run / "job.json").write_text(job_record(runner="docker", handle="starfreight-a-1", identity="ab" * 32))
    (run / "job.log").write_text("hello\n")
    assert main(["jobs", *command, str(run), "--on", "local"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_log_says_once_what_its_progress_repeats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(tmp_path, "a-1")
    measuring = {"event": "advance", "count": 4, "text": "Measuring"}
    unnamed = {**measuring, "text": ""}
    begin = {"event": "plan", "steps": 8, "done": 0, "text": "Checking", "unit": "blocks", "aside": True}
    events = [
        begin,
        measuring,
        measuring,
        unnamed,
        measuring,
        {"event": "note", "text": "Measured"},
        measuring,
    ]
    (run / "job.log").write_text("".join(json.dumps(each) + "\n" for each in events))
    assert main(["jobs", "logs", str(run)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["Checking: 8 blocks", "Measuring", "Measured", "Measuring"]
    assert main(["jobs", "logs", str(run), "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == events
