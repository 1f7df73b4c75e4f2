"""``starfreight package verify`` beside sha256sum, openssl and model_signing, on the same files.

    python benchmarks/verify.py --size 1 --variants 4
    python benchmarks/verify.py --size 1 --variants 4 --runs 5 --folder /dev/shm

A package with several GGUF files of random bytes is verified by each program in turn, in alternating rounds;
the fastest round of each counts. The floor is the same SHA-256 on all processors: ``xargs -P`` with one
sha256sum, or one ``openssl dgst``, for each file. model_signing verifies a signature of a key over the whole
directory, with the digests of all files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """Cost of one command: seconds, seconds of CPU, and the most memory of one process in bytes."""

    wall: float
    cpu: float
    memory: int


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


def make_package(folder: Path, size: int, variants: int) -> None:
    """Write a package with files of random bytes."""
    sys.path.insert(0, str(ROOT))
    import hashlib

    from starfreight.console import Console
    from starfreight.package import BaseOrigin
    from starfreight.packager.hashed_file import QuantizedFile
    from starfreight.packager.layout.write_package import PackageContents, write_package
    from starfreight.packager.model_description import LicenseText, ModelDescription
    from starfreight.packager.provenance.compare import MADE_UP_RECIPE, WITHOUT_CLAIMS
    from starfreight.quantization import Quantization

    files = []
    for number, quantization in enumerate(tuple(Quantization)[:variants]):
        path = folder.with_suffix(f".{number}.gguf")
        digest, left = hashlib.sha256(), size
        with path.open("wb") as stream:
            while left:
                block = os.urandom(min(left, 1 << 20))
                digest.update(block)
                stream.write(block)
                left -= len(block)
        files.append(QuantizedFile(path, "sha256:" + digest.hexdigest(), size, quantization))
    model = ModelDescription(
        name="bench",
        title="Benchmark",
        created="2026-01-02T03:04:05Z",
        run="bench-0123456789",
        recipe=MADE_UP_RECIPE,
        base=BaseOrigin(name="none", digest="sha256:" + "2" * 64),
        architecture="starcoder2",
        parameters=1_000_000,
        context_length=256,
        default=files[0].quantization,
        licenses=(LicenseText(name="MIT", text=b"The license.\n"),),
    )
    contents = PackageContents(model, tuple(files), b"# Card\n", WITHOUT_CLAIMS)
    write_package(folder, contents, Console(quiet=True))


def model_signing(folder: Path, work: Path) -> list[str]:
    """Sign the directory once; the command that verifies it."""
    program = [sys.executable, "-m", "model_signing"]
    key, public, signature = work / "key.pem", work / "key.pub", work / "model.sig"
    openssl = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(openssl, check=True, capture_output=True)
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    sign = [*program, "sign", "key", str(folder), "--private_key", str(key), "--signature", str(signature)]
    subprocess.run(sign, check=True, capture_output=True)
    verify = ["verify", "key", str(folder), "--public_key", str(public), "--signature", str(signature)]
    return [*program, *verify]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=float, default=0.5, help="size of each file, GB")
    parser.add_argument("--variants", type=int, default=4, help="number of files")
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    parser.add_argument("--folder", type=Path, help="where to write [default: the temporary directory]")
    options = parser.parse_args()
    size, cores = int(options.size * 1e9), len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="verify-", dir=options.folder) as name:
        work = Path(name)
        folder = work / "package"
        make_package(folder, size, options.variants)
        # The largest first, as a good scheduler would take them.
        names = sorted((folder / "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)
        (work / "names").write_text("".join(f"{path}\n" for path in names))
        parallel = f"xargs -a {work / 'names'} -P {cores} -n 1"
        commands = {
            "sha256sum": ["sh", "-c", f"{parallel} sha256sum"],
            "openssl dgst": ["sh", "-c", f"{parallel} openssl dgst -sha256"],
            "starfreight package verify": [
                sys.executable, "-m", "starfreight", "package", "verify", str(folder), "--quiet"
            ],
            "model_signing verify": model_signing(folder, work),
        }  # fmt: skip
        if shutil.which("openssl") is None:
            del commands["openssl dgst"]
        costs: dict[str, list[Cost]] = {each: [] for each in commands}
        for number in range(options.runs + 1):
            for each, command in commands.items():
                cost = run(command)
                if number:  # The first round fills the cache of files.
                    costs[each].append(cost)
    best = {each: min(found, key=lambda cost: cost.wall) for each, found in costs.items()}
    floor = min(best[each].wall for each in ("sha256sum", "openssl dgst") if each in best)
    print(f"{options.variants} files of {options.size:g} GB, {cores} processors, best of {options.runs}")
    print(f"{'':28} {'wall':>10} {'of floor':>9} {'CPU':>10} {'memory':>10}")
    for each, cost in best.items():
        print(
            f"{each:28} {cost.wall:8.2f} s {cost.wall / floor:7.2f} x {cost.cpu:8.2f} s "
            f"{cost.memory / 1e6:7.1f} MB"
        )


if __name__ == "__main__":
    main()
