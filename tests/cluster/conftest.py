"""The cluster in KUBECONFIG, with kubernetes/base applied in a namespace for the tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"


@dataclass(frozen=True)
class Person:
    """A user of the cluster with kubectl."""

    program: str
    kubeconfig: str

    def try_kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs kubectl; it may fail."""
        command = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, input=stdin, check=False)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl, checks its exit code, and returns its output."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def knows(self, resource: str, group: str) -> bool:
        """True if the server has a resource, e.g. ``clusterqueues`` in ``kueue.x-k8s.io/v1beta2``."""
        found = self.try_kubectl("get", "--raw", f"/apis/{group}")
        return found.returncode == 0 and f'"name":"{resource}"' in found.stdout.replace(" ", "")


@pytest.fixture(scope="session")
def admin(kubectl_program: str) -> Person:
    """The admin of the cluster in KUBECONFIG."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.skip("KUBECONFIG names no cluster")
    made = Person(kubectl_program, kubeconfig)
    made.kubectl("version", "--request-timeout=20s")
    return made


@pytest.fixture(scope="session")
def in_namespace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Writes a kustomization of a directory of kubernetes/ with another namespace, like an admin."""

    def make(name: str, namespace: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        resource = os.path.relpath(KUBERNETES / name, folder.resolve())
        (folder / "kustomization.yaml").write_text(f"namespace: {namespace}\nresources: [{resource}]\n")
        return folder

    return make


@pytest.fixture(scope="session")
def base_namespace(admin: Person, in_namespace: Callable[[str, str], Path]) -> Iterator[str]:
    """A namespace with all of kubernetes/base. All created objects are deleted at the end."""
    namespace = f"starfreight-test-{secrets.token_hex(4)}"
    folder = str(in_namespace("base", namespace))
    made = admin.kubectl("apply", "-k", folder)
    yield namespace
    # PriorityClasses belong to the cluster: only those created here are deleted.
    created = [line.split()[0] for line in made.splitlines() if line.endswith(" created")]
    for name in created:
        if name.startswith("priorityclass"):
            admin.kubectl("delete", name, "--ignore-not-found")
    admin.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def submitter_kubeconfig(
    admin: Person, base_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A kubeconfig with the right to submit jobs in the namespace, and nothing else."""
    admin.kubectl("create", "serviceaccount", "submitter", "-n", base_namespace)
    admin.kubectl(
        "create", "rolebinding", "test-submitter", "-n", base_namespace, "--role=starfreight-submitter",
        f"--serviceaccount={base_namespace}:submitter",
    )  # fmt: skip
    token = admin.kubectl("create", "token", "submitter", "-n", base_namespace, "--duration=2h").strip()
    settings = json.loads(admin.kubectl("config", "view", "--minify", "--raw", "--flatten", "-o", "json"))
    settings["users"] = [{"name": "submitter", "user": {"token": token}}]
    settings["contexts"][0]["context"] |= {"user": "submitter", "namespace": base_namespace}
    path = tmp_path_factory.mktemp("submitter") / "kubeconfig"
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def submitter(kubectl_program: str, submitter_kubeconfig: Path) -> Person:
    """A user with the right to submit jobs, and nothing else."""
    return Person(kubectl_program, str(submitter_kubeconfig))


@pytest.fixture(scope="session")
def small_image() -> str:
    """An image with a shell that is on the cluster's nodes already."""
    return os.environ.get("STARFREIGHT_CLUSTER_IMAGE", "busybox:dev")
