"""Many publishers and readers at one registry at the same time, beside skopeo with the same packages.

    python benchmarks/registry_load.py                    # 50 of each, 8 MB a package
    python benchmarks/registry_load.py --clients 8 --size 64

Each client is a process of its own with a package of its own, all in one repository of a new registry on
this machine. skopeo copies the same layouts' ModelPack images in both directions. It sends no evidence, sets
one tag instead of four and does not look back, so ``starfreight publish`` does more. A publish or pull that
fails ends the benchmark; ``tests/services/load`` compares the bytes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from registry import REPOSITORY, Cost, make_file, make_package, registry, run


def at_once(name: str, clients: int, command: Callable[[int], list[str]]) -> float:
    """Runs a command for each client at the same time, prints a row, and returns the seconds of all."""
    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        costs: list[Cost] = list(pool.map(lambda number: run(command(number)), range(clients)))
    wall = time.monotonic() - began
    print(
        f"{name:26} {wall:8.2f} s  slowest {max(each.wall for each in costs):8.2f} s  "
        f"{sum(each.cpu for each in costs) / clients:6.2f} s of CPU  "
        f"{max(each.memory for each in costs) / 1e6:6.0f} MB each",
        flush=True,
    )
    return wall


def main() -> None:
    """Makes the packages, runs both programs, and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--size", type=float, default=8, help="megabytes of a package (default: 8)")
    parser.add_argument("--folder", type=Path, help="a directory for the packages (default: a temporary one)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=options.folder))
    clients, size = options.clients, int(options.size * 1e6)

    def package(number: int) -> Path:
        return folder / f"package-{number}"

    def image(number: int, host: str, tag: str) -> list[str]:
        return [f"oci:{folder}/{tag}-{number}:latest-oci", f"docker://{host}/{REPOSITORY}:{tag}{number}-oci"]

    try:
        for number in range(clients):
            gguf = folder / f"{number}.bin"
            digest = make_file(gguf, size)
            making = multiprocessing.get_context("spawn").Process(
                target=make_package, args=(package(number), gguf, size, digest, b"# Bench\n")
            )
            making.start()
            making.join()
        ours = [sys.executable, "-m", "starfreight"]
        skopeo = ["skopeo", "copy", "--quiet"]
        print(f"{clients} clients at once, {options.size:g} MB each")
        with registry(folder / "registry") as host:
            sent = at_once("starfreight publish", clients, lambda number: [
                *ours, "publish", str(package(number)), f"{host}/{REPOSITORY}:v{number}", "--insecure",
            ])  # fmt: skip
            read = at_once("starfreight package pull", clients, lambda number: [
                *ours, "package", "pull", f"{host}/{REPOSITORY}:v{number}", f"{folder}/ours-{number}",
                "--insecure",
            ])  # fmt: skip
        with registry(folder / "registry") as host:
            peer_sent = at_once("skopeo copy, there", clients, lambda number: [
                *skopeo, "--dest-tls-verify=false", f"oci:{package(number)}:latest-oci",
                image(number, host, "v")[1],
            ])  # fmt: skip
            peer_read = at_once("skopeo copy, back", clients, lambda number: [
                *skopeo, "--src-tls-verify=false", *reversed(image(number, host, "v")),
            ])  # fmt: skip
        print(f"publish takes {sent / peer_sent:.2f} of skopeo's time, pull {read / peer_read:.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
