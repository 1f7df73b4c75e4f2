"""The cost of a change of one line: our image against a plain Dockerfile with the same contents.

    python benchmarks/images.py --base-image debian:bookworm --wheelhouse wheelhouse

Both are built without a cache and pushed to a registry that has their base image; then one line is changed,
and both are built and pushed again. The plain Dockerfile is the usual first attempt: one stage, ``COPY . .``
and ``pip install .``. Base image and wheels are the same, so no network is needed. The base image needs
python3 with venv, git and tini; ``docs/images.md`` describes the wheelhouse (with torch for CPUs);
``docker-registry`` (Debian's package) is started on a free port.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGED = Path("jobs/train/loop.py")

PLAIN = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN python3 -m venv /opt/venv
WORKDIR /app
COPY project .
RUN --mount=type=bind,source=wheelhouse,target=/wheelhouse \\
    /opt/venv/bin/pip install --quiet --no-cache-dir --no-index --find-links /wheelhouse ".[train]"
CMD ["/opt/venv/bin/starfreight", "--help"]
"""


@dataclass(frozen=True)
class Cost:
    """Cost of a build and its push: seconds, and bytes added to the registry."""

    build: float
    push: float
    stored: int

    def __str__(self) -> str:
        """A row of the table."""
        return f"{self.build:8.1f} s {self.push:8.1f} s {self.stored / 1e6:10.2f} MB"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry on a free port of this machine, with its blobs in ``folder``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder.with_suffix(".yml")
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '{host}', secret: secret}}\n"
    )
    process = subprocess.Popen(["docker-registry", "serve", str(config)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        yield host
    finally:
        process.terminate()
        process.wait()


class Bench:
    """One comparison, in a directory of its own.

    Args:
        folder: a temporary directory.
        host: the registry's host and port.
        base: the base image.
        wheelhouse: the directory of wheels.
        docker: a docker command with BuildKit.
    """

    def __init__(self, folder: Path, host: str, base: str, wheelhouse: Path, docker: str) -> None:
        self.folder, self.host, self.base, self.wheelhouse, self.docker = (
            folder,
            host,
            base,
            wheelhouse,
            docker,
        )
        self.project = folder / "context" / "project"
        self.environment = os.environ | {
            "XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache"),
            "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(folder / "no-docker-config"),
        }  # fmt: skip

    def prepare(self) -> None:
        """Copies the checkout with its uncommitted changes, adds the wheels, and pushes the base image."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_symlink() or (ROOT / name).is_file():
                (self.project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.project / name, follow_symlinks=False)
        self.make_base()
        shutil.copytree(self.wheelhouse, self.folder / "context" / "wheelhouse")
        (self.folder / "context" / "Dockerfile").write_text(PLAIN)
        self.call("git", "init", "--quiet")
        self.commit()
        reference = f"{self.host}/benchmark/base:1"
        self.call(self.docker, "tag", self.base, reference)
        self.call(self.docker, "push", "--quiet", reference)
        # Leave no extra name on the user's image.
        self.call(self.docker, "rmi", "--no-prune", reference)

    def make_base(self) -> None:
        """Makes a base image with one more file, so that nothing was built on it before.

        Building without the cache would not do: earlier results stay, and BuildKit may reuse any of them.
        """
        folder = self.folder / "base"
        folder.mkdir()
        name = uuid.uuid4().hex
        (folder / name).touch()
        (folder / "Dockerfile").write_text(f"FROM {self.base}\nCOPY {name} /usr/local/share/\n")
        self.base = f"benchmark/base:{name}"
        self.call(self.docker, "build", "--quiet", "--tag", self.base, str(folder))

    def change(self) -> None:
        """Changes one line of the code."""
        with (self.project / CHANGED).open("a") as stream:
            stream.write("# one line\n")
        self.commit()

    def commit(self) -> None:
        """Commits everything."""
        self.call("git", "add", "--all")
        identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
        self.call("git", *identity, "commit", "--quiet", "--message", "change")

    def ours(self) -> Cost:
        """Builds and pushes the trainer with its commands."""
        command = (sys.executable, "-m", "starfreight", "images")
        build = (
            *command,
            "build",
            "trainer",
            "--torch",
            "cpu",
            "--tag",
            "benchmark/ours:1",
            "--quiet",
        )
        given = ("--base-image", self.base, "--wheelhouse", str(self.wheelhouse))
        push = (*command, "push", "trainer", f"{self.host}/benchmark/ours:1", "--insecure", "--quiet")
        return self.cost((*build, *given), push)

    def plain(self) -> Cost:
        """Builds and pushes the plain image."""
        reference = f"{self.host}/benchmark/plain:1"
        build = (
            self.docker,
            "build",
            "--quiet",
            "--build-arg",
            f"BASE_IMAGE={self.base}",
            "--tag",
            reference,
        )
        return self.cost((*build, str(self.folder / "context")), (self.docker, "push", "--quiet", reference))

    def cost(self, build: tuple[str, ...], push: tuple[str, ...]) -> Cost:
        """Times both, and measures the growth of the registry."""
        before = self.stored()
        began = time.perf_counter()
        self.call(*build)
        built = time.perf_counter()
        self.call(*push)
        return Cost(built - began, time.perf_counter() - built, self.stored() - before)

    def stored(self) -> int:
        """Bytes in the registry."""
        return sum(path.stat().st_size for path in (self.folder / "registry").rglob("data"))

    def call(self, *command: str) -> None:
        """Runs a command in the checkout."""
        done = subprocess.run(command, cwd=self.project, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Measure the cost of a change of one line.")
    parser.add_argument("--base-image", required=True)
    parser.add_argument("--wheelhouse", type=Path, required=True)
    parser.add_argument("--docker", default="docker", help="a docker command with BuildKit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with registry(folder / "registry") as host:
            bench = Bench(folder, host, given.base_image, given.wheelhouse.resolve(), given.docker)
            bench.prepare()
            rows = {"ours, cold": bench.ours(), "plain, cold": bench.plain()}
            bench.change()
            rows |= {"ours, one line": bench.ours(), "plain, one line": bench.plain()}
            bench.call(given.docker, "rmi", "--no-prune", bench.base)
    print(f"{'':16} {'build':>10} {'push':>10} {'pushed':>13}")
    for name, cost in rows.items():
        print(f"{name:16} {cost}")


if __name__ == "__main__":
    main()
