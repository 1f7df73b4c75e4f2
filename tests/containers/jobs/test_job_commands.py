"""Jobs in containers: observed, stopped and resumed from any terminal."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.run import Run

STEPS = 240


def test_a_job_left_alone_is_seen_stopped_and_gone_on_with_from_other_terminals(
    person: Any,
    make_job: Callable[..., Path],
    the_container: Callable[[Any], Any],
    has_trained: Callable[[Any, int], None],
    training_rows: Callable[[Path], list[dict[str, Any]]],
    adapter_digest: Callable[[Path], str],
) -> None:
    make_job(person.folder, training={"steps": STEPS, "checkpoint_every": 100, "evaluate_every": 1000})
    started = person.types(*person.train("--detach", "--memory", "4GiB", "--json"))
    assert json.loads(started.stdout)["runs"] == [{"run": f"runs/{person.run.name}", "status": "running"}]
    container = the_container(person)
    _is_locked_in(container, person)

    # A second terminal follows it instead of starting another job, and a third one prints its output.
    second, third = person.start(*person.train("--json")), person.start("jobs", "logs", "-f", person.run.name)
    has_trained(person, 3)
    container.pause()  # So that it does not end in the meantime.
    (row,) = json.loads(person.types("jobs", "list", "--json").stdout)["runs"]
    assert (row["status"], row["where"]) == ("running", "docker")
    seen = person.status()
    assert seen["status"] == "running"
    assert seen["state"].startswith(f"container {container.name} is up for ")
    assert seen["step"] >= 3
    assert seen["steps"] == STEPS
    assert seen["tokens_per_second"] > 0
    assert seen["seconds_left"] > 0
    container.unpause()

    cancelled = json.loads(person.types("jobs", "cancel", person.run.name, "--json").stdout)
    assert cancelled["exit_code"] == 75
    assert "stopped on request" in cancelled["state"]
    out, err = second.communicate(timeout=60)
    assert second.returncode == 75, err
    assert "The job is running already, in container" in err
    assert json.loads(out)["error"]["kind"] == "JobStopped"
    out, err = third.communicate(timeout=60)
    assert third.returncode == 0, err
    assert "step 1: loss" in out
    assert Run.load(person.run).status == "stopped"
    assert person.status()["exit_code"] == 75
    assert person.types("jobs", "cancel", person.run.name, code=2).stderr.startswith("Error: No job")

    # It resumes on the same backend with the same options, and gives the same adapter as without a stop.
    reached = len(training_rows(person.run))
    assert reached < STEPS
    person.types("jobs", "resume", person.run.name)
    assert Run.load(person.run).recipe.run.memory == 4 * 2**30
    assert [row["step"] for row in training_rows(person.run)] == list(range(1, STEPS + 1))
    log = person.types("jobs", "logs", person.run.name).stdout
    assert f"{reached} of them done" in log  # Both jobs are in it.
    assert log.count("Loading the base model") == 2
    undisturbed = person.folder / "undisturbed"
    person.types(*person.train("--runs", str(undisturbed)))
    assert adapter_digest(undisturbed / person.run.name) == adapter_digest(person.run)
    # Finished work is not repeated.
    assert "is finished already" in person.types("jobs", "resume", person.run.name).stderr


def _is_locked_in(container: Any, person: Any) -> None:
    attributes = container.attrs
    config, host = attributes["Config"], attributes["HostConfig"]
    assert host["ReadonlyRootfs"] and not host["Privileged"] and not host["AutoRemove"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NetworkMode"] == "none"
    assert host["PidsLimit"] > 0
    assert host["Memory"] == host["MemorySwap"] == 4 * 2**30
    assert host["ShmSize"] == 2 * 2**30
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert not any("secret" in each for each in config["Env"])
    writable = [mount["Destination"] for mount in attributes["Mounts"] if mount["RW"]]
    assert writable == ["/job"]
    assert not any("docker.sock" in mount["Source"] for mount in attributes["Mounts"])


def test_ctrl_c_stops_the_container_with_its_checkpoint(
    person: Any, has_trained: Callable[[Any, int], None], interrupt: Callable[[Any], None]
) -> None:
    process = person.start(*person.train("--json"))
    has_trained(person, 2)
    interrupt(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert json.loads(out)["error"]["kind"] == "JobStopped"
    assert list((person.run / "checkpoints").glob("checkpoint-*/digests.json"))


def test_the_next_command_collects_the_job_of_a_killed_one(
    person: Any,
    the_container: Callable[[Any], Any],
    has_trained: Callable[[Any, int], None],
    wait: Callable[..., Any],
) -> None:
    process = person.start(*person.train())
    has_trained(person, 2)
    container = the_container(person)
    process.kill()
    process.communicate()
    container.kill("SIGTERM")
    wait(lambda: container.reload() or container.status == "exited", "the container's end")
    # As if a killed command had written a part of the log.
    (person.run / LOG_FILE).write_text("half of a lo")
    seen = [person.start("jobs", "status", person.run.name, "--json") for _ in range(3)]
    for each in seen:
        out, err = each.communicate(timeout=60)
        assert each.returncode == 0, err
        assert json.loads(out)["exit_code"] == 75
    log = (person.run / LOG_FILE).read_text()
    assert log.count('"Loading the training libraries"') == 1
    assert "half" not in log
    assert person.status()["status"] == "stopped"


def test_a_container_is_kept_when_that_is_asked_for(
    person: Any, engine: Any, the_container: Callable[[Any], Any]
) -> None:
    person.types(*person.train("--detach", "--keep-container"))
    container = the_container(person)
    person.types("jobs", "cancel", person.run.name)
    container.reload()
    assert container.status == "exited"
    # The next job has another container.
    person.types("jobs", "resume", person.run.name, "--detach")
    other = the_container(person)
    assert other.name == f"{container.name}-2"
    person.types("jobs", "cancel", person.run.name)
    for each in (container, other):
        each.remove()


@pytest.mark.parametrize("where", ["local", "docker"])
def test_what_cannot_be_left_alone_is_refused_before_anything_is_prepared(person: Any, where: str) -> None:
    recipe = json.loads((person.folder / "recipe.yaml").read_text())
    if where == "docker":
        recipe["sweep"] = {"training.rank": [2, 4]}
    (person.folder / "recipe.yaml").write_text(json.dumps(recipe))
    done = person.types(*person.train("--detach", "--on", where), code=2)
    assert "option --detach" in done.stderr
    assert not (person.folder / "runs").exists()


def test_a_local_job_is_stopped_and_gone_on_with_from_a_second_terminal(
    person: Any,
    has_trained: Callable[[Any, int], None],
    make_job: Callable[..., Path],
) -> None:
    # Enough steps for it to be running when it is stopped.
    make_job(person.folder, training={"steps": 2000, "checkpoint_every": 20, "evaluate_every": 5000})
    first = person.start("jobs", "run", "recipe.yaml", "--json")
    has_trained(person, 2)
    assert person.status()["state"].startswith("process ")
    follower = person.start("jobs", "logs", "--follow", person.run.name)
    assert "already" in person.types("jobs", "resume", person.run.name, code=2).stderr
    assert json.loads(person.types("jobs", "cancel", person.run.name, "--json").stdout)["exit_code"] == 75
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 75
    assert json.loads(out)["error"]["kind"] == "JobStopped"
    out, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0
    assert "step 1: loss" in out
    resumed = person.start("jobs", "resume", person.run.name)
    has_trained(person, 5)
    resumed.send_signal(signal.SIGKILL)
    resumed.communicate()
    assert person.status()["where"] == "local"
