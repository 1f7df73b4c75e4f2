"""Writes a kubeconfig into $RUNNER_TEMP, from the environment that action.yml sets."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from pathlib import Path


def make_kubeconfig(environment: dict[str, str]) -> str:
    """The kubeconfig given, or one whose tokens workflow_token.py requests; JSON is YAML, too.

    Raises:
        ValueError: neither a kubeconfig nor a server over https is given, or the job has no identity.
    """
    if environment["CONFIG"].strip():
        return environment["CONFIG"]
    server = environment["SERVER"]
    if not server:
        raise ValueError("Give the secret kubeconfig, or the input cluster_server.")
    if not server.startswith("https://"):
        raise ValueError("The API server needs an address with https://: tokens are sent to it.")
    if not environment.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        raise ValueError("The job has no identity. Give it the permission id-token: write.")
    cluster = {"server": server}
    if environment["AUTHORITY"].strip():
        cluster["certificate-authority-data"] = base64.b64encode(environment["AUTHORITY"].encode()).decode()
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": shutil.which(environment["PYTHON"]) or environment["PYTHON"],
        "args": [str(Path(__file__).resolve().parent / "workflow_token.py"), environment["AUDIENCE"]],
        "interactiveMode": "Never",
    }
    context = {"cluster": "cluster", "user": "workflow", "namespace": environment["NAMESPACE"]}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "workflow", "user": {"exec": plugin}}],
        "contexts": [{"name": "workflow", "context": context}],
        "current-context": "workflow",
    }
    return json.dumps(config, indent=1)


def main() -> int:
    """Writes the file for the owner alone, and names it for later steps."""
    environment = dict(os.environ)
    try:
        text = make_kubeconfig(environment)
    except ValueError as error:
        print(f"::error title=Access to a cluster::{error}")
        return 2
    path = Path(environment["RUNNER_TEMP"]) / "starfreight-kubeconfig"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    with Path(environment["GITHUB_ENV"]).open("a") as file:
        file.write(f"KUBECONFIG={path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
