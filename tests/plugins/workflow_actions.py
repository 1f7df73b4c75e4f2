"""The foreign actions that our workflows use, as far as they use them, for :mod:`workflow_runner`."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from workflow_runner import Job


def checkout(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """actions/checkout: the caller's repository."""
    assert inputs["persist-credentials"] == "false"
    shutil.copytree(job.machine.source, job.workspace / inputs["path"])
    return {}


def setup_starfreight(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """Ours, without the installation: the Starfreight that runs the tests."""
    job.path.append(str(Path(sys.executable).parent))
    return {"python": sys.executable, "version": "0"}


def upload(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """actions/upload-artifact: the files below a path, without modes and empty directories."""
    assert job.permissions, "a job without permissions"
    name = inputs["name"]
    assert not re.search(r'[":<>|*?\r\n\\/]', name), "GitHub refuses such a name"
    included, excluded = [], []
    for line in inputs["path"].split("\n"):
        if line.strip():
            (excluded if line.startswith("!") else included).append(line.strip().removeprefix("!"))
    (root,) = (job.workspace / each for each in included)
    left_out = {path for each in excluded for path in job.workspace.glob(each)}
    hidden = inputs.get("include-hidden-files") == "true"
    target = job.machine.artifacts / name
    assert not target.exists() or inputs.get("overwrite") == "true", f"an artifact {name} exists"
    shutil.rmtree(target, ignore_errors=True)
    count = 0
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if not path.is_file() or left_out & {path, *path.parents}:
            continue
        if not hidden and any(each.startswith(".") for each in parts):
            continue
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        count += 1
    assert count or inputs.get("if-no-files-found") != "error", "no files"
    # An id names these bytes; another artifact of the same name has another one.
    newest = max(map(int, job.machine.artifact_ids.values()), default=0)
    job.machine.artifact_ids[name] = str(newest + 1)
    return {"artifact-id": job.machine.artifact_ids[name]}


def download(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """actions/download-artifact."""
    if inputs.get("run-id") != str(job.machine.github["run_id"]) and inputs.get("run-id"):
        assert inputs.get("github-token"), "another run needs a token"
        assert job.permissions.get("actions") == "read", "another run needs actions: read"
    if "artifact-ids" in inputs:
        assert "name" not in inputs and inputs["merge-multiple"] == "true"
        ids = job.machine.artifact_ids.items()
        names = [name for name, identifier in ids if identifier == inputs["artifact-ids"]]
        assert len(names) == 1, f"no artifact with the id {inputs['artifact-ids']}"
    else:
        names = [inputs["name"]]
    source = job.machine.artifacts / names[0]
    assert source.is_dir(), f"no artifact {names[0]}"
    shutil.copytree(source, job.workspace / inputs["path"], dirs_exist_ok=True)
    return {}


def attest(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """actions/attest with a list of checksums, by its rules: shasum's format, at most 1,024 subjects."""
    assert job.permissions.get("attestations") == "write" and job.permissions.get("id-token") == "write"
    lines = Path(inputs["subject-checksums"]).read_text().splitlines()
    assert 0 < len(lines) <= 1024
    for line in lines:
        assert re.fullmatch(r"[0-9a-f]{64} [ *][^\s].*", line), line
    return {"attestation-url": f"https://github.com/attestations/{len(lines)}"}


def all_actions() -> dict[str, Any]:
    """Every action by its name."""
    return {
        "actions/checkout": checkout,
        "actions/upload-artifact": upload,
        "actions/download-artifact": download,
        "actions/attest": attest,
        "$/.github/actions/setup-starfreight": setup_starfreight,
    }
