"""Publishing and installing a package beside skopeo, oras (Python) and docker push of the same bytes.

    python benchmarks/registry.py --size 1
    python benchmarks/registry.py --size 5 --runs 5 --folder /dev/shm

A package with one GGUF file of random bytes goes to a new ``docker-registry`` (Debian's package) on this
machine, by each program in turn. The two floors are hashing the file once in one process, and sending it with
curl to the same registry, which hashes it as well: a publish cannot be faster than the slower of them. Then
the package is published again with another model card, and read back. Bytes on the wire are counted by a
forwarder, in runs of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPOSITORY = "bench/coder"
NAME = "bench"

ORAS_PUSH = """
import sys
from oras.client import OrasClient
OrasClient(insecure=True).push(sys.argv[1], files=[sys.argv[2]], disable_path_validation=True)
"""
ORAS_PULL = """
import sys
from oras.client import OrasClient
OrasClient(insecure=True).pull(sys.argv[1], outdir=sys.argv[2])
"""
HASH = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


@dataclass(frozen=True)
class Cost:
    """Cost of one command: seconds, seconds of CPU, and the most memory in bytes."""

    wall: float
    cpu: float
    memory: int

    def row(self, name: str, floor: float, wire: int | None) -> str:
        """A row of the table, with the time as a multiple of ``floor``."""
        sent = f"{wire / 1e6:10.1f} MB" if wire is not None else " " * 13
        return (
            f"{name:34} {self.wall:8.2f} s {self.wall / floor:6.2f} x {self.cpu:8.2f} s "
            f"{self.memory / 1e6:8.1f} MB {sent}"
        )


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """An empty registry on a free port of this machine."""
    shutil.rmtree(folder, ignore_errors=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder.with_suffix(".yml")
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '{host}', secret: secret}}\n"
    )
    command = ["docker-registry", "serve", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def counted(host: str) -> Iterator[tuple[str, list[int]]]:
    """A forwarder to a registry: its address, and the bytes of both directions so far."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    total, lock = [0], threading.Lock()
    address, _, port = host.rpartition(":")

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 18):
                target.sendall(data)
                with lock:
                    total[0] += len(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            upstream = socket.create_connection((address, int(port)))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}", total
    finally:
        server.close()


def run(command: list[str]) -> Cost:
    """Run a command and measure it with its children."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode()[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def make_package(folder: Path, gguf: Path, size: int, digest: str, card: bytes) -> None:
    """Write a package with this GGUF file, which stays in place."""
    sys.path.insert(0, str(ROOT))
    from starfreight.console import Console
    from starfreight.package import BaseOrigin
    from starfreight.packager.hashed_file import QuantizedFile
    from starfreight.packager.layout.write_package import PackageContents, write_package
    from starfreight.packager.model_description import LicenseText, ModelDescription
    from starfreight.packager.provenance.compare import MADE_UP_RECIPE, WITHOUT_CLAIMS
    from starfreight.quantization import Quantization

    link = folder.with_suffix(".gguf")
    os.link(gguf, link)
    model = ModelDescription(
        name=NAME,
        title="Benchmark",
        created="2026-01-02T03:04:05Z",
        run=f"{NAME}-0123456789",
        recipe=MADE_UP_RECIPE,
        base=BaseOrigin(name="none", digest="sha256:" + "2" * 64),
        architecture="starcoder2",
        parameters=1_000_000,
        context_length=256,
        default=Quantization.Q8_0,
        licenses=(LicenseText(name="MIT", text=b"The license.\n"),),
    )
    files = (QuantizedFile(link, digest, size, Quantization.Q8_0),)
    write_package(folder, PackageContents(model, files, card, WITHOUT_CLAIMS), Console(quiet=True))


def make_file(path: Path, size: int) -> str:
    """Random bytes, in blocks; returns their digest."""
    digest, left = hashlib.sha256(), size
    with path.open("wb") as stream:
        while left:
            block = os.urandom(min(left, 1 << 20))
            digest.update(block)
            stream.write(block)
            left -= len(block)
    return "sha256:" + digest.hexdigest()


def curl_upload(host: str, path: Path, digest: str) -> list[str]:
    """The command that sends a file as one blob."""
    request = urllib.request.Request(f"http://{host}/v2/{REPOSITORY}/blobs/uploads/", method="POST")
    with urllib.request.urlopen(request) as opened:
        address = opened.headers["Location"]
    return ["curl", "-sf", "-T", str(path), f"{address}&digest={digest}"]


def docker_image(layout: Path, tag: str) -> bool:
    """Load the file into Docker as an image of one layer; False without a Docker daemon."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        return False
    tar = subprocess.Popen(["tar", "-C", str(layout), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", tag], stdin=tar.stdout, check=True, capture_output=True)
    return tar.wait() == 0


class Bench:
    """One comparison.

    Args:
        folder: a directory with room for four times the file.
        size: of the file in bytes.
        runs: the best of so many is shown.
    """

    def __init__(self, folder: Path, size: int, runs: int) -> None:
        self._folder, self._runs = folder, runs
        self._gguf = folder / "model.gguf"
        self._digest = make_file(self._gguf, size)
        self._package, self._changed = folder / "package", folder / "changed"
        # In another process: a child's memory counts from its parent's.
        for package, card in ((self._package, b"# Bench\n"), (self._changed, b"# Another card\n")):
            making = multiprocessing.get_context("spawn").Process(
                target=make_package, args=(package, self._gguf, size, self._digest, card)
            )
            making.start()
            making.join()
        self._floor = 0.0

    def report(self) -> None:
        """Measure everything and print the tables."""
        print(f"{'':34} {'wall':>10} {'floor':>8} {'CPU':>10} {'memory':>11} {'on the wire':>13}")
        hashing = min(run([sys.executable, "-c", HASH, str(self._gguf)]).wall for _ in range(self._runs))
        sending = self._best(lambda host: curl_upload(host, self._gguf, self._digest))
        self._floor = max(hashing, sending.wall)
        print(f"floor: hashing {hashing:.2f} s, sending with curl {sending.wall:.2f} s")
        self._row("starfreight publish", self._publish)
        self._row("skopeo copy", lambda host: [
            "skopeo", "copy", "-q", "--dest-tls-verify=false",
            f"oci:{self._package}:latest-oci", f"docker://{host}/{REPOSITORY}:1.0-oci",
        ])  # fmt: skip
        self._row("oras push (Python)", lambda host: [
            sys.executable, "-c", ORAS_PUSH, f"{host}/{REPOSITORY}:1.0", str(self._gguf),
        ])  # fmt: skip
        self._docker()
        self._again()

    def _publish(self, host: str, package: Path | None = None) -> list[str]:
        command = [sys.executable, "-m", "starfreight", "publish", str(package or self._package)]
        return [*command, f"{host}/{REPOSITORY}:1.0", "--insecure", "-q"]

    def _best(self, command: Callable[[str], list[str]]) -> Cost:
        costs = []
        for _ in range(self._runs):
            with registry(self._folder / "registry") as host:
                costs.append(run(command(host)))
        return min(costs, key=lambda cost: cost.wall)

    def _row(self, name: str, command: Callable[[str], list[str]]) -> None:
        cost = self._best(command)
        with registry(self._folder / "registry") as host, counted(host) as (forwarder, total):
            run(command(forwarder))
            print(cost.row(name, self._floor, total[0]), flush=True)

    def _docker(self) -> None:
        files = self._folder / "image"
        files.mkdir()
        os.link(self._gguf, files / "model.gguf")
        costs = []
        for _ in range(self._runs):
            with registry(self._folder / "registry") as host:
                tag = f"{host}/{REPOSITORY}:1.0"
                if not docker_image(files, tag):
                    print(f"{'docker push':34} not measured: no Docker daemon answers")
                    return
                costs.append(run(["docker", "push", "-q", tag]))
                subprocess.run(["docker", "rmi", tag], check=True, capture_output=True)
        cost = min(costs, key=lambda cost: cost.wall)
        print(cost.row("docker push (client's CPU, memory)", self._floor, None))

    def _again(self) -> None:
        """Publish a changed card, then read the package back."""
        with registry(self._folder / "registry") as host:
            run(self._publish(host))
            print(run(self._publish(host)).row("publish again, unchanged", self._floor, None))
            print(
                run(self._publish(host, self._changed)).row("publish again, another card", self._floor, None)
            )
            reference = f"{host}/{REPOSITORY}:1.0"
            pulls = {
                "starfreight package install --to": [
                    sys.executable, "-m", "starfreight", "package", "install", reference, "--insecure", "-q",
                    "--to",
                ],
                "skopeo copy": [
                    "skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{reference}-oci",
                ],
                "oras pull (Python)": [sys.executable, "-c", ORAS_PULL, f"{reference}-oci"],
            }  # fmt: skip
            print("reading it back:")
            for name, command in pulls.items():
                out = self._folder / "out"
                shutil.rmtree(out, ignore_errors=True)
                if not name.startswith("starfreight"):
                    out.mkdir()
                elif not _has_install():
                    print(f"{name:34} not measured: no such command")
                    continue
                target = f"dir:{out}" if name.startswith("skopeo") else str(out)
                print(run([*command, target]).row(name, self._floor, None), flush=True)


def _has_install() -> bool:
    command = [sys.executable, "-m", "starfreight", "package", "install", "--help"]
    return subprocess.run(command, capture_output=True, cwd=ROOT).returncode == 0


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=float, default=1, help="of the GGUF file in GB [1]")
    parser.add_argument("--runs", type=int, default=3, help="the best of so many is shown [3]")
    parser.add_argument("--folder", type=Path, help="with room for four times the file [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        Bench(Path(folder), int(options.size * 1e9), options.runs).report()


if __name__ == "__main__":
    main()
